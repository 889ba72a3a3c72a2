"""How long a request will wait, by how long those before it took."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["LoopLag", "Pace"]

_REMEMBERED = 2.0
"""Seconds of work after which what was measured before has 1/e of its weight."""
_BEAT, _BEATS = 0.005, 5


class Pace:
    """For one event loop: requests from when their bodies are there until their answers, and their images.

    What ends takes the seconds since something ended before, while there was something to do: so whatever is slow
    counts, be it decoding, the model or this process, and what is done side by side counts once. A request that
    was alone tells little of many that share a batch, so it counts only where it is quicker than they were.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since, self._shared = 0.0, False
        self._seconds, self._images = 0.0, 0.0
        self.ahead = 0
        """Images of requests under way; one for each until it is decoded."""

    @property
    def wait(self) -> float:
        """Seconds until those under way have their answers, if no others come; 0 where nothing was measured."""
        return self.ahead * self._each

    @property
    def _each(self) -> float:
        return self._seconds / self._images if self._images else 0.0

    @contextmanager
    def under_way(self) -> Iterator[Callable[[int], None]]:
        """Of one request, whatever becomes of it. What it gives is to be told how many images there are."""
        images = 0

        def holds(count: int) -> None:
            nonlocal images
            self.ahead += count - images
            images = count

        if not self.ahead:
            self._since, self._shared = self._clock(), False
        holds(1)
        try:
            yield holds
        finally:
            self.ahead -= images
            self._count(images)

    def _count(self, images: int) -> None:
        now = self._clock()
        seconds = now - self._since
        if self._shared or seconds < self._each * images:
            kept = math.exp(-seconds / _REMEMBERED)
            self._seconds = kept * self._seconds + seconds
            self._images = kept * self._images + images
        self._since, self._shared = now, self.ahead > 1


class LoopLag:
    """How far an event loop is behind: what it has not read yet waits so long, and nobody else knows of it.

    The least of the last beats counts: one pause is no overload.
    """

    def __init__(self) -> None:
        self._beats = deque[float](maxlen=_BEATS)

    @property
    def seconds(self) -> float:
        """0 where it is not known yet."""
        return min(self._beats) if len(self._beats) == _BEATS else 0.0

    def start(self) -> None:
        """Measure the running loop from now on, until it ends."""
        loop = asyncio.get_running_loop()
        due = loop.time() + _BEAT

        def beat() -> None:
            nonlocal due
            self.note(loop.time() - due)
            due = loop.time() + _BEAT
            loop.call_at(due, beat)

        loop.call_at(due, beat)

    def note(self, seconds: float) -> None:
        """One beat that came so late."""
        self._beats.append(max(seconds, 0.0))
