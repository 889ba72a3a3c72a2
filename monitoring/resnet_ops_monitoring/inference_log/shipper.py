"""The thread that brings rows to the database: fresh batches, segments of before, and those that the dead left."""

import logging
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from typing import Any

from sqlalchemy.exc import SQLAlchemyError, StatementError

from resnet_ops.errors import DataError, ResnetOpsError
from resnet_ops_monitoring.inference_log.appending import add_rows
from resnet_ops_monitoring.inference_log.connection import LogDatabase
from resnet_ops_monitoring.inference_log.gaps import Gap, add_gaps
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.losses import Losses
from resnet_ops_monitoring.inference_log.rows import decode
from resnet_ops_monitoring.inference_log.segments import read_segment
from resnet_ops_monitoring.inference_log.spool import Spool

__all__ = ["Shipper"]

_logger = logging.getLogger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 30.0  # seconds between attempts, doubled each time
_ADOPT_EVERY = 10.0  # seconds between two looks for what dead processes left
_LATE = 60.0  # seconds in a segment from which on rows may have been overtaken by others of their source


@dataclass
class _Batch:
    contents: Sequence[bytes]
    age: float
    since: float = field(default_factory=time.monotonic)
    done: Event = field(default_factory=Event)
    written: bool = False
    abandoned: bool = False


class Shipper(Thread):
    """Writes to the database at `url`; the database is opened here, so that it may be away when a server starts.

    busy: held while the database is at work, for whoever must not disturb it.
    """

    def __init__(self, url: str, spool: Spool, losses: Losses) -> None:
        super().__init__(name="inference-log-shipper", daemon=True)
        self._url, self._spool, self._losses = url, spool, losses
        self._database: LogDatabase | None = None
        self._changed, self.busy = Condition(), Lock()
        self._batch: _Batch | None = None
        self._segments = deque[Path]()
        self._repeats: Collection[bytes] = ()  # written after they had been put by, too
        self._working, self._stop_at = False, float("inf")
        self._retry_at, self._wait, self._adopt_at = 0.0, _FIRST_WAIT, 0.0
        self.written, self.delay = 0, 0.0

    @property
    def idle(self) -> bool:
        """Whether a batch would be written now: nothing is before it, and the database is not known to be away."""
        with self._changed:
            waiting = self._working or self._batch is not None or self._segments
            return not waiting and time.monotonic() >= self._retry_at

    def offer(self, contents: Sequence[bytes], age: float, patience: float) -> bool:
        """Have records written now; False where that failed or took longer. age: seconds since the first was made."""
        batch = _Batch(contents, age)
        with self._changed:
            self._batch = batch
            self._changed.notify()
        if not batch.done.wait(patience):
            batch.abandoned = True
        return batch.written

    def add(self, segment: Path) -> None:
        """A segment that is complete, to be written after those before it."""
        with self._changed:
            self._segments.append(segment)
            self._changed.notify()

    def stop(self, patience: float) -> None:
        """End when all segments are written, when the database does not answer, or after so many seconds."""
        with self._changed:
            self._stop_at = time.monotonic() + patience
            self._changed.notify()

    def run(self) -> None:
        """Until it is stopped."""
        while (job := self._next()) is not None:
            try:
                with self.busy:
                    self._ship(job)
                self._retry_at, self._wait = 0.0, _FIRST_WAIT
            except (ResnetOpsError, SQLAlchemyError, OSError) as error:
                self._failed(job, error)
            finally:
                with self._changed:
                    self._working = False
                if isinstance(job, _Batch):
                    job.done.set()
        if self._database is not None:
            self._database.close()

    def _next(self) -> _Batch | Path | None:
        """What to write; None when there is nothing more to do."""
        while True:
            with self._changed:
                now, job = time.monotonic(), self._batch or next(iter(self._segments), None)
                stopping = self._stop_at < float("inf")
                if stopping and (job is None or now < self._retry_at or now >= self._stop_at):
                    return None
                if job is not None and now >= self._retry_at:
                    self._batch, self._working = None, True
                    return job
                if now < self._adopt_at or stopping:
                    due = self._retry_at if job is not None else self._adopt_at
                    self._changed.wait(max(min(due, self._stop_at) - now, 0.01))
                    continue
            self._adopt()

    def _adopt(self) -> None:
        self._adopt_at = time.monotonic() + _ADOPT_EVERY
        try:
            with self.busy:
                found = self._spool.adopt()
        except OSError as error:
            _logger.warning("Segments of the inference log that others left cannot be taken over: %s", error)
            return
        if found:
            _logger.info("%d segments of the inference log are taken over from others.", len(found))
        for segment in found:
            self.add(segment)

    def _ship(self, job: _Batch | Path) -> None:
        if isinstance(job, _Batch):
            self._write(job.contents, late=False)
            job.written = True
            if job.abandoned:
                self._repeats = frozenset(job.contents)
            self.delay = job.age + time.monotonic() - job.since
            return
        found, waited = read_segment(job), max(time.time() - int(job.name[:17]) / 1e6, 0.0)
        contents = [content for _, content in found.records if content not in self._repeats]
        rows = self._write(contents, late=waited > _LATE)
        if found.damaged:
            self._tell_damage(job, found.damaged, rows)
        job.unlink()
        with self._changed:
            self._segments.popleft()
            if not self._segments:
                self._repeats = ()
        self.delay = waited

    def _failed(self, job: _Batch | Path, error: Exception) -> None:
        if isinstance(job, Path) and isinstance(error, OSError):
            _logger.error(
                "A segment of the inference log cannot be read or removed, and stays where it is: %s", error
            )
            with self._changed:
                self._segments.popleft()
            return
        _logger.log(
            logging.WARNING if self._wait == _FIRST_WAIT else logging.DEBUG,
            "The inference log cannot be written to; rows are put by until it can: %s",
            error,
        )
        self._retry_at = time.monotonic() + self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def _write(self, contents: Sequence[bytes], *, late: bool) -> list[dict[str, Any]]:
        decoded = list(self._decoded(contents))
        rows = [each for each in decoded if isinstance(each, dict)]
        gaps = [each for each in decoded if isinstance(each, Gap)]
        if self._database is None:
            self._database = LogDatabase(self._url)
            self._database.make_tables()  # a log of an older program has no table of gaps
        self.written += self._insert(self._database, rows, [*gaps, *(_late_gaps(rows) if late else ())])
        return rows

    def _decoded(self, contents: Sequence[bytes]) -> Iterator[dict[str, Any] | Gap]:
        for content in contents:
            try:
                yield decode(content)
            except DataError as error:  # whole, but of another program
                self._losses.counts["damaged"] += 1
                _logger.warning("A record that was put by is left out: %s", error)

    def _insert(self, database: LogDatabase, rows: list[dict[str, Any]], gaps: list[Gap]) -> int:
        """How many were new. A row that the database will never take is lost, and no other with it."""
        try:
            with database.transaction("write to") as connection:
                added = add_rows(connection, rows)
                add_gaps(connection, gaps)
        except (DataError, StatementError):
            if not rows:
                raise
            if len(rows) == 1:
                self._lose("refused", rows[0], "the database refuses it")
                return self._insert(database, [], gaps)
            middle = len(rows) // 2
            return self._insert(database, rows[:middle], gaps) + self._insert(database, rows[middle:], [])
        for row, _ in added.taken:
            self._lose("refused", row, "its request id is in the log with another answer")
        return added.new

    def _tell_damage(self, segment: Path, damaged: int, rows: Sequence[dict[str, Any]]) -> None:
        _logger.warning("%d records of the segment %s are damaged and left out.", damaged, segment)
        self._losses.counts["damaged"] += 0 if rows else damaged
        if rows:  # whose the others were, is known by these only
            self._lose("damaged", rows[0], "a segment is damaged", until=rows[-1]["time"], rows=damaged)

    def _lose(
        self, kind: str, row: dict[str, Any], reason: str, *, until: datetime | None = None, rows: int = 1
    ) -> None:
        times = sorted((row["time"], until or row["time"]))
        self._losses.add(kind, _identity(row), row["source"], *times, reason, rows)


def _identity(row: dict[str, Any]) -> ModelIdentity:
    return ModelIdentity(row["model"], row["version"], row["digest"])


def _late_gaps(rows: Sequence[dict[str, Any]]) -> list[Gap]:
    """Of each source, from when to when its rows are that waited in a segment."""
    found: dict[tuple[ModelIdentity, str | None], Gap] = {}
    reason = f"waited until {datetime.now(UTC):%Y-%m-%d %H:%M} UTC for the database"
    for row in rows:
        key = (_identity(row), row["source"])
        gap = Gap(*key, row["time"], row["time"], reason, late=1)
        found[key] = found[key].joined(gap) if key in found else gap
    return list(found.values())
