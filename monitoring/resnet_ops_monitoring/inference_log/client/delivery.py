"""How a process's rows leave its memory: to the database where it takes them at once, else into a segment."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread

from sqlalchemy.engine import URL

from resnet_ops_monitoring.inference_log.client.destination import Destination
from resnet_ops_monitoring.inference_log.client.losses import Losses
from resnet_ops_monitoring.inference_log.client.row_queue import RowQueue
from resnet_ops_monitoring.inference_log.client.shipper import Shipper
from resnet_ops_monitoring.inference_log.client.spool import Spool, spool_folder
from resnet_ops_monitoring.inference_log.rows import encode_gap

__all__ = ["LIMITS", "SAFE_WITHIN", "Delivery", "Limits", "WriterStats"]

_logger = logging.getLogger(__name__)
SAFE_WITHIN = 0.2
"""Seconds after which a recorded row is in the database or on the disk, besides what the disk takes for it: this much
is lost by `kill -9`."""
_GATHER = 0.08  # seconds that rows are gathered to a batch
_PATIENCE = 0.05  # seconds that the database may take for a batch before that is put by
_PATIENCE_WITHOUT_DISK = 5.0  # where the database is the only place left
_RETRY = 0.1  # seconds until rows that had no place are tried again
_LOOK = 1.0  # seconds between two looks at what is to do besides rows
_GAPS_EVERY = 5.0  # seconds between two records of a gap that grows


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a writer may take. Beyond it rows are dropped and counted."""

    rows: int
    """Rows in the memory of each process."""
    bytes: int
    """Bytes of these."""
    disk_bytes: int
    """Bytes that segments of all processes may take together."""
    segment_bytes: int
    """From so many bytes on a segment is full."""
    batch: int
    """Rows in one transaction."""


LIMITS = Limits(rows=20_000, bytes=64 * 2**20, disk_bytes=2**30, segment_bytes=4 * 2**20, batch=1000)


@dataclass(frozen=True)
class WriterStats:
    """What became of the rows of one process so far, and what is under way now.

    recorded: taken by `record`. left_out: by the sampling. written: new in the database. spilled: put by in a
    segment first. dropped: not taken, for want of room. refused: not such rows as the log holds. damaged: records
    of segments that are lost. depth, depth_bytes: in memory. disk_bytes: in segments, of all processes.
    oldest_seconds: that the oldest row of this process waits. delay_seconds: from `record` to the database, of the
    batch that was written last.
    """

    recorded: int
    left_out: int
    written: int
    spilled: int
    dropped: int
    refused: int
    damaged: int
    depth: int
    depth_bytes: int
    disk_bytes: int
    oldest_seconds: float
    delay_seconds: float


class Delivery:
    """One process's rows under way, with two threads: one empties the queue, the other waits for the database.

    rows wait in `queue`; `losses` counts what is lost. trouble: why rows could not be put by when that was tried last;
    empty where they could.
    """

    def __init__(self, url: URL, root: Path, limits: Limits) -> None:
        self.queue, self.losses = RowQueue(limits.rows, limits.bytes, limits.batch), Losses()
        self.spool = Spool(spool_folder(root, url), limits.disk_bytes, limits.segment_bytes)
        self.destination = Destination(url.render_as_string(hide_password=False), self.losses)
        self.shipper = Shipper(self.destination, self.spool, self.queue.waiting.set)
        self.trouble, self._spilled = "", 0
        self.busy = Lock()
        self._closing, self._give_up_at = Event(), float("inf")
        self._gaps: list[bytes] = []
        self._gaps_due = 0.0
        self._keeper = Thread(target=self._keep, name="inference-log-keeper", daemon=True)
        self.shipper.start()
        self._keeper.start()

    def close(self, patience: float) -> None:
        """Bring what is there to the database within so many seconds, else to the disk; then let go."""
        self.queue.shut()
        end = time.monotonic() + patience
        self._give_up_at = end
        self._closing.set()
        self.queue.waiting.set()
        self.queue.enough.set()
        self._keeper.join(patience + _LOOK)
        self.shipper.stop(max(end - time.monotonic(), 0.0))
        self.shipper.join(max(end - time.monotonic(), 0.0) + _GATHER)
        with self.busy:
            self.spool.close()

    def stats(self) -> WriterStats:
        """What became of the rows of this process."""
        queue, lost, put_by = self.queue, self.losses.counts, self.spool.oldest()
        return WriterStats(
            recorded=queue.recorded,
            left_out=queue.left_out,
            written=self.destination.written,
            spilled=self._spilled,
            dropped=lost["dropped"],
            refused=lost["refused"],
            damaged=lost["damaged"],
            depth=queue.rows,
            depth_bytes=queue.bytes,
            disk_bytes=self.spool.used(),
            oldest_seconds=max(queue.age(), 0.0 if put_by is None else time.time() - put_by),
            delay_seconds=self.shipper.delay,
        )

    def _keep(self) -> None:
        while not self._closing.is_set():
            self.queue.waiting.wait(_LOOK)
            if self.queue.rows:
                self.queue.enough.wait(_GATHER)
            if not self._pass():
                self._closing.wait(_RETRY)
        while not self._pass() and time.monotonic() < self._give_up_at:
            time.sleep(_RETRY)
        self._seal()
        self._abandon()

    def _pass(self) -> bool:
        """Move what is there; whether all of it found a place."""
        moved = True
        while moved and (rows := self.queue.take()):
            moved = self._move(rows, self.queue.age())
            if moved:
                self.queue.safe()
        now = time.monotonic()
        if not self._gaps and (now >= self._gaps_due or self._closing.is_set()):
            self._gaps, self._gaps_due = [encode_gap(gap) for gap in self.losses.take()], now + _GAPS_EVERY
        if self._gaps and self._move(self._gaps, 0.0, beyond=True):
            self._gaps = []
        if self.shipper.idle:
            self._seal()
        return moved and not self._gaps

    def _move(self, contents: Sequence[bytes], age: float, *, beyond: bool = False) -> bool:
        in_time = age + _PATIENCE <= SAFE_WITHIN
        if self.shipper.idle and not self.spool.growing and (in_time or self.trouble):
            patience = _PATIENCE_WITHOUT_DISK if self.trouble else _PATIENCE
            if self.shipper.offer(contents, age, patience):
                return True
        try:
            with self.busy:
                self.spool.add(contents, beyond=beyond)
        except OSError as error:
            self._troubled(f"the database is slow or away, and {error.strerror or error}")
            return False
        if not beyond:  # a gap finds room where rows do not
            self.trouble = ""
            self._spilled += len(contents)
        if self.spool.full:
            self._seal()
        return True

    def _troubled(self, why: str) -> None:
        if self.trouble != why:
            _logger.error("Rows for the inference log find no place and wait in memory: %s.", why)
        self.trouble = why

    def _seal(self) -> None:
        with self.busy:
            sealed = self.spool.seal()
        if sealed is not None:
            self.shipper.add(sealed)

    def _abandon(self) -> None:
        """The process ends, and there is no place: what is lost is said where it still can be."""
        left = self.queue.rows
        if left or self._gaps:
            _logger.error(
                "%d rows and %d gaps are lost to the inference log, since their process ends: %s.",
                left,
                len(self._gaps),
                self.trouble,
            )
