"""Run a model over images and say what the inference log wants to know of each."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops.data.depth import Pixels
from resnet_ops.data.image_stats import image_stats
from resnet_ops.data.placement import Placement
from resnet_ops.errors import DataError
from resnet_ops.predictions import DeployedModel, Predictions
from resnet_ops.tasks.task import images_at_once
from resnet_ops.tasks.watching.watching import watching_of
from resnet_ops_monitoring.inference_log.frames import GROUP, LOGGED
from resnet_ops_monitoring.inference_log.identity import ModelIdentity

__all__ = ["Scored", "Scorer", "largest_batch", "score_batch"]


@dataclass(frozen=True)
class Scored:
    """What a model says of N images, and what the inference log wants to know besides."""

    predictions: Predictions
    statistics: dict[str, NDArray[np.float32]]
    """Of `resnet_ops.data.image_stats`, (N,) each; none where nobody logs them."""
    latency_ms: float
    """Of the forward pass with its preprocessing, divided by the images; without their statistics."""

    queue_ms: float = 0.0
    """How long the images waited for the model, where others ask it too."""
    kept: Predictions | None = None
    """What the log keeps, as `Watching.kept`, where that is not what the model says."""
    images: Pixels | None = None
    """What was asked about, where answers can be drawn on it."""
    placed: Placement | None = None
    """Where the one image lies in the file that was sent; None for arrays."""

    @property
    def logged(self) -> Predictions:
        """What the log keeps."""
        return self.predictions if self.kept is None else self.kept

    def rows(self, which: slice) -> "Scored":
        """Of some of the images."""
        statistics = {name: values[which] for name, values in self.statistics.items()}
        kept = None if self.kept is None else _some(self.kept, which)
        images = None if self.images is None else self.images[which]
        return Scored(_some(self.predictions, which), statistics, self.latency_ms, kept=kept, images=images)


def _some(predictions: Predictions, which: slice) -> Predictions:
    parts = {each.name: getattr(predictions, each.name) for each in fields(Predictions)}
    return Predictions(**{name: part[which] for name, part in parts.items() if part is not None})


def largest_batch(model: DeployedModel, most: int) -> int:
    """How many images a model answers together: `most`, or fewer where answers fill memory and images are in tiles."""
    large = watching_of(model).at_once is not None
    return images_at_once(model.task, model.image_size, most) if large else most


def score_batch(model: DeployedModel, images: Pixels, batch_size: int, *, statistics: bool = True) -> Scored:
    """Ask a model, `batch_size` images at once. images: (N, H, W, C), uint8 or uint16, N at least 1.

    statistics: of the images, which the log wants.

    Raises DataError when the images are not of the model's size.
    """
    begin = time.perf_counter()
    predictions = model.predict(images, batch_size=batch_size)
    elapsed = time.perf_counter() - begin
    watching = watching_of(model)
    kept = watching.kept(predictions)
    return Scored(
        predictions,
        image_stats(images) if statistics else {},
        1000.0 * elapsed / len(images),
        kept=None if kept is predictions else kept,
        images=images if watching.placed else None,
    )


class Scorer:
    """Scores images with one model version; the frames it makes go into `InferenceLog.append`."""

    def __init__(self, model: DeployedModel, identity: ModelIdentity, batch_size: int = 256) -> None:
        watching = watching_of(model)
        self.model = model
        self.identity = identity
        self.batch_size = min(batch_size, watching.at_once or batch_size)
        self._kinds = watching.kinds(model.classes)

    def score(
        self,
        images: Pixels,
        request_ids: Sequence[str],
        times: Sequence[datetime],
        *,
        source: str | None = None,
        window: str | None = None,
        labels: Sequence[str] | None = None,
        groups: Sequence[str | None] | NDArray[np.str_] | None = None,
    ) -> pd.DataFrame:
        """One row for each image, with the columns of `resnet_ops_monitoring.inference_log.frames`.

        images: (N, H, W, C), uint8 or uint16. times: aware datetimes. labels: class names where they are known already.
        groups: what images are alike by, None for one that is its own.
        `latency_ms` is the time of the image's batch divided by the images in it: forward pass with its
        preprocessing, without image statistics. Raises DataError when the lengths differ.
        """
        n = len(images)
        lengths = {len(each) for each in (request_ids, times, labels, groups) if each is not None}
        if lengths != {n}:
            raise DataError(
                f"{n} images, {len(request_ids)} request ids, {len(times)} times: give one of each."
            )
        if n == 0:
            return pd.DataFrame(columns=pd.Index(LOGGED))
        parts = [self._batch(images[i : i + self.batch_size]) for i in range(0, n, self.batch_size)]
        scored = pd.concat(parts, ignore_index=True)
        scored["request_id"] = list(request_ids)
        scored["time"] = pd.to_datetime(list(times), utc=True)
        scored["model"] = self.identity.name
        scored["version"] = self.identity.version
        scored["digest"] = self.identity.digest
        scored["source"] = source
        scored["window"] = window
        scored["label"] = list(labels) if labels is not None else None
        scored[GROUP] = list(groups) if groups is not None else None
        return scored[list(LOGGED)]

    def _batch(self, images: Pixels) -> pd.DataFrame:
        scored = score_batch(self.model, images, len(images))
        columns: dict[str, object] = dict(scored.statistics)
        said = scored.logged
        columns["embedding"] = list(said.embeddings)
        columns["probabilities"] = list(said.probabilities)
        columns["predicted"] = [self._kinds[index] for index in said.predicted]
        columns["latency_ms"] = scored.latency_ms
        return pd.DataFrame(columns)
