"""Every verdict there was, beside the inference log: what came before, and where the next window begins."""

import json
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.elements import ColumnElement

from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.rows import microseconds
from resnet_ops_monitoring.inference_log.time_range import Period

__all__ = ["VerdictHistory"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_table = Table(
    "verdicts",
    MetaData(),
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("model", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("window", String(200), nullable=False),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970: the window's last row"),
    Column("since", BigInteger, comment="of a periodic window; until: where the next one begins"),
    Column("until", BigInteger),
    Column("rows", BigInteger, comment="in the log when a periodic window was judged"),
    Column("labelled", BigInteger),
    Column("link", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    UniqueConstraint("model", "digest", "window"),
)
_verdicts = TypeAdapter(Verdict)


class VerdictHistory:
    """The verdicts of all windows, in a table of its own in the inference log's database."""

    def __init__(self, log: InferenceLog) -> None:
        self._log = log
        with log.transaction("prepare") as connection:
            connection.execute(CreateTable(_table, if_not_exists=True))

    def add(self, verdict: Verdict, *, link: str = "", period: Period | None = None) -> None:
        """Keep a verdict; one of the same model files and window is replaced. period: where it is one in a row."""
        mine = (*_of(verdict.identity), _table.c.window == verdict.window)
        row = {
            "model": verdict.identity.name,
            "digest": verdict.identity.digest,
            "window": verdict.window,
            "at": microseconds(verdict.end or (period.until if period else datetime.now(UTC))),
            "since": microseconds(period.since) if period else None,
            "until": microseconds(period.until) if period else None,
            "rows": period.rows if period else None,
            "labelled": period.labelled if period else None,
            "link": link,
            "verdict": json.dumps(verdict.to_dict(), sort_keys=True),
        }
        with self._log.transaction("write to") as connection:
            connection.execute(delete(_table).where(*mine))
            connection.execute(insert(_table).values(row))

    def recent(
        self, identity: ModelIdentity, *, before: datetime | None = None, limit: int = 200
    ) -> list[Verdict]:
        """The latest verdicts about these model files, oldest first; only of windows that ended before a moment."""
        query = select(_table.c.verdict).where(*_of(identity))
        if before is not None:
            query = query.where(_table.c.at < microseconds(before))
        return self._read(query, limit)

    def beside(self, identity: ModelIdentity, since: datetime, *, limit: int = 200) -> list[Verdict]:
        """The latest verdicts about other files of the same model, of windows that ended since a moment."""
        here = (_table.c.model == identity.name, _table.c.digest != identity.digest)
        return self._read(select(_table.c.verdict).where(*here, _table.c.at >= microseconds(since)), limit)

    def link(self, identity: ModelIdentity, window: str) -> str:
        """Where the window's page is; empty when nobody knows."""
        query = select(_table.c.link).where(*_of(identity), _table.c.window == window)
        with self._log.transaction("read") as connection:
            return str(connection.execute(query).scalar() or "")

    def judged_until(self, identity: ModelIdentity) -> datetime | None:
        """Where the row of periodic windows ends; None before the first."""
        return self._time(identity, func.max(_table.c.until))

    def watched_since(self, identity: ModelIdentity) -> datetime | None:
        """Where the first periodic window of these model files begins; None before there is one."""
        return self._time(identity, func.min(_table.c.since))

    def _time(self, identity: ModelIdentity, end: ColumnElement[int]) -> datetime | None:
        with self._log.transaction("read") as connection:
            found = connection.execute(select(end).where(*_of(identity))).scalar()
        return None if found is None else _moment(found)

    def periods(self, identity: ModelIdentity, *, limit: int) -> list[Period]:
        """The latest windows in a row, oldest first."""
        columns = (_table.c.since, _table.c.until, _table.c.rows, _table.c.labelled, _table.c.verdict)
        query = select(*columns).where(*_of(identity), _table.c.until.is_not(None))
        with self._log.transaction("read") as connection:
            found = connection.execute(query.order_by(_table.c.until.desc()).limit(limit)).all()
        return [
            Period(_moment(since), _moment(until), rows, n, json.loads(verdict).get("lost", 0))
            for since, until, rows, n, verdict in reversed(found)
        ]

    def _read(self, query: Select[tuple[str]], limit: int) -> list[Verdict]:
        """The latest of those verdicts, oldest first."""
        newest = query.order_by(_table.c.at.desc(), _table.c.window.desc()).limit(limit)
        with self._log.transaction("read") as connection:
            found = connection.execute(newest).scalars().all()
        try:
            return [_verdicts.validate_json(str(text)) for text in reversed(found)]
        except ValidationError as error:
            raise DataError(
                f"A verdict in {self._log.place} is not of this program's version ({error.error_count()} faults). "
                "Empty the table verdicts; the windows are judged again then."
            ) from None


def _moment(since_1970: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(since_1970))


def _of(identity: ModelIdentity) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _table.c.model == identity.name, _table.c.digest == identity.digest
