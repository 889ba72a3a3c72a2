"""Rows in memory, as bytes: bounded in number and size from when they are recorded until they are safe elsewhere."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from threading import Event, Lock

__all__ = ["RowQueue"]


class RowQueue:
    """Any thread puts, one takes. What was taken still counts as held until it is said to be safe.

    waiting: set while there is something to take, and by whoever wants the one who takes to look; enough: while there
    is a batch. on_safe: called by the thread that takes, each time rows are safe. A lock that a forked process inherits
    may be held for ever: there, make a new queue.
    """

    def __init__(self, rows: int, size: int, batch: int) -> None:
        self._most_rows, self._most_bytes, self._batch = rows, size, batch
        self._lock, self._waiting = Lock(), deque[tuple[float, bytes]]()
        self._taken: tuple[tuple[float, bytes], ...] = ()
        self.waiting, self.enough = Event(), Event()
        self.on_safe: Callable[[], None] = lambda: None
        self.recorded, self.left_out, self.rows, self.bytes = 0, 0, 0, 0

    def put(self, row: bytes) -> bool:
        """Hold a row; False where there is no room."""
        return self.put_all((row,)) is not None

    def put_all(self, rows: Sequence[bytes]) -> int | None:
        """Hold rows, and say how many were ever held with them; None, and none held, where not all have room."""
        size = sum(map(len, rows))
        with self._lock:
            if self.rows + len(rows) > self._most_rows or self.bytes + size > self._most_bytes:
                return None
            now, before = time.monotonic(), len(self._waiting)
            self._waiting.extend([(now, row) for row in rows])
            self.recorded += len(rows)
            self.rows += len(rows)
            self.bytes += size
            if not before:
                self.waiting.set()
            if before < self._batch <= before + len(rows):
                self.enough.set()
            return self.recorded

    @property
    def safe_rows(self) -> int:
        """How many of the rows that were ever held are safe now: the first ones."""
        with self._lock:
            return self.recorded - self.rows

    def leave_out(self) -> None:
        """Count a row that nobody wants to keep."""
        with self._lock:
            self.left_out += 1

    def take(self) -> Sequence[bytes]:
        """The oldest rows, at most a batch: those of before again, until they are said to be safe."""
        with self._lock:
            if not self._taken:
                self._taken = tuple(islice(self._waiting, self._batch))
            if not self._taken:
                self.waiting.clear()
            return [row for _, row in self._taken]

    def safe(self) -> None:
        """What was taken last is in the database or on the disk."""
        with self._lock:
            for _ in self._taken:
                self._waiting.popleft()
            self.rows -= len(self._taken)
            self.bytes -= sum(len(row) for _, row in self._taken)
            self._taken = ()
            if not self._waiting:
                self.waiting.clear()
            if len(self._waiting) < self._batch:
                self.enough.clear()
        self.on_safe()

    def shut(self) -> None:
        """Hold no more rows than there are."""
        with self._lock:
            self._most_rows = 0

    def age(self) -> float:
        """Seconds that the oldest row is held; 0 without any."""
        with self._lock:
            return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0
