"""The inference log: every answer that a model gave in production, in an SQL database."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    Table,
    delete,
    exists,
    func,
    not_,
    select,
    type_coerce,
)
from sqlalchemy.exc import IntegrityError

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.appending import add_rows, drop_summaries, select_rows
from resnet_ops_monitoring.inference_log.columns import ANSWERED, SERVED, Route, Row
from resnet_ops_monitoring.inference_log.connection import LogDatabase
from resnet_ops_monitoring.inference_log.database import (
    Utc,
    answers,
    configured_url,
    gaps,
    inferences,
    label_origins,
    labels,
    records,
    summaries,
)
from resnet_ops_monitoring.inference_log.frames import COLUMNS, LOGGED, check_columns
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.records import to_frame, to_rows
from resnet_ops_registry.common.distinct import distinct
from resnet_ops_registry.common.settings import EXPERIMENT, STATE

__all__ = ["Count", "InferenceLog", "Outcomes"]

_STREAMED = 10_000  # rows in memory at once, where a query may find millions
_CHUNK = 500  # ids in one IN (...): below SQLite's oldest limit on bound values


@dataclass(frozen=True)
class Count:
    """Numbers of some rows; last_id grows with every row that is added."""

    rows: int
    last_id: int
    labelled: int
    right: int

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.rows + other.rows,
            max(self.last_id, other.last_id),
            self.labelled + other.labelled,
            self.right + other.right,
        )


@dataclass(frozen=True)
class Outcomes:
    """Of the requests that were drawn: those without an answer, and the rates at which all were drawn, in order."""

    refused: int = 0
    failed: int = 0
    rates: tuple[float, ...] = ()


class InferenceLog(LogDatabase):
    """A log in the database at `url` (`sqlite:///file`, `postgresql://...`); made on first use.

    What is read are answers that somebody was given and that were drawn uniformly, so that they stand for production.
    Not refused or failed requests, answers in shadow, or rows that were kept for what is in them, unless these are
    asked for. Raises what `LogDatabase` raises.
    """

    table = answers
    """One row for each of these answers, for questions that SQL answers better."""

    @classmethod
    def open(cls) -> "InferenceLog":
        """The log at RESNET_OPS_INFERENCE_LOG, or else the project's own under var/; a DVC experiment has its own."""
        if EXPERIMENT is not None:
            return cls(f"sqlite:///{STATE}/experiments/{distinct(EXPERIMENT, 100)}.db")
        return cls(configured_url())

    def append(self, frame: pd.DataFrame) -> int:
        """Add the rows of `frame` in one transaction and return how many were new.

        Its columns, and where it has them `group`, `route`, `kept`, `drawn`, `queue_ms` and `total_ms`; without, all
        were answers of the champion, of no group, and all were kept. Rows of a replay that are there already are of the
        groups that are said now, and count as new where these differ. Otherwise a request id that is already there with
        the same answer of the same files adds nothing, so a repeated call is harmless (times and `label` may differ:
        the first measurement and the labels in the log stay). Raises DataError when a group is no text, or a request id
        is repeated inside `frame` or is there with another answer; then nothing is added.
        """
        check_columns(frame, COLUMNS, "The frame to log")
        rows = to_rows(frame)
        try:
            return self._add(rows)
        except IntegrityError:
            return self._add(rows)  # another process added some of them since we looked

    def read(self, model: str, **choice: Any) -> pd.DataFrame:
        """Answers of `model`, oldest first. choice: as in `_chosen`. None give an empty frame with all columns."""
        query, table = self._query(model, choice)
        with self._explained("read"), self._engine.connect() as connection:
            found = connection.execute(query.order_by(table.c.time, table.c.id)).all()
        return to_frame([tuple(row) for row in found])

    def stream(self, model: str, **choice: Any) -> Iterator[pd.DataFrame]:
        """The same rows in no order, a bounded number at a time. choice: as in `read`."""
        query, _ = self._query(model, choice)
        with self._explained("read"), self._engine.connect() as connection:
            result = connection.execution_options(yield_per=_STREAMED).execute(query)
            for found in result.partitions():
                yield to_frame([tuple(row) for row in found])

    def rows_of(self, ids: Sequence[str], digest: str) -> pd.DataFrame:
        """What a version's files answered to these requests, oldest first; ids that are not there are left out."""
        with self._explained("read"), self._engine.connect() as connection:
            rows = select_rows(connection, answers, ids, LOGGED)
            found = [tuple(row[name] for name in LOGGED) for row in rows if row["digest"] == digest]
        return to_frame(found).sort_values(["time", "request_id"], ignore_index=True)

    def count(self, model: str, **choice: Any) -> dict[str, Count]:
        """What can be counted without reading the rows, by source ("" for none). choice: as in `read`."""
        table, chosen = _chosen(model, **choice)
        source = func.coalesce(table.c.source, "")
        right = table.c.label == table.c.predicted  # named once: a label is looked up each time
        query = select(source, right, func.count(), func.max(table.c.id)).where(*chosen)
        counted: dict[str, Count] = {}
        with self._explained("read"), self._engine.connect() as connection:
            for name, each, rows, last in connection.execute(query.group_by(source, right)):
                labelled = 0 if each is None else rows
                one = Count(rows, last, labelled, rows if each else 0)
                counted[name] = one if name not in counted else counted[name] + one
        return counted

    def outcomes(self, model: str, **choice: Any) -> Outcomes:
        """What became of requests. choice: as in `read`."""
        table, chosen = _chosen(model, unanswered=True, **choice)
        query = select(table.c.status, table.c.drawn, func.count()).where(*chosen)
        with self._explained("read"), self._engine.connect() as connection:
            found = connection.execute(query.group_by(table.c.status, table.c.drawn)).all()
        refused, failed = (
            sum(n for status, _, n in found if status == name) for name in ("refused", "failed")
        )
        return Outcomes(refused, failed, tuple(sorted({rate for _, rate, _ in found})))

    def span(self, model: str, **choice: Any) -> tuple[datetime, datetime] | None:
        """The first and the last time among the rows; None without rows. choice: as in `read`."""
        table, chosen = _chosen(model, **choice)
        query = select(func.min(table.c.time, type_=Utc), func.max(table.c.time, type_=Utc))
        with self._explained("read"), self._engine.connect() as connection:
            first, last = connection.execute(query.where(*chosen)).one()
        return None if first is None else (first, last)

    def count_before(self, moment: datetime) -> int:
        """Rows of all models from before `moment`, which has a time zone: all there are, of any route and status."""
        query = select(func.count()).select_from(inferences).where(*_within(inferences, end=moment))
        with self._explained("read"), self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def forget(self, moment: datetime) -> int:
        """Delete rows of all models from before `moment`, and what was kept of their time; returns how many rows.

        In one transaction. Verdicts and pages that rest on them stay.
        """
        old = _within(inferences, end=moment)
        with self.transaction("write to") as connection:
            connection.execute(delete(summaries).where(summaries.c.hour < moment))
            connection.execute(delete(gaps).where(gaps.c.until < moment))
            gone = connection.execute(delete(inferences).where(*old)).rowcount
            _drop_orphans(connection)
        return gone

    def drop_replays(self, sources: Collection[str], identity: ModelIdentity, kept: Collection[str]) -> int:
        """Delete what a version answered in replays from simulated sources, but for these requests; returns how many.

        Rows of production belong to no replay (`window`), so none of them can go.
        """
        today, mine = set(kept), inferences.c.digest == identity.digest
        replays = (inferences.c.source.in_(sources), inferences.c.window.is_not(None))
        query = select(inferences.c.request_id, inferences.c.time)
        query = query.where(inferences.c.model == identity.name, mine, *replays)
        with self.transaction("write to") as connection:
            gone = {name: time for name, time in connection.execute(query) if name not in today}
            drop_summaries(connection, [(identity.digest, time) for time in gone.values()])
            old = list(gone)
            for begin in range(0, len(old), _CHUNK):
                some = inferences.c.request_id.in_(old[begin : begin + _CHUNK])
                connection.execute(delete(inferences).where(mine, some))
            _drop_orphans(connection)
        return len(old)

    def summary(self) -> pd.DataFrame:
        """One row for each (model, version, route, window).

        rows: answers that were drawn; chosen: that were kept only for what is in them; labelled: of both; refused,
        failed: requests without an answer; first and last time (UTC) of all.
        """
        keys = [records.c[name] for name in ("model", "version", "route", "window")]
        answered = records.c.status == ANSWERED
        query = select(
            *keys,
            func.count().filter(answered, records.c.drawn.is_not(None)).label("rows"),
            func.count().filter(answered, records.c.drawn.is_(None)).label("chosen"),
            func.count(records.c.label).filter(answered).label("labelled"),
            *(func.count().filter(records.c.status == name).label(name) for name in ("refused", "failed")),
            func.min(records.c.time, type_=Utc).label("first"),
            func.max(records.c.time, type_=Utc).label("last"),
        ).group_by(*keys)
        with self._explained("read"), self._engine.connect() as connection:
            found = connection.execute(query.order_by(*keys))
            return pd.DataFrame([tuple(row) for row in found], columns=pd.Index(list(found.keys())))

    def _add(self, rows: Sequence[Row]) -> int:
        with self.transaction("write to") as connection:
            added = add_rows(connection, rows)
            if added.taken:
                row, different = added.taken[0]
                raise DataError(
                    f"Request {row.request_id!r} is already in the log {self.place} with another "
                    f"{', '.join(different)}. Nothing was added. Give a new request its own id."
                )
        return added.new

    def _query(self, model: str, choice: dict[str, Any]) -> tuple[Select[Any], Subquery]:
        table, chosen = _chosen(model, **choice)
        # `to_frame` makes times aware, all at once
        naive = {"time": type_coerce(table.c.time, Utc.impl)}
        return select(*(naive.get(name, table.c[name]) for name in LOGGED)).where(*chosen), table


def _chosen(
    model: str,
    *,
    version: str | None = None,
    digest: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    window: str | None = None,
    routes: Sequence[Route] | None = None,
    all_kept: bool = False,
    unanswered: bool = False,
) -> tuple[Subquery, list[ColumnElement[bool]]]:
    """Where answers of `model` are, and what picks them: start <= time < end, or the replay `window`.

    `start` and `end` must know their time zone (ValueError otherwise). routes: others than those that were given to
    somebody, such as ("shadow",). all_kept: also those that were kept only for what is in them, which stand for
    nothing; with all labels. unanswered: also requests without an answer.
    """
    equal = {"model": model, "version": version, "digest": digest, "window": window}
    table, chosen = answers, list[ColumnElement[bool]]()
    if routes is not None or all_kept or unanswered:
        table, chosen = records, [records.c.route.in_(SERVED if routes is None else routes)]
        chosen += [] if unanswered else [records.c.status == ANSWERED]
        chosen += [] if all_kept else [records.c.drawn.is_not(None)]
    chosen += [table.c[name] == value for name, value in equal.items() if value is not None]
    return table, chosen + _within(table, start=start, end=end)


def _within(
    table: Subquery | Table, *, start: datetime | None = None, end: datetime | None = None
) -> list[ColumnElement[bool]]:
    for moment in (start, end):
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{moment.isoformat()} has no time zone; write for example 2026-01-31T08:00Z")
    chosen = [] if start is None else [table.c.time >= start]
    return chosen if end is None else [*chosen, table.c.time < end]


def _drop_orphans(connection: Connection) -> None:
    """Delete labels of requests of which no row is left."""
    for table in (labels, label_origins):
        rows = exists().where(inferences.c.request_id == table.c.request_id)
        connection.execute(delete(table).where(not_(rows)))
