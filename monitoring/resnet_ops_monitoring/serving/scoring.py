"""The work on a request between its headers and its answer: admitted, received, decoded, asked, logged."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Literal
from weakref import ref

import numpy as np
from fastapi import Request

from resnet_ops.data.params import ReadParams
from resnet_ops_monitoring.serving.batching import Batcher, QueueFull
from resnet_ops_monitoring.serving.body import Reading, Sent
from resnet_ops_monitoring.serving.canary import Canary, Event
from resnet_ops_monitoring.serving.scorer import Scored, largest_batch
from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
from resnet_ops_monitoring.serving.shadow import Answered, Shadow
from resnet_ops_monitoring.serving.swap import Follower, Swap
from resnet_ops_monitoring.serving.version import Version
from resnet_ops_monitoring.settings.serving import ServingParams
from resnet_ops_monitoring.web.admission import BUSY, Admission
from resnet_ops_monitoring.web.refusal import Refusal

__all__ = ["LONGEST_NAME", "Scoring"]

LONGEST_NAME = 200
"""Characters of a source or a group."""

Read = Callable[[str, bytes, Reading], Sent]
"""A content type and a body -> images for a model."""


class _Unread(Refusal):
    """A body that is no image to the version: another one may take it."""


class _Slow(Refusal):
    """One that would wait too long for its version."""

    def __init__(self, wait: float, message: str) -> None:
        super().__init__(BUSY, message, max(1, math.ceil(wait)))


class Scoring:
    """What one process answers with. Its methods are called in one event loop."""

    def __init__(
        self,
        swap: Swap,
        settings: ServingParams,
        data: ReadParams,
        metrics: ServingMetrics,
        canary: Canary | None = None,
        shadowed: Follower | None = None,
    ) -> None:
        """canary: who is given a share of the requests; shadowed: who is asked the same without anybody waiting."""
        self.swap, self.settings, self.metrics, self.canary = swap, settings, metrics, canary
        self._data = data
        self.batcher, self._canarys = self._batcher(), self._batcher()
        self._canarys_for: ref[Version] | None = None
        self.shadow = None if shadowed is None else self._shadow(shadowed)
        metrics.queue.set_function(lambda: self.waiting)
        self._decoders = ThreadPoolExecutor(settings.decoders, thread_name_prefix="decoder")
        self._admission = Admission(
            max_requests=settings.max_requests,
            max_bytes=settings.max_bytes,
            max_bytes_in_all=settings.max_bytes_in_all,
            receive_seconds=settings.receive_seconds,
        )
        metrics.under_way.set_function(lambda: self.under_way)

    def _batcher(self) -> Batcher:
        return Batcher(
            max_batch=self.settings.max_batch,
            gather=self.settings.gather_ms / 1000,
            most_waiting=self.settings.max_waiting,
            metrics=self.metrics,
        )

    def _batcher_of(self, version: Version) -> Batcher:
        """Each canary has a new one: the thread of one whose model hangs is lost."""
        if version.route != "canary":
            return self.batcher
        if self._canarys_for is None or self._canarys_for() is not version:
            self._canarys.close(patience=0)
            self._canarys, self._canarys_for = self._batcher(), ref(version)
        return self._canarys

    def _shadow(self, follower: Follower) -> Shadow:
        return Shadow(
            follower,
            self.settings.shadow,
            idle=lambda: not (self.batcher.busy or self.batcher.waiting),
            batch=self.settings.max_batch,
            metrics=self.metrics,
        )

    @property
    def under_way(self) -> int:
        """Requests that were taken and not answered yet."""
        return self._admission.under_way

    @property
    def waiting(self) -> int:
        """Images that wait for a model."""
        return self.batcher.waiting + self._canarys.waiting

    def start(self) -> None:
        """Follow the aliases."""
        for follower in self.followers():
            follower.start()

    def followers(self) -> Iterator[Follower]:
        """Of all versions that are asked."""
        yield self.swap
        if self.canary is not None:
            yield self.canary.follower
        if self.shadow is not None:
            yield self.shadow.follower

    async def answer(
        self, request: Request, read: Read, source: str | None, group: str | None
    ) -> tuple[Version, Scored]:
        """The version that answered, and what it said. Raises Refusal for a request that is not answered.

        source, group: for the inference log, as `Writer.record` has them.
        """
        name = request.state.request_id
        with self._chosen(name) as version:
            try:
                self._leave_room(version)
                with self._admission.admit() as receive:
                    body = await receive(request)
                    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                    sent = partial(self._read, read, kind, body)
                    self._expect(version, request)
                    scored = await self._ask(version, sent)
            except Refusal as error:
                if error.status == BUSY:  # what is no image was never a request to the model
                    self._note_busy(version, request, error, source)
                elif error.status >= 500:
                    self._unanswered(version, "failed", request, source)
                elif isinstance(error, _Unread):
                    self._compare(version, request, "unread")
                raise
            except BaseException:  # of which one is the time limit
                self._unanswered(version, "failed", request, source)
                raise
            version.record(scored, name, source, _milliseconds(request), group=group)
            self._compare(version, request, None)
            if self.shadow is not None:
                self.shadow.offer(Answered(version.identity.digest, sent, len(body), name, source, group))
        request.state.told = {"images": len(scored.predictions.predicted), **version.named}
        return version, scored

    def refusal_of(self, request: Request) -> Refusal | None:
        """Of one who would wait too long by what is known before their body is read: told at the least cost."""
        with self._chosen(request.state.request_id) as version:
            try:
                self._expect(version, request)
            except _Slow as error:
                self._note_busy(version, request, error, _source(request))
                return error
        return None

    def close(self) -> None:
        """Answer what was taken, and bring its rows to the log."""
        for follower in self.followers():
            follower.leave()
        self._decoders.shutdown()
        self.batcher.close()
        self._canarys.close()
        if self.canary is not None:
            self.canary.close()
        if self.shadow is not None:
            self.shadow.close()
        self.swap.stop()

    @contextmanager
    def _chosen(self, request_id: str) -> Iterator[Version]:
        """The version that this request is given to."""
        with self.swap.using() as champion:
            if self.canary is None:
                yield champion
                return
            with self.canary.using(request_id, champion) as canary:
                yield canary or champion

    def _unanswered(
        self, version: Version, status: Literal["refused", "failed"], request: Request, source: str | None
    ) -> None:
        version.record_unanswered(status, request.state.request_id, source, _milliseconds(request))
        if status == "failed":
            self._compare(version, request, status)

    def _note_busy(self, version: Version, request: Request, error: Refusal, source: str | None) -> None:
        self._unanswered(version, "refused", request, source)
        if isinstance(error, _Slow):
            self._compare(version, request, "slow")

    def _compare(self, version: Version, request: Request, fault: Event | None) -> None:
        if self.canary is not None:
            milliseconds = _milliseconds(request)
            self.canary.note(version, request.state.request_id, fault=fault, milliseconds=milliseconds)

    def _leave_room(self, version: Version) -> None:
        """Twice its share of the places is what a canary that hangs takes from the champion, at most."""
        places = round(2 * self.settings.canary.share * self.settings.max_requests)
        if version.route == "canary" and version.users > max(1, places):
            raise Refusal(BUSY, f"{version.users} requests are with the canary already. Come back later.", 1)

    def _read(self, read: Read, kind: str, body: bytes, version: Version) -> Sent:
        return read(kind, body, Reading(version.reading(self._data), self.settings.max_pixels))

    def _expect(self, version: Version, request: Request) -> None:
        """Whoever had nobody before them is taken, however late they come."""
        pace = self._batcher_of(version).pace
        wait = pace.wait + request.state.unread
        if wait > self.settings.max_wait_ms / 1000 and pace.anybody_since(request.state.begun):
            raise _Slow(wait, f"It would wait {wait:.2f} seconds for those before it. Come back later.")

    async def _ask(self, version: Version, read: Callable[[Version], Sent]) -> Scored:
        batcher = self._batcher_of(version)
        with batcher.pace.under_way() as holds:
            sent = await self._decode(version, read)
            holds(len(sent.images))
            try:
                scored = await batcher.ask(version.model, sent.images, version.writer is not None)
            except QueueFull as error:
                holds(0)  # who comes back waits for the others only
                raise _Slow(batcher.pace.wait, str(error)) from None
        if not np.isfinite(scored.logged.probabilities).all():
            raise Refusal(500, "The model answered with numbers that are not finite.")
        return replace(scored, placed=sent.placed)

    async def _decode(self, version: Version, read: Callable[[Version], Sent]) -> Sent:
        loop = asyncio.get_running_loop()
        try:
            sent = await loop.run_in_executor(self._decoders, read, version)
        except Refusal as error:
            raise _Unread(error.status, str(error)) from None
        most = self.settings.max_waiting
        if version.is_large:  # so large is no answer but to a batch
            most = min(most, largest_batch(version.model, self.settings.max_batch))
        if len(sent.images) > most:
            raise Refusal(413, f"The body holds {len(sent.images)} images; {most} are taken at once.")
        return sent


def _source(request: Request) -> str | None:
    """As the routes take it; None where they would refuse it."""
    given = request.query_params.get("source", "")
    return given if 0 < len(given) <= LONGEST_NAME and "\0" not in given else None


def _milliseconds(request: Request) -> float:
    """Since its headers came."""
    return 1000 * (time.perf_counter() - float(request.state.begun))
