"""A detector together with the score from which its boxes count, which its evidence knows and its files do not."""

from dataclasses import dataclass

import numpy as np

from resnet_ops.data.depth import Depth
from resnet_ops.predictions import DeployedModel, Predictions
from resnet_ops.tasks.task import Detection, Task

__all__ = ["AtThreshold", "at_threshold"]


@dataclass(frozen=True)
class AtThreshold:
    """See `resnet_ops.predictions.DeployedModel`. It answers as the model does, with all boxes."""

    model: DeployedModel
    threshold: float

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.model.classes

    @property
    def image_size(self) -> int:
        return self.model.image_size

    @property
    def channels(self) -> int:
        return self.model.channels

    @property
    def depth(self) -> Depth:
        return self.model.depth

    @property
    def task(self) -> Task:
        return self.model.task

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        return self.model.predict(images, batch_size)


def at_threshold(model: DeployedModel, threshold: float | None) -> DeployedModel:
    """The model with the score from which its boxes count, where it answers with boxes and the score is known."""
    return (
        AtThreshold(model, threshold)
        if threshold is not None and isinstance(model.task, Detection)
        else model
    )
