"""Rows in memory, as bytes: bounded in number and size from when they are recorded until they are safe elsewhere."""

import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from threading import Event, Lock

__all__ = ["RowQueue"]


class RowQueue:
    """Any thread puts, one takes. What was taken still counts as held until it is said to be safe.

    waiting: set while there is something to take; enough: while there is a batch of it. A lock that a forked process
    inherits may be held for ever: there, make a new queue.
    """

    def __init__(self, rows: int, size: int, batch: int) -> None:
        self._most_rows, self._most_bytes, self._batch = rows, size, batch
        self._lock, self._waiting = Lock(), deque[tuple[float, bytes]]()
        self._taken: tuple[tuple[float, bytes], ...] = ()
        self.waiting, self.enough = Event(), Event()
        self.recorded, self.left_out, self.rows, self.bytes = 0, 0, 0, 0

    def put(self, row: bytes) -> bool:
        """Hold a row; False where there is no room."""
        with self._lock:
            if self.rows >= self._most_rows or self.bytes + len(row) > self._most_bytes:
                return False
            self._waiting.append((time.monotonic(), row))
            self.recorded += 1
            self.rows += 1
            self.bytes += len(row)
            if len(self._waiting) == 1:
                self.waiting.set()
            elif len(self._waiting) == self._batch:
                self.enough.set()
            return True

    def leave_out(self) -> None:
        """Count a row that nobody wants to keep."""
        with self._lock:
            self.left_out += 1

    def take(self) -> Sequence[bytes]:
        """The oldest rows, at most a batch: those of before again, until they are said to be safe."""
        with self._lock:
            if not self._taken:
                self._taken = tuple(islice(self._waiting, self._batch))
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

    def shut(self) -> None:
        """Hold no more rows than there are."""
        with self._lock:
            self._most_rows = 0

    def age(self) -> float:
        """Seconds that the oldest row is held; 0 without any."""
        with self._lock:
            return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0
