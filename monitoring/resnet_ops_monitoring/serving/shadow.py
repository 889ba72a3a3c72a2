"""What another version says of the requests that were answered: nobody waits for it, and nobody is given it."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import Literal

import numpy as np

from resnet_ops_monitoring.serving.body import Sent
from resnet_ops_monitoring.serving.scorer import largest_batch, score_batch
from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
from resnet_ops_monitoring.serving.swap import Follower
from resnet_ops_monitoring.serving.version import Version
from resnet_ops_monitoring.settings.serving import ShadowParams

__all__ = ["Answered", "Shadow"]

_logger = logging.getLogger(__name__)
_LOOK = 0.002  # seconds between two looks whether the version that answers has nothing to do
_PATIENCE = 5.0  # seconds that an answer may take yet after a stop
Outcome = Literal["answered", "dropped", "failed"]


@dataclass(frozen=True)
class Answered:
    """A request that was answered. sent: gives what a version is asked, of its own size."""

    digest: str
    """Of the version that did."""
    sent: Callable[[Version], Sent]
    bytes: int
    request_id: str
    source: str | None
    group: str | None
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))
    arrived: float = field(default_factory=time.perf_counter)


class Shadow:
    """One thread, and in front of it a queue with a bound; requests beyond it are dropped and counted.

    It asks while `idle` holds alone, one request at a time, so that no request to the version that answers waits for
    more than one of these. A version is never asked what the same files have answered.
    """

    def __init__(
        self,
        follower: Follower,
        params: ShadowParams,
        *,
        idle: Callable[[], bool],
        batch: int,
        metrics: ServingMetrics,
    ) -> None:
        self.follower, self._params, self._idle, self._batch = follower, params, idle, batch
        self._metrics = metrics
        self._queue, self._ready = deque[Answered](), Condition()
        self._bytes, self._closing = 0, False
        self.counts = Counter[Outcome]()
        """Requests by what became of them."""
        self._thread = Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def offer(self, request: Answered) -> None:
        """Put it in the queue, where there is room. Never waits."""
        version = self.follower.current
        if version is None or version.identity.digest == request.digest:
            return
        with self._ready:
            room = len(self._queue) < self._params.max_waiting
            if not self._closing and room and self._bytes + request.bytes <= self._params.max_bytes:
                self._queue.append(request)
                self._bytes += request.bytes
                self._ready.notify()
                return
        self._drop(request)

    def close(self) -> None:
        """End after the request that is asked now; those in the queue are dropped."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join(_PATIENCE)
        while self._queue:
            self._drop(self._queue.popleft())
        self.follower.stop()

    def _run(self) -> None:
        while self._answer(self._next()):  # no name: a version that is gone would stay in memory
            pass

    def _answer(self, request: Answered | None) -> bool:
        """Whether there was one."""
        if request is None:
            return False
        with self.follower.using() as version:
            if version is not None and version.identity.digest != request.digest:
                self._ask(version, request)
        return True

    def _next(self) -> Answered | None:
        """The next request, once the version that answers is idle; None at the end."""
        with self._ready:
            self._ready.wait_for(lambda: self._queue or self._closing)
        while not self._idle() and not self._closing:
            time.sleep(_LOOK)
        with self._ready:
            if self._closing:
                return None
            request = self._queue.popleft()
            self._bytes -= request.bytes
            return request

    def _ask(self, version: Version, request: Answered) -> None:
        begun = time.perf_counter()
        try:
            images = request.sent(version).images
            most = largest_batch(version.model, self._batch)
            if version.is_large and len(images) > most:  # its answers would fill memory
                self._drop(request)
                return
            scored = score_batch(version.model, images, self._batch)
            if not np.isfinite(scored.logged.probabilities).all():
                raise ArithmeticError("its numbers are not finite")
        except Exception:
            _logger.exception("the version in shadow failed", extra={"fields": version.named})
            self._note("failed")
            version.record_unanswered("failed", *_about(request))
            return
        self._note("answered")
        waited = 1000 * (begun - request.arrived)
        version.record(replace(scored, queue_ms=waited), *_about(request), group=request.group)

    def _drop(self, request: Answered) -> None:
        self._note("dropped")
        with self.follower.using() as version:
            if version is not None and version.identity.digest != request.digest:
                version.record_unanswered("refused", *_about(request))

    def _note(self, outcome: Outcome) -> None:
        self.counts[outcome] += 1
        self._metrics.shadowed.labels(outcome).inc()


def _about(request: Answered) -> tuple[str, str | None, float, datetime]:
    milliseconds = 1000 * (time.perf_counter() - request.arrived)
    return request.request_id, request.source, milliseconds, request.moment
