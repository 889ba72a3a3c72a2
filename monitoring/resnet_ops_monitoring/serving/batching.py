"""Images of many requests, gathered for one thread that asks the model. It needs no web server."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Condition, Thread

import numpy as np

from resnet_ops.data.depth import Pixels
from resnet_ops.errors import ServiceError
from resnet_ops.predictions import DeployedModel
from resnet_ops_monitoring.serving.pace import Pace
from resnet_ops_monitoring.serving.scorer import Scored, largest_batch, score_batch
from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics

__all__ = ["Batcher", "QueueFull"]

_logger = logging.getLogger(__name__)
_PATIENCE = 5.0  # seconds: who waited for an answer was given up before
_MOST_BYTES = 1 << 30
"""Of the images in a queue: a small file may be of a size that fills memory, such as one that is seen in tiles."""


class QueueFull(ServiceError):
    """More images wait than may; nothing was taken."""


@dataclass(eq=False)
class _Job:
    model: DeployedModel
    images: Pixels
    answer: "asyncio.Future[Scored]"
    logged: bool
    arrived: float = field(default_factory=time.monotonic)
    waited: float = 0.0


class Batcher:
    """One thread, and in front of it a queue of `most_waiting` images and 1 GiB at most. For one event loop.

    An idle model is asked at once. One that was busy until now waits `gather` seconds, counted from the oldest
    request, for as many images as it answered last: the clients that it answered just then are likely to ask again.
    """

    def __init__(self, *, max_batch: int, gather: float, most_waiting: int, metrics: ServingMetrics) -> None:
        self._max_batch, self._gather = max_batch, gather
        self._most_waiting, self._metrics = most_waiting, metrics
        self._jobs, self._ready = deque[_Job](), Condition()
        self.pace = Pace()
        """Of the requests that are for this model, from before they are put in the queue."""
        self.waiting = 0
        """Images in the queue."""
        self._bytes = 0  # of these
        self.busy = False
        """Whether the model is at work."""
        self._wanted, self._last, self._ended, self._closing = 1, 1, 0.0, False
        self._thread = Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    async def ask(self, model: DeployedModel, images: Pixels, logged: bool = True) -> Scored:
        """The model's answer. images: (N, H, W, C), uint8 or uint16 of its size, N at least 1.
        logged: with the statistics that the log wants.

        Who is cancelled while they wait takes their images out of the queue. Raises QueueFull, and what the model
        raises.
        """
        job = _Job(model, images, asyncio.get_running_loop().create_future(), logged)
        with self._ready:
            if self._closing or (self.waiting and self._would_fill(images)):
                raise QueueFull(f"{self.waiting} images wait for the model already. Come back later.")
            self._jobs.append(job)
            self.waiting += len(images)
            self._bytes += images.nbytes
            if self.waiting >= self._wanted:
                self._ready.notify()
        try:
            return await job.answer
        except asyncio.CancelledError:
            self._give_up(job)
            raise

    def close(self, patience: float = _PATIENCE) -> None:
        """Answer what is in the queue, then end the thread; one whose model hangs so many seconds is left behind."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join(patience)

    def _would_fill(self, images: Pixels) -> bool:
        return self.waiting + len(images) > self._most_waiting or self._bytes + images.nbytes > _MOST_BYTES

    def _give_up(self, job: _Job) -> None:
        with self._ready:
            if job in self._jobs:
                self._jobs.remove(job)
                self.waiting -= len(job.images)
                self._bytes -= job.images.nbytes

    def _run(self) -> None:
        while self._answer(
            self._next()
        ):  # no name: what was asked last would stay in memory until it is asked again
            self.busy = False

    def _next(self) -> list[_Job]:
        """The next jobs for one model, `max_batch` images at most but for a single larger one; none at the end."""
        with self._ready:
            while True:
                self._wanted = 1
                self._ready.wait_for(lambda: self._jobs or self._closing)
                if not self._jobs:
                    return []
                self._wait_for_more(self._jobs[0].arrived + self._gather)
                if self._jobs:  # they may have given up meanwhile
                    return self._take()

    def _wait_for_more(self, until: float) -> None:
        if time.monotonic() - self._ended > self._gather:
            return
        self._wanted = min(self._last, self._max_batch)
        left = until - time.monotonic()
        if left > 0:
            self._ready.wait_for(lambda: self.waiting >= self._wanted or self._closing, left)

    def _take(self) -> list[_Job]:
        taken = [self._jobs.popleft()]
        size, most = len(taken[0].images), largest_batch(taken[0].model, self._max_batch)
        while (
            self._jobs and self._jobs[0].model is taken[0].model and size + len(self._jobs[0].images) <= most
        ):
            taken.append(self._jobs.popleft())
            size += len(taken[-1].images)
        self.waiting -= size
        self._bytes -= sum(job.images.nbytes for job in taken)
        self.busy = True
        for job in taken:
            job.waited = time.monotonic() - job.arrived
            self._metrics.waited.observe(job.waited)
        return taken

    def _answer(self, jobs: Sequence[_Job]) -> bool:
        """Whether there were any."""
        if not jobs:
            return False
        result: Scored | Exception
        try:
            images = jobs[0].images if len(jobs) == 1 else np.concatenate([job.images for job in jobs])
            logged = any(job.logged for job in jobs)
            result = score_batch(jobs[0].model, images, self._max_batch, statistics=logged)
            self._metrics.batch_images.observe(len(images))
            self._metrics.inference.observe(result.latency_ms * len(images) / 1000)
        except Exception as error:
            _logger.exception("the model failed on a batch")
            result = error
        self._last, self._ended = sum(len(job.images) for job in jobs), time.monotonic()
        with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
            jobs[0].answer.get_loop().call_soon_threadsafe(_deliver, jobs, result)
        return True


def _deliver(jobs: Sequence[_Job], result: Scored | Exception) -> None:
    """In the event loop: to each request its own rows."""
    first = 0
    for job in jobs:
        rows = slice(first, first + len(job.images))
        first = rows.stop
        if job.answer.done():  # who asked is gone
            continue
        if isinstance(result, Exception):
            job.answer.set_exception(result)
        else:
            job.answer.set_result(replace(result.rows(rows), queue_ms=1000 * job.waited))
