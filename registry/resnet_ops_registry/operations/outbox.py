"""Decisions told to a webhook, none lost: the ledger is the outbox, and each endpoint has a place in it.

A decision and its entry are one transaction, so whatever was decided will be told, also after a crash. Delivery is
in order and at least once: an entry that was told, but not yet noted as told, comes again with the same id.
"""

import hashlib
import hmac
import json
import os
from dataclasses import asdict, dataclass
from urllib.parse import urlparse

from sqlalchemy import Connection, insert, select, update

from resnet_ops.errors import ConfigError
from resnet_ops.files import canonical_json
from resnet_ops_registry.common.actor import now
from resnet_ops_registry.database import ledger, tables
from resnet_ops_registry.database.ledger import Entry
from resnet_ops_registry.database.tables import open_database

__all__ = [
    "LEASE",
    "LONGEST_WAIT",
    "Delivery",
    "Endpoint",
    "configured_endpoint",
    "message_type",
    "send_due",
    "signature",
]

LEASE = 60_000
LONGEST_WAIT = 3_600_000
TIMEOUT = 10.0
MIN_SECRET = 16


@dataclass(frozen=True)
class Endpoint:
    """Where decisions are told, and the secret both sides know."""

    url: str
    secret: str

    @property
    def id(self) -> str:
        return hashlib.sha256(self.url.encode()).hexdigest()


@dataclass(frozen=True)
class Delivery:
    """What one round did: how many were told, and why the next one was not (empty when nothing is left)."""

    sent: int
    problem: str = ""


def configured_endpoint() -> Endpoint | None:
    """RESNET_OPS_WEBHOOK_URL and RESNET_OPS_WEBHOOK_SECRET; None without a URL. Raises ConfigError for bad ones."""
    url = os.environ.get("RESNET_OPS_WEBHOOK_URL")
    if not url:
        return None
    if urlparse(url).scheme not in ("http", "https") or not urlparse(url).hostname:
        raise ConfigError(f"RESNET_OPS_WEBHOOK_URL is not an http address: {url!r}.")
    secret = os.environ.get("RESNET_OPS_WEBHOOK_SECRET", "")
    if len(secret) < MIN_SECRET:
        raise ConfigError(f"RESNET_OPS_WEBHOOK_SECRET must hold at least {MIN_SECRET} characters.")
    return Endpoint(url, secret)


def send_due(endpoint: Endpoint, database_uri: str | None = None, *, from_start: bool = False) -> Delivery:
    """Tell everything that is due, oldest first, until one fails; that one is tried again later.

    Waits double from one second to an hour. An endpoint that is new is told of what is decided from now on, or
    from the ledger's first entry with `from_start`. Several senders may run: one at a time holds the place.
    """
    sent = 0
    with open_database(database_uri) as connection:
        _register(connection, endpoint, from_start)
    while True:
        with open_database(database_uri) as connection:
            claimed = _claim(connection, endpoint)
        if claimed is None:
            return Delivery(sent)
        position, attempts, entry = claimed
        problem = "" if message_type(entry) is None else _post(endpoint, entry)
        with open_database(database_uri) as connection:
            _note(connection, endpoint, position, attempts, entry, problem)
        if problem:
            return Delivery(sent, problem)
        sent += message_type(entry) is not None


def message_type(entry: Entry) -> str | None:
    """`allowed`, `observed`, `refused`, `rolled back` or `removed`; None for entries that are no decision."""
    event = entry.event
    if event.outcome == "allowed":
        return "rolled back" if event.action == "rollback" else "allowed"
    if event.outcome in ("observed", "refused"):
        return event.outcome
    return "removed" if event.action.endswith("removed") else None


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What `X-Resnet-Ops-Signature` must be: HMAC-SHA256 over the timestamp, a dot and the body."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _register(connection: Connection, endpoint: Endpoint, from_start: bool) -> None:
    table = tables.deliveries
    last, _ = tables.lock(connection)
    known = connection.execute(select(table.c.seq).where(table.c.endpoint == endpoint.id)).first()
    if known is None:
        start = 0 if from_start else last
        values = {"endpoint": endpoint.id, "seq": start, "attempts": 0, "next_at": 0, "problem": ""}
        connection.execute(insert(table).values(values))


def _claim(connection: Connection, endpoint: Endpoint) -> tuple[int, int, Entry] | None:
    """The next entry that is due, kept from other senders for a minute."""
    table = tables.deliveries
    row = connection.execute(select(table).where(table.c.endpoint == endpoint.id)).one()
    if row.next_at > now():
        return None
    entry = ledger.entry_after(connection, row.seq)
    if entry is None:
        return None
    mine = connection.execute(
        update(table)
        .where(table.c.endpoint == endpoint.id, table.c.seq == row.seq, table.c.next_at == row.next_at)
        .values(next_at=now() + LEASE)
    )
    return (row.seq, row.attempts, entry) if mine.rowcount == 1 else None


def _note(
    connection: Connection, endpoint: Endpoint, position: int, attempts: int, entry: Entry, problem: str
) -> None:
    table = tables.deliveries
    wait = min(1000 * 2**attempts, LONGEST_WAIT) if attempts < 32 else LONGEST_WAIT
    values = (
        {"attempts": attempts + 1, "next_at": now() + wait, "problem": problem[:500]}
        if problem
        else {"seq": entry.seq, "attempts": 0, "next_at": 0, "problem": ""}
    )
    here = (table.c.endpoint == endpoint.id, table.c.seq == position)
    connection.execute(update(table).where(*here).values(values))


def _post(endpoint: Endpoint, entry: Entry) -> str:
    """Send one entry; empty when the endpoint took it, else what was wrong."""
    import requests

    body = canonical_json(
        {
            "id": entry.hash,
            "seq": entry.seq,
            "time": entry.time,
            "type": message_type(entry),
            "event": json.loads(json.dumps(asdict(entry.event))),
        }
    )
    timestamp = str(now() // 1000)
    headers = {
        "Content-Type": "application/json",
        "X-Resnet-Ops-Id": entry.hash,
        "X-Resnet-Ops-Timestamp": timestamp,
        "X-Resnet-Ops-Signature": signature(endpoint.secret, timestamp, body),
    }
    try:
        answer = requests.post(
            endpoint.url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
        )
    except requests.RequestException as error:
        return type(error).__name__
    return "" if 200 <= answer.status_code < 300 else f"status {answer.status_code}"
