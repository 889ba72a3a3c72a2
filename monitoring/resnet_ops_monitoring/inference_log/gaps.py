"""Rows that are not where a reader of the log expects them: lost for good, or come late. Each gap is a record."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from resnet_ops_monitoring.inference_log.appending import add_new
from resnet_ops_monitoring.inference_log.columns import SERVED, Route
from resnet_ops_monitoring.inference_log.connection import LogDatabase
from resnet_ops_monitoring.inference_log.database import gaps
from resnet_ops_monitoring.inference_log.identity import ModelIdentity

__all__ = [
    "Gap",
    "add_gaps",
    "count_lost",
    "first_lost",
    "gap_words",
    "late_ranges",
    "list_gaps",
    "lost_rows",
]

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Gap:
    """So many rows of a source with since <= time <= until are lost, or came late, and why. route: as the rows had.

    id: the same when it is brought again.
    """

    identity: ModelIdentity
    source: str | None
    since: datetime
    until: datetime
    reason: str
    lost: int = 0
    late: int = 0
    route: Route = "champion"
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def joined(self, other: "Gap") -> "Gap":
        """Both as one; the reasons of both where they differ."""
        reasons = dict.fromkeys((*self.reason.split("; "), *other.reason.split("; ")))
        return replace(
            self,
            since=min(self.since, other.since),
            until=max(self.until, other.until),
            reason="; ".join(reasons),
            lost=self.lost + other.lost,
            late=self.late + other.late,
        )


def add_gaps(connection: Connection, found: Sequence[Gap]) -> None:
    """Write gaps down; those that are there already stay as they are."""
    if found:
        add_new(connection, gaps, ("id",), [_record(gap) for gap in found])


def list_gaps(log: LogDatabase) -> list[Gap]:
    """All that the log knows of, oldest first; one for what a model's source lost without a minute between."""
    return _joined(_read(log))


def lost_rows(
    log: LogDatabase, identity: ModelIdentity, start: datetime | None, end: datetime | None
) -> dict[str, Gap]:
    """What is lost of a version's rows in production with start <= time < end, by source ("" for none).

    A gap that reaches over an end counts whole: gaps are short, and a window is better said to lack too many.
    """
    lost: dict[str, Gap] = {}
    for gap in _read(log, *_overlapping(identity, start, end), gaps.c.lost > 0):
        name = gap.source or ""
        lost[name] = lost[name].joined(gap) if name in lost else gap
    return lost


def late_ranges(
    log: LogDatabase, identity: ModelIdentity, start: datetime, end: datetime
) -> list[tuple[str | None, datetime, datetime]]:
    """Source, first and last time of the rows that came late: their order of arrival says nothing about clocks."""
    found = _joined(_read(log, *_overlapping(identity, start, end), gaps.c.late > 0))
    return [(gap.source, gap.since, gap.until) for gap in found]


def count_lost(connection: Connection, identity: ModelIdentity, start: datetime, end: datetime) -> int:
    """How many rows of a time range in production are lost."""
    query = select(func.sum(gaps.c.lost)).where(*_overlapping(identity, start, end))
    return int(connection.execute(query).scalar() or 0)


def first_lost(connection: Connection, identity: ModelIdentity, since: datetime) -> datetime | None:
    """The time of the first lost row of production from a moment on, of a gap that begins then; None without any."""
    query = select(func.min(gaps.c.since, type_=gaps.c.since.type)).where(
        *_of(identity), gaps.c.lost > 0, gaps.c.since >= since
    )
    return connection.execute(query).scalar()


def gap_words(lost: Mapping[str, Gap], rows: int) -> str:
    """`312 of about 4,000 rows were lost from 02:10 to 02:25 UTC (the disk is full)`. rows: those that are there."""
    whole = reduce(Gap.joined, lost.values())
    days = "%H:%M" if whole.since.date() == whole.until.date() else "%Y-%m-%d %H:%M"
    begin, end = whole.since.astimezone(UTC), _minute_after(whole.until.astimezone(UTC))
    sources = sorted(name for name in lost if name)
    where = f" of {', '.join(sources[:3])}{' and others' if len(sources) > 3 else ''}" if sources else ""
    return (
        f"{whole.lost:,} of about {rows + whole.lost:,} rows{where} were lost from {begin.strftime(days)} to "
        f"{end.strftime(days)} UTC ({whole.reason})"
    )


def _joined(found: Iterable[Gap]) -> list[Gap]:
    joined: list[Gap] = []
    last: dict[tuple[ModelIdentity, str | None, Route, bool], int] = {}
    for gap in found:
        key = (gap.identity, gap.source, gap.route, gap.lost > 0)
        place = last.get(key)
        if place is not None and gap.since <= joined[place].until + _MINUTE:
            joined[place] = joined[place].joined(gap)
        else:
            last[key] = len(joined)
            joined.append(gap)
    return joined


def _minute_after(moment: datetime) -> datetime:
    whole = moment.replace(second=0, microsecond=0)
    return whole if whole == moment else whole + _MINUTE


def _of(identity: ModelIdentity) -> list[ColumnElement[bool]]:
    mine = (gaps.c.model == identity.name, gaps.c.digest == identity.digest)
    return [*mine, gaps.c.route.in_(SERVED)]


def _overlapping(
    identity: ModelIdentity, start: datetime | None, end: datetime | None
) -> list[ColumnElement[bool]]:
    conditions = _of(identity)
    if start is not None:
        conditions.append(gaps.c.until >= start)
    if end is not None:
        conditions.append(gaps.c.since < end)
    return conditions


def _record(gap: Gap) -> dict[str, Any]:
    about = {"model": gap.identity.name, "version": gap.identity.version, "digest": gap.identity.digest}
    own = {name: getattr(gap, name) for name in ("id", "source", "route", "since", "until", "lost", "late")}
    return {**about, **own, "reason": gap.reason[:200]}


def _read(log: LogDatabase, *conditions: ColumnElement[bool]) -> list[Gap]:
    """Oldest first."""
    with log.transaction("read") as connection:
        found = connection.execute(select(gaps).where(*conditions).order_by(gaps.c.since, gaps.c.id))
        return [
            Gap(
                ModelIdentity(row["model"], row["version"], row["digest"]),
                row["source"],
                row["since"],
                row["until"],
                row["reason"],
                int(row["lost"]),
                int(row["late"]),
                row["route"],
                row["id"],
            )
            for row in found.mappings()
        ]
