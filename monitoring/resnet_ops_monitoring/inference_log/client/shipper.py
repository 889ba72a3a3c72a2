"""The thread that brings rows to the database: fresh batches, segments of before, and those that the dead left."""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Event, Lock, Thread

from sqlalchemy.exc import SQLAlchemyError

from resnet_ops.errors import ResnetOpsError
from resnet_ops_monitoring.inference_log.client.destination import Destination, decoded
from resnet_ops_monitoring.inference_log.client.segments import read_segment
from resnet_ops_monitoring.inference_log.client.spool import Spool
from resnet_ops_monitoring.inference_log.columns import Row
from resnet_ops_monitoring.inference_log.gaps import Gap

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


@dataclass(frozen=True)
class _Content:
    """Of a segment. damaged: how many other records there must have been."""

    path: Path
    records: Sequence[Row | Gap]
    damaged: int


class Shipper(Thread):
    """Writes to the database, which may be away when a server starts; alone uses `destination`, and adopts segments.

    on_segment: called when it is done with a segment. busy: held while the database is at work, for whoever must not
    disturb it. delay: seconds that the batch or segment waited that was written last.
    """

    def __init__(self, destination: Destination, spool: Spool, on_segment: Callable[[], None]) -> None:
        super().__init__(name="inference-log-shipper", daemon=True)
        self._destination, self._spool, self._on_segment = destination, spool, on_segment
        self._changed, self.busy = Condition(), Lock()
        self._batch: _Batch | None = None
        self._segments = deque[Path]()
        self._repeats: Collection[bytes] = ()  # written after they had been put by, too
        self._ahead: _Content | None = None
        self._working, self._stop_at = False, float("inf")
        self._retry_at, self._wait, self._adopt_at = 0.0, _FIRST_WAIT, 0.0
        self.delay = 0.0

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
                else:
                    self._on_segment()
        self._destination.close()

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
        if isinstance(job, Path):
            self._ship_segment(job)
            return
        records, damaged = decoded(job.contents)
        self._destination.write(records, damaged=damaged)
        job.written = True
        if job.abandoned:
            self._repeats = frozenset(job.contents)
        self.delay = job.age + time.monotonic() - job.since

    def _ship_segment(self, path: Path) -> None:
        waited = max(time.time() - int(path.name[:17]) / 1e6, 0.0)
        content, self._ahead = self._ahead, None
        if content is None or content.path != path:
            content = self._read(path)
        with self._changed:
            following = self._segments[1] if len(self._segments) > 1 else None
        with self._reading_ahead(following):
            self._destination.write(content.records, late=waited > _LATE, damaged=content.damaged)
        if content.damaged:
            _logger.warning("%d records of the segment %s are damaged and left out.", content.damaged, path)
        path.unlink()
        with self._changed:
            self._segments.popleft()
            if not self._segments:
                self._repeats = ()
        self.delay = waited

    def _read(self, path: Path) -> _Content:
        found = read_segment(path)
        records, others = decoded(content for _, content in found.records if content not in self._repeats)
        return _Content(path, records, found.damaged + others)

    @contextmanager
    def _reading_ahead(self, path: Path | None) -> Iterator[None]:
        """Meanwhile read and decode this segment in a thread, to which the database leaves the interpreter's lock."""

        def read(path: Path) -> None:
            with suppress(OSError):  # that is told when its turn comes
                self._ahead = self._read(path)

        reader = Thread(target=read, args=(path,), name="inference-log-reader", daemon=True)
        reads = path is not None and _started(reader)
        try:
            yield
        finally:
            if reads:
                reader.join()

    def _failed(self, job: _Batch | Path, error: Exception) -> None:
        self._ahead = None  # the database may be away for long
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


def _started(thread: Thread) -> bool:
    """Whether it could be: none starts any more when the interpreter ends."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True
