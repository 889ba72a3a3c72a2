"""A version that answers: loaded, verified by digest and signature, judged by the gate, and with its log."""

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Literal, cast

import numpy as np

from resnet_ops.data.depth import dtype_of
from resnet_ops.data.params import ReadParams
from resnet_ops.errors import DataError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.predictions import DeployedModel
from resnet_ops.preprocessing import Preprocessing
from resnet_ops.tasks.watching.watching import watching_of
from resnet_ops_monitoring.inference_log.client.writer import Writer, open_writer
from resnet_ops_monitoring.inference_log.columns import Route
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.scorer import Scored, largest_batch

__all__ = ["UNGATED", "Version"]

UNGATED = "ungated"


@dataclass(eq=False)
class Version:
    """One version in memory."""

    identity: ModelIdentity
    model: DeployedModel
    operating: OperatingPoint | None
    """Where it decides, by its signed evidence."""
    gate: str
    """`passed @ALIAS`, or UNGATED."""
    created: int = 0
    """When it was made, in milliseconds since 1970: a number may be given again after a version was deleted."""
    route: Route = "champion"
    """As its answers come into the log."""
    preprocessing: Preprocessing | None = None
    """How image files are read for it, by its own files."""
    users: int = 0
    """Requests that it still has to answer."""
    writer: Writer | None = field(default=None)

    @property
    def is_large(self) -> bool:
        """Whether its answers fill memory, and others would wait while they are written."""
        return watching_of(self.model).at_once is not None

    def reading(self, otherwise: ReadParams) -> ReadParams:
        """How image files are read: as its own files say, or else as these settings, at its size."""
        if self.preprocessing is not None:
            return self.preprocessing
        channels = cast(Literal[1, 3], self.model.channels)
        return replace(
            Preprocessing.of(otherwise),
            image_size=self.model.image_size,
            channels=channels,
            depth=self.model.depth,
        )

    @cached_property
    def named(self) -> dict[str, str]:
        """Who it is, for every answer."""
        who = self.identity
        return {"model": who.name, "version": who.version, "digest": who.digest, "gate": self.gate}

    def warm(self, max_batch: int) -> None:
        """Have it answer once alone and once with the largest batch. Raises DataError for what is no answer."""
        shape = (self.model.image_size, self.model.image_size, self.model.channels)
        watching, classes = watching_of(self.model), self.model.classes
        width = len(watching.scalars(classes) or classes)
        for size in (1, largest_batch(self.model, max_batch)):
            said = self.model.predict(np.zeros((size, *shape), dtype_of(self.model.depth)), batch_size=size)
            numbers = watching.kept(said).probabilities
            if numbers.shape != (size, width) or not np.isfinite(numbers).all():
                raise DataError(
                    f"{self.identity} does not answer with finite numbers for each of its classes."
                )

    def open_log(self, url: str) -> None:
        """Log what it answers from now on. Raises ConfigError and DataError as `open_writer` does."""
        who, watching = self.identity, watching_of(self.model)
        kinds, scalars = watching.kinds(self.model.classes), watching.scalars(self.model.classes)
        self.writer = open_writer(
            url, model=who.name, version=who.version, digest=who.digest, classes=kinds, scalars=scalars
        )

    def record(
        self,
        scored: Scored,
        request_id: str,
        source: str | None,
        total_ms: float,
        time: datetime | None = None,
        group: str | None = None,
    ) -> None:
        """Log what was answered; the one place that does. The images of a batch are `ID#0`, `ID#1` and so on.

        time: of the request; now where there is none. group: of all its images.
        """
        if self.writer is None:
            return
        said, count = scored.logged, len(scored.logged.predicted)
        kinds = watching_of(self.model).kinds(self.model.classes)
        for row in range(count):
            self.writer.record(
                said.probabilities[row],
                said.embeddings[row],
                {name: values[row] for name, values in scored.statistics.items()},
                request_id=request_id if count == 1 else f"{request_id}#{row}",
                source=source,
                group=group,
                time=time,
                route=self.route,
                latency_ms=scored.latency_ms,
                queue_ms=scored.queue_ms,
                total_ms=total_ms,
                predicted=kinds[int(said.predicted[row])],
            )

    def record_unanswered(
        self,
        status: Literal["refused", "failed"],
        request_id: str,
        source: str | None,
        total_ms: float,
        time: datetime | None = None,
    ) -> None:
        """Log a request that has no answer: `refused` for want of room, or `failed` though it was taken."""
        if self.writer is not None:
            self.writer.record_unanswered(
                status, request_id=request_id, source=source, total_ms=total_ms, time=time, route=self.route
            )

    def log_state(self) -> dict[str, float] | None:
        """What became of its rows; None without a log."""
        return None if self.writer is None else asdict(self.writer.stats())

    def close(self) -> None:
        """Bring its rows to the log."""
        if self.writer is not None:
            self.writer.close()
