"""How long a request will wait, by how long those before it took."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Pace"]

_REMEMBERED = 2.0
"""Seconds of work after which what was measured before has 1/e of its weight."""


class Pace:
    """For one event loop: requests from when their bodies are there until their answers, and their images.

    What ends takes the seconds since something ended before, while there was something to do: so whatever is slow
    counts, be it decoding, the model or this process, and what is done side by side counts once. A request that
    was alone tells little of many that share a batch, so it counts only where it is quicker than they were, or with
    those who came meanwhile: they may have shared its batch, and ended with it. One that ends without an answer, such
    as a body that is no image, measures nothing: what it took counts for those who were decoded meanwhile.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._since, self._shared, self._ended = 0.0, False, -math.inf
        self._seconds, self._images, self._alone = 0.0, 0.0, 0
        self._decoded = 0  # requests under way whose images are counted
        self.ahead = 0
        """Images of requests under way; one for each until it is decoded."""

    def anybody_since(self, moment: float) -> bool:
        """Whether others are under way, or ended after this moment of the clock."""
        return bool(self.ahead) or self._ended > moment

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
        images, decoded = 1, False

        def holds(count: int) -> None:
            nonlocal images, decoded
            self.ahead += count - images
            self._decoded += not decoded
            images, decoded = count, True

        if not self.ahead:
            self._since, self._shared, self._alone = self._clock(), False, 0
        self.ahead += images
        answered = False
        try:
            yield holds
            answered = True
        finally:
            self.ahead -= images
            self._decoded -= decoded
            if answered:
                self._count(images)
            else:
                self._pass_over()

    def _count(self, images: int) -> None:
        now = self._clock()
        seconds, done = now - self._since, self._alone + images
        if self._shared or seconds < self._each * done:
            kept = math.exp(-seconds / _REMEMBERED)
            self._seconds = kept * self._seconds + seconds
            self._images = kept * self._images + done
        elif self.ahead and not self._alone:
            self._alone, self._ended, self._shared = images, now, self.ahead > 1
            return
        self._since, self._ended, self._shared, self._alone = now, now, self.ahead > 1, 0

    def _pass_over(self) -> None:
        self._ended = now = self._clock()
        if not self._decoded:
            self._since, self._shared, self._alone = now, self.ahead > 1, 0
