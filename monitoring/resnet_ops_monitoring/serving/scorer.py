"""Run a model over images and say what the inference log wants to know of each."""

import time
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops.data.image_stats import image_stats
from resnet_ops.errors import DataError
from resnet_ops.predictions import DeployedModel
from resnet_ops_monitoring.inference_log.frames import COLUMNS
from resnet_ops_monitoring.inference_log.identity import ModelIdentity

__all__ = ["Scorer"]


class Scorer:
    """Scores images with one model version; the frames it makes go into `InferenceLog.append`."""

    def __init__(self, model: DeployedModel, identity: ModelIdentity, batch_size: int = 256) -> None:
        self.model = model
        self.identity = identity
        self.batch_size = batch_size

    def score(
        self,
        images: NDArray[np.uint8],
        request_ids: Sequence[str],
        times: Sequence[datetime],
        *,
        source: str | None = None,
        window: str | None = None,
        labels: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """One row for each image, with the columns of `resnet_ops_monitoring.inference_log.frames`.

        images: (N, H, W, C) uint8. times: aware datetimes. labels: class names where they are known already.
        `latency_ms` is the time of the image's batch divided by the images in it: forward pass with its
        preprocessing, without image statistics. Raises DataError when the lengths differ.
        """
        n = len(images)
        if len(request_ids) != n or len(times) != n or (labels is not None and len(labels) != n):
            raise DataError(
                f"{n} images, {len(request_ids)} request ids, {len(times)} times: give one of each."
            )
        if n == 0:
            return pd.DataFrame(columns=pd.Index(COLUMNS))
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
        return scored[list(COLUMNS)]

    def _batch(self, images: NDArray[np.uint8]) -> pd.DataFrame:
        begin = time.perf_counter()
        predictions = self.model.predict(images, batch_size=len(images))
        elapsed = time.perf_counter() - begin
        columns: dict[str, object] = dict(image_stats(images).items())
        columns["embedding"] = list(predictions.embeddings)
        columns["probabilities"] = list(predictions.probabilities)
        columns["predicted"] = [self.model.classes[index] for index in predictions.predicted]
        columns["latency_ms"] = 1000.0 * elapsed / len(images)
        return pd.DataFrame(columns)
