"""The inference log: every answer that a model gave in production, in an SQL database."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, Connection, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.appending import add_rows, select_rows
from resnet_ops_monitoring.inference_log.connection import SCHEMA_VERSION, LogDatabase
from resnet_ops_monitoring.inference_log.database import (
    Utc,
    gaps,
    inferences,
    label_origins,
    summaries,
)
from resnet_ops_monitoring.inference_log.frames import COLUMNS, check_columns
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.label_names import as_classes
from resnet_ops_monitoring.inference_log.records import to_frame, to_records
from resnet_ops_registry.common.distinct import distinct
from resnet_ops_registry.common.settings import EXPERIMENT, STATE

__all__ = ["SCHEMA_VERSION", "Count", "InferenceLog"]

_STREAMED = 10_000  # rows in memory at once, where a query may find millions
_CHUNK = 500  # ids in one IN (...): below SQLite's oldest limit on bound values
_LABELLED = ("label", "model", "version", "digest", "probabilities")


@dataclass(frozen=True)
class Count:
    """Numbers of some rows; last_id grows with every row that is added."""

    rows: int
    last_id: int
    labelled: int
    right: int


class InferenceLog(LogDatabase):
    """A log in the database at `url` (`sqlite:///file`, `postgresql://...`); made on first use.

    Raises what `LogDatabase` raises.
    """

    table = inferences
    """One row for each answer, for questions that SQL answers better."""

    @classmethod
    def open(cls) -> "InferenceLog":
        """The log at RESNET_OPS_INFERENCE_LOG, or else the project's own under var/; a DVC experiment has its own."""
        if EXPERIMENT is not None:
            return cls(f"sqlite:///{STATE}/experiments/{distinct(EXPERIMENT, 100)}.db")
        return cls(os.environ.get("RESNET_OPS_INFERENCE_LOG") or "sqlite:///var/inference.db")

    def append(self, frame: pd.DataFrame) -> int:
        """Add the rows of `frame` in one transaction and return how many were new.

        A request id that is already there with the same content adds nothing, so a repeated call is harmless
        (`latency_ms` and `label` may differ: the first measurement and the labels in the log stay). Raises
        DataError when a request id is repeated inside `frame` or is there with other content; then nothing is
        added.
        """
        check_columns(frame, COLUMNS, "The frame to log")
        records = to_records(frame)
        try:
            return self._add(records)
        except IntegrityError:
            return self._add(records)  # another process added some of them since we looked

    def read(
        self,
        model: str,
        *,
        version: str | None = None,
        digest: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        window: str | None = None,
    ) -> pd.DataFrame:
        """Rows of `model` with start <= time < end, or of the replay `window`, oldest first.

        `start` and `end` must know their time zone (ValueError otherwise). No rows give an empty frame with all
        columns.
        """
        chosen = _chosen(model, version=version, digest=digest, start=start, end=end, window=window)
        query = select(*(inferences.c[name] for name in COLUMNS)).where(*chosen)
        with self._explained("read"), self._engine.connect() as connection:
            found = connection.execute(query.order_by(inferences.c.time, inferences.c.id)).all()
        return to_frame([tuple(row) for row in found])

    def stream(self, model: str, **choice: Any) -> Iterator[pd.DataFrame]:
        """The same rows in no order, a bounded number at a time. choice: as in `read`."""
        query = select(*(inferences.c[name] for name in COLUMNS)).where(*_chosen(model, **choice))
        with self._explained("read"), self._engine.connect() as connection:
            result = connection.execution_options(yield_per=_STREAMED).execute(query)
            for found in result.partitions():
                yield to_frame([tuple(row) for row in found])

    def rows_of(self, ids: Sequence[str]) -> pd.DataFrame:
        """The rows of these requests, oldest first; ids that are not there are left out."""
        with self._explained("read"), self._engine.connect() as connection:
            found = [tuple(row[name] for name in COLUMNS) for row in select_rows(connection, ids, COLUMNS)]
        return to_frame(found).sort_values(["time", "request_id"], ignore_index=True)

    def count(self, model: str, **choice: Any) -> dict[str, Count]:
        """What can be counted without reading the rows, by source ("" for none). choice: as in `read`."""
        source = func.coalesce(inferences.c.source, "")
        query = select(
            source,
            func.count(),
            func.max(inferences.c.id),
            func.count(inferences.c.label),
            func.count().filter(inferences.c.label == inferences.c.predicted),
        )
        query = query.where(*_chosen(model, **choice)).group_by(source)
        with self._explained("read"), self._engine.connect() as connection:
            return {name: Count(*numbers) for name, *numbers in connection.execute(query)}

    def span(self, model: str, **choice: Any) -> tuple[datetime, datetime] | None:
        """The first and the last time among the rows; None without rows. choice: as in `read`."""
        query = select(func.min(inferences.c.time, type_=Utc), func.max(inferences.c.time, type_=Utc))
        with self._explained("read"), self._engine.connect() as connection:
            first, last = connection.execute(query.where(*_chosen(model, **choice))).one()
        return None if first is None else (first, last)

    def label(
        self,
        ids: Sequence[str],
        labels: Sequence[str],
        classes_of: Callable[[ModelIdentity], Collection[str] | None] = lambda identity: None,
    ) -> int:
        """Set the true class of logged requests, in one transaction; returns how many labels changed.

        A label is the class that it equals, but for blanks around it and `7.0` for 7. The classes of a model are those
        that it answered with, where these are all; else classes_of says them, or None where it cannot. Raises
        DataError, and sets nothing, when an id is not in the log, a label is no class of the model that answered, or
        the lengths differ.
        """
        if len(ids) != len(labels):
            raise DataError(f"{len(ids)} request ids but {len(labels)} labels: give one label for each id.")
        with self._explained("write to"), self._engine.begin() as connection:
            there = {row["request_id"]: row for row in select_rows(connection, ids, _LABELLED)}
            unknown = [name for name in ids if name not in there]
            if unknown:
                raise DataError(
                    f"{len(unknown)} of {len(ids)} request ids are not in the log, the first is {unknown[0]!r}. "
                    "Nothing was labelled. See what is there: resnet-ops log show"
                )
            classes = _classes(connection, there.values(), set(labels), classes_of)
            meant = as_classes(
                [(there[name]["digest"], label) for name, label in zip(ids, labels, strict=True)], classes
            )
            changes = [
                (name, label) for name, label in zip(ids, meant, strict=True) if there[name]["label"] != label
            ]
            for name, label in changes:
                connection.execute(
                    update(inferences).where(inferences.c.request_id == name).values(label=label)
                )
        return len(changes)

    def count_before(self, moment: datetime) -> int:
        """Rows of all models from before `moment`, which has a time zone."""
        query = select(func.count()).select_from(inferences).where(*_chosen(None, end=moment))
        with self._explained("read"), self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def forget(self, moment: datetime) -> int:
        """Delete rows of all models from before `moment`, and what was kept of their time; returns how many rows.

        In one transaction. Verdicts and pages that rest on them stay.
        """
        with self._explained("write to"):
            self.make_tables()
            with self._engine.begin() as connection:
                connection.execute(delete(summaries).where(summaries.c.hour < moment))
                connection.execute(delete(gaps).where(gaps.c.until < moment))
                old = select(inferences.c.request_id).where(*_chosen(None, end=moment))
                connection.execute(delete(label_origins).where(label_origins.c.request_id.in_(old)))
                return connection.execute(delete(inferences).where(*_chosen(None, end=moment))).rowcount

    def drop_replays(self, source: str, identity: ModelIdentity, kept: Collection[str]) -> int:
        """Delete what a version answered in replays from a simulated source, but for these requests; returns how many.

        Rows of production belong to no replay (`window`), so none of them can go.
        """
        self.make_tables()
        today = set(kept)
        with self._explained("write to"), self._engine.begin() as connection:
            chosen = [*_chosen(identity.name, digest=identity.digest), inferences.c.source == source]
            chosen.append(inferences.c.window.is_not(None))
            there = connection.execute(select(inferences.c.request_id).where(*chosen)).scalars()
            old = [name for name in there if name not in today]
            for begin in range(0, len(old), _CHUNK):
                some = old[begin : begin + _CHUNK]
                connection.execute(delete(label_origins).where(label_origins.c.request_id.in_(some)))
                connection.execute(delete(inferences).where(inferences.c.request_id.in_(some)))
        return len(old)

    def summary(self) -> pd.DataFrame:
        """One row for each (model, version, window): rows, labelled, first and last time (UTC)."""
        keys = (inferences.c.model, inferences.c.version, inferences.c.window)
        query = select(
            *keys,
            func.count().label("rows"),
            func.count(inferences.c.label).label("labelled"),
            func.min(inferences.c.time, type_=Utc).label("first"),
            func.max(inferences.c.time, type_=Utc).label("last"),
        ).group_by(*keys)
        with self._explained("read"), self._engine.connect() as connection:
            found = connection.execute(query.order_by(*keys)).all()
        columns = ["model", "version", "window", "rows", "labelled", "first", "last"]
        return pd.DataFrame([tuple(row) for row in found], columns=pd.Index(columns))

    def _add(self, records: list[dict[str, Any]]) -> int:
        with self.transaction("write to") as connection:
            added = add_rows(connection, records)
            if added.taken:
                record, different = added.taken[0]
                raise DataError(
                    f"Request {record['request_id']!r} is already in the log {self.place} with another "
                    f"{', '.join(different)}. Nothing was added. Give a new request its own id."
                )
        return added.new


def _chosen(
    model: str | None,
    *,
    version: str | None = None,
    digest: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    window: str | None = None,
) -> list[ColumnElement[bool]]:
    for moment in (start, end):
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{moment.isoformat()} has no time zone; write for example 2026-01-31T08:00Z")
    equal = {"model": model, "version": version, "digest": digest, "window": window}
    chosen = [inferences.c[name] == value for name, value in equal.items() if value is not None]
    if start is not None:
        chosen.append(inferences.c.time >= start)
    if end is not None:
        chosen.append(inferences.c.time < end)
    return chosen


def _classes(
    connection: Connection,
    rows: Iterable[dict[str, Any]],
    labels: set[str],
    classes_of: Callable[[ModelIdentity], Collection[str] | None],
) -> dict[str, Collection[str]]:
    """The classes of each model that answered these rows, by its digest, where they can be told."""
    classes: dict[str, Collection[str]] = {}
    for digest, row in {row["digest"]: row for row in rows}.items():
        answers = select(inferences.c.predicted).where(inferences.c.digest == digest).distinct()
        answered = set(connection.execute(answers).scalars())
        if len(answered) * np.dtype("<f4").itemsize == len(row["probabilities"]):
            classes[digest] = answered
        elif not labels <= answered:
            known = classes_of(ModelIdentity(row["model"], row["version"], digest))
            if known is not None:
                classes[digest] = known
    return classes
