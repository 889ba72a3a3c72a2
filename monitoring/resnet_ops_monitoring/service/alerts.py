"""What people are told of the monitor, once for each episode, and through an outbox so that nothing is lost.

What is to be told is written down beside the inference log before it is sent; each address has a place in that list.
Delivery is in order and at least once.
"""

import hashlib
import logging
import os
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.schema import CreateTable

from resnet_ops.errors import ConfigError
from resnet_ops.extras import require
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.rows import microseconds

if TYPE_CHECKING:
    import apprise

__all__ = ["FILE", "URLS", "Address", "Alerts", "configured_addresses", "send"]

URLS, FILE = "RESNET_OPS_ALERT_URLS", "RESNET_OPS_ALERT_FILE"
LONGEST_WAIT = 3600
"""Seconds between two tries of what could not be delivered, at most."""

_metadata = MetaData()
_alerts = Table(
    "alerts",
    _metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("model", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("phase", String(20), nullable=False),
    Column("window", String(200), nullable=False),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970"),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("model", "digest", "kind", "phase", "window"),
)
_places = Table(
    "alert_places",
    _metadata,
    Column("address", String(64), primary_key=True, comment="sha256, since it may hold a password"),
    Column("told", BigInteger, nullable=False, comment="the last alert that arrived"),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
)


@dataclass(frozen=True, repr=False)
class Address:
    """One of apprise's: https://appriseit.com. It may hold a password, so it is never shown."""

    url: str

    @property
    def id(self) -> str:
        return hashlib.sha256(self.url.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.url.split(':', 1)[0]} address {self.id[:8]}"


def configured_addresses() -> tuple[Address, ...]:
    """From RESNET_OPS_ALERT_URLS (separated by spaces) and the file RESNET_OPS_ALERT_FILE (one a line, # for notes).

    Raises ConfigError for one that apprise does not know, without showing it.
    """
    found = [(URLS, url) for url in os.environ.get(URLS, "").split()]
    if path := os.environ.get(FILE):
        try:
            lines = [line.strip() for line in Path(path).read_text().splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{FILE} names {path}, which cannot be read ({type(error).__name__})."
            ) from None
        found += [(FILE, line) for line in lines if line and not line.startswith("#")]
    for place, (where, url) in enumerate(found, 1):
        if _apprise(url) is None:
            raise ConfigError(
                f"Alert address number {place} (in {where}) is not one that apprise supports. Write for example "
                "jsons://host/path, mailtos://user:password@host or slack://..."
            )
    return tuple(dict.fromkeys(Address(url) for _, url in found))


def send(address: Address, title: str, body: str) -> bool:
    """Whether the address took the message."""
    notifier = _apprise(address.url)
    return notifier is not None and bool(notifier.notify(title=title, body=body))


def _apprise(url: str) -> "apprise.Apprise | None":
    require("An alert", "apprise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about Python's modules
        import apprise

        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its messages may hold addresses
        notifier = apprise.Apprise()
        return notifier if notifier.add(url) else None


class Alerts:
    """The list of what is to be told, in tables of its own in the inference log's database."""

    def __init__(self, log: InferenceLog) -> None:
        self._log = log
        with log.transaction("prepare") as connection:
            for table in (_alerts, _places):
                connection.execute(CreateTable(table, if_not_exists=True))

    def register(self, addresses: tuple[Address, ...]) -> None:
        """An address that is new is told of what comes from now on."""
        with self._log.transaction("write to") as connection:
            last = connection.execute(select(func.max(_alerts.c.id))).scalar() or 0
            known = set(connection.execute(select(_places.c.address)).scalars())
            for address in addresses:
                if address.id not in known:
                    row = {"address": address.id, "told": last, "attempts": 0, "next_at": 0}
                    connection.execute(insert(_places).values(row))

    def follow(
        self,
        identity: ModelIdentity,
        kind: str,
        troubled: bool,
        *,
        window: str,
        words: str,
        reminder_hours: float,
        now: datetime,
    ) -> str | None:
        """Write down what the state of an episode calls for: "begin", "reminder", "end" or (None) nothing.

        One alert when trouble of this kind begins, one when it is over, reminders while it lasts. A repeat does
        nothing. words: what happened, for the alert's body.
        """
        with self._log.transaction("write to") as connection:
            open_since = self._open(connection, identity, kind)
            phase = None
            if troubled and open_since is None:
                phase = "begin"
            elif not troubled and open_since is not None:
                phase = "end"
            elif troubled and open_since is not None and reminder_hours:
                due = open_since + microseconds_of(timedelta(hours=reminder_hours))
                phase = "reminder" if due <= microseconds(now) else None
            if phase is None:
                return None
            title = {"begin": kind, "reminder": f"still {kind}", "end": f"{kind} is over"}[phase]
            return phase if _write(connection, identity, kind, phase, window, title, words, now) else None

    def once(self, identity: ModelIdentity, kind: str, *, window: str, words: str, now: datetime) -> bool:
        """Write down something that was done because of a window; False when it was written before."""
        with self._log.transaction("write to") as connection:
            return _write(connection, identity, kind, "once", window, kind, words, now)

    def was_told(self, identity: ModelIdentity, kind: str, window: str) -> bool:
        """Whether `once` was called with these."""
        with self._log.transaction("read") as connection:
            return _there(connection, identity, kind, "once", window)

    def deliver(self, addresses: tuple[Address, ...]) -> list[str]:
        """Send what is due, in order, to each address until one message fails; gives which addresses took none.

        Waits double from one second to an hour.
        """
        return [str(address) for address in addresses if not self._deliver(address)]

    def waiting(self, addresses: tuple[Address, ...]) -> int:
        """Messages that have not arrived, over all addresses."""
        ids = [address.id for address in addresses]
        query = select(func.count()).select_from(_alerts.join(_places, _alerts.c.id > _places.c.told))
        with self._log.transaction("read") as connection:
            return int(connection.execute(query.where(_places.c.address.in_(ids))).scalar_one())

    def _open(self, connection: Connection, identity: ModelIdentity, kind: str) -> int | None:
        """When the open episode was last told of; None where there is none."""
        query = select(_alerts.c.phase, _alerts.c.at).where(*_about(identity), _alerts.c.kind == kind)
        last = connection.execute(query.order_by(_alerts.c.id.desc()).limit(1)).first()
        return None if last is None or last.phase == "end" else int(last.at)

    def _deliver(self, address: Address) -> bool:
        mine = _places.c.address == address.id
        while True:
            with self._log.transaction("read") as connection:
                place = connection.execute(select(_places).where(mine)).one()
                query = select(_alerts).where(_alerts.c.id > place.told).order_by(_alerts.c.id).limit(1)
                alert = connection.execute(query).first()
            now = datetime.now(UTC)
            if alert is None:
                return True
            if place.next_at > microseconds(now):
                return False
            arrived = send(address, alert.title, alert.body)
            wait = timedelta(seconds=min(2.0 ** min(place.attempts, 20), LONGEST_WAIT))
            values = (
                {"told": alert.id, "attempts": 0, "next_at": 0}
                if arrived
                else {"attempts": place.attempts + 1, "next_at": microseconds(now + wait)}
            )
            with self._log.transaction("write to") as connection:
                connection.execute(update(_places).where(mine).values(values))
            if not arrived:
                return False


def microseconds_of(length: timedelta) -> int:
    """A length, exactly."""
    return length // timedelta(microseconds=1)


def _about(identity: ModelIdentity) -> tuple[ColumnElement[bool], ...]:
    return _alerts.c.model == identity.name, _alerts.c.digest == identity.digest


def _there(connection: Connection, identity: ModelIdentity, kind: str, phase: str, window: str) -> bool:
    same = (_alerts.c.kind == kind, _alerts.c.phase == phase, _alerts.c.window == window)
    return connection.execute(select(_alerts.c.id).where(*_about(identity), *same)).first() is not None


def _write(
    connection: Connection,
    identity: ModelIdentity,
    kind: str,
    phase: str,
    window: str,
    title: str,
    words: str,
    now: datetime,
) -> bool:
    if _there(connection, identity, kind, phase, window):
        return False
    row = {
        "model": identity.name,
        "digest": identity.digest,
        "kind": kind,
        "phase": phase,
        "window": window,
        "at": microseconds(now),
        "title": f"{identity}: {title}",
        "body": words,
    }
    connection.execute(insert(_alerts).values(row))
    return True
