"""The client of the inference log for a server of one's own: `record` returns at once, threads do the rest."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from numpy.typing import ArrayLike

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.client.delivery import LIMITS, Delivery, Limits, WriterStats
from resnet_ops_monitoring.inference_log.client.spool import spool_root
from resnet_ops_monitoring.inference_log.columns import ROUTES, Route, Status
from resnet_ops_monitoring.inference_log.database import make_engine, parse
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.incoming import Incoming, as_text
from resnet_ops_monitoring.inference_log.sampling import EVERYTHING, Sampling

__all__ = ["Sampling", "Writer", "WriterStats", "open_writer"]

CLOSE_WITHIN = 5.0
"""Seconds that `close` takes at most for the database; what is left then lies in a segment."""
_FORK_WITHIN = 1.0  # seconds that a fork waits until the threads do nothing that a child could not go on with


def open_writer(
    url: str,
    *,
    model: str,
    version: str,
    digest: str,
    classes: Sequence[str],
    folder: Path | None = None,
    limits: Limits = LIMITS,
    sampling: Sampling = EVERYTHING,
    scalars: Sequence[str] = (),
) -> "Writer":
    """A writer of one model version's answers into the inference log at `url`.

    digest: sha256 of the version's files, as the registry has it; classes: in the order of the probabilities. folder:
    where segments lie while the database is away, on a local disk: RESNET_OPS_INFERENCE_SPOOL, or else var/inference-
    spool. sampling: which requests are kept. scalars: names of the numbers in the place of probabilities. The database
    may be away. Raises ConfigError for a URL that is none or whose driver is not installed, DataError for names that
    the log cannot hold.
    """
    identity = ModelIdentity(model, str(version), digest)
    return Writer(url, identity, classes, folder, limits, sampling, scalars)


class Writer:
    """Takes answers from any thread; each process that it is forked into has threads and segments of its own."""

    def __init__(
        self,
        url: str,
        identity: ModelIdentity,
        classes: Sequence[str],
        folder: Path | None,
        limits: Limits,
        sampling: Sampling,
        scalars: Sequence[str] = (),
    ) -> None:
        self._url = parse(url)
        make_engine(self._url).dispose()  # says now what it could only say in a thread
        self._incoming = Incoming(identity, classes, sampling, scalars)
        self._folder = folder.absolute() if folder else spool_root()
        self._limits, self._closed = limits, False
        self._starting: Lock = Lock()
        self._delivery: Delivery | None = None
        self._delivering()
        _open.add(self)

    def record(
        self,
        probabilities: ArrayLike,
        embedding: ArrayLike,
        statistics: Mapping[str, Any],
        *,
        request_id: str | None = None,
        time: datetime | None = None,
        source: str | None = None,
        group: str | None = None,
        latency_ms: float | None = None,
        label: str | None = None,
        route: Route = "champion",
        queue_ms: float | None = None,
        total_ms: float | None = None,
        predicted: str | None = None,
    ) -> bool:
        """Log one answer; False where its row is lost. Never raises and never waits for a disk or a database.

        probabilities: (classes,), embedding: (features,), before the head: both are copied, as float32. statistics: of
        `resnet_ops.data.image_stats`, a number for each or an array of one. request_id: the same for the same request,
        which is logged once for each version; a new one where there is none. time: aware; now where there is none.
        group: what images are alike by, such as a patient or a part, of which the monitor tests one image each.
        latency_ms: of the model, queue_ms: before it, total_ms: of the request. route: "shadow" where nobody was given
        the answer, "canary" where some are. predicted: the class, where scalars are in the place of probabilities.
        Values that are not finite are logged, since the monitor alarms about them. A row that the log cannot hold is
        refused: counted, told once in the program's own log, and part of the gap that the monitor knows of.
        """
        try:
            row = self._incoming.row(
                probabilities,
                embedding,
                statistics,
                request_id=request_id,
                moment=time,
                source=source,
                group=group,
                latency_ms=latency_ms,
                label=label,
                route=route,
                queue_ms=queue_ms,
                total_ms=total_ms,
                predicted=predicted,
            )
        except DataError as error:
            return self._lose("refused", time, source, route, str(error))
        return self._put(row, time, source, route)

    def record_unanswered(
        self,
        status: Status,
        *,
        request_id: str | None = None,
        time: datetime | None = None,
        source: str | None = None,
        route: Route = "champion",
        queue_ms: float | None = None,
        total_ms: float | None = None,
    ) -> bool:
        """Log one request that has no answer, as `record` does: "refused" was not taken, "failed" was."""
        try:
            row = self._incoming.unanswered(
                status,
                request_id=request_id,
                moment=time,
                source=source,
                route=route,
                queue_ms=queue_ms,
                total_ms=total_ms,
            )
        except DataError as error:
            return self._lose("refused", time, source, route, str(error))
        return self._put(row, time, source, route)

    def _put(self, row: bytes | None, time: datetime | None, source: str | None, route: Route) -> bool:
        delivery = self._delivery or self._delivering()
        if row is None:
            delivery.queue.leave_out()
            return True
        if delivery.queue.put(row):
            return True
        why = "the writer is closed" if self._closed else delivery.trouble
        return self._lose("dropped", time, source, route, why or "more rows came than can be written")

    def stats(self) -> WriterStats:
        """What became of the rows of this process."""
        return (self._delivery or self._delivering()).stats()

    @property
    def identity(self) -> ModelIdentity:
        """Whose answers these are."""
        return self._incoming.identity

    def close(self, patience: float = CLOSE_WITHIN) -> None:
        """Bring what is there to the database within so many seconds, else into a segment for the next process.

        Called by itself when the process ends, but for `kill -9`. Nothing is recorded afterwards.
        """
        if not self._closed:
            self._closed = True
            delivery = self._delivering()
            self._ending.cancel()
            delivery.close(patience)
            _open.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _delivering(self) -> Delivery:
        """This process's delivery, started where it is not yet."""
        with self._starting:
            if self._delivery is None:
                self._delivery = Delivery(self._url, self._folder, self._limits)
                # what multiprocessing's children run at their end too, unlike atexit
                self._ending = Finalize(None, self.close, exitpriority=10)
            return self._delivery

    def _lose(
        self, kind: str, moment: datetime | None, source: str | None, route: Route, reason: str
    ) -> bool:
        """Count a row as lost; False, as who records it is told."""
        delivery = self._delivery or self._delivering()
        aware = isinstance(moment, datetime) and moment.utcoffset() is not None
        when = moment if moment is not None and aware else datetime.now(UTC)
        named = None
        with suppress(DataError):
            named = None if source is None else as_text("source", source)
        known: Route = route if isinstance(route, str) and route in ROUTES else "champion"
        delivery.losses.add(kind, self.identity, named, when, when, reason, route=known)
        return False

    def _hold(self) -> list[Lock]:
        """Wait until this process's threads are between two calls, a second each at most; gives what it locked."""
        delivery = self._delivery
        locks = [] if delivery is None else [delivery.busy, delivery.shipper.busy]
        return [lock for lock in locks if lock.acquire(timeout=_FORK_WITHIN)]

    def _forked(self) -> None:
        """In the child: nothing of the parent's is touched, and own threads begin with the first row."""
        if self._delivery is not None:
            self._delivery.spool.forget()
            _inherited.append(self._delivery)
        self._delivery, self._starting = None, Lock()


_open = WeakSet[Writer]()
_held: list[Lock] = []
_inherited: list[Delivery] = []
"""Of parent processes: never freed, since that would close connections that are theirs."""


def _before_fork() -> None:
    for writer in list(_open):
        _held.extend(writer._hold())


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    _held.clear()
    for writer in list(_open):
        writer._forked()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
