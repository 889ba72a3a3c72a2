"""What a model says of images: known without torch."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from resnet_ops.data.depth import Depth, dtype_of
from resnet_ops.errors import DataError
from resnet_ops.tasks.task import Task

__all__ = ["DeployedModel", "Predictions", "check_images", "softmax"]


@dataclass(frozen=True)
class Predictions:
    """What a model says of N images: (N, K, ...) logits and probabilities, (N, F) embeddings, (N, ...) classes.

    Of boxes there are D an image, by falling score: (N, D) probabilities and classes, where class 0 stands for none.
    """

    logits: np.ndarray
    """Of boxes (N, D, 6): left, top, right, bottom, score and class."""
    probabilities: np.ndarray
    embeddings: np.ndarray
    predicted: np.ndarray
    boxes: np.ndarray | None = None
    """(N, D, 4) left, top, right and bottom in pixels; None where the answer is no box."""


class DeployedModel(Protocol):
    """A model that can be asked, whatever its format: trained weights, or an export of them."""

    @property
    def name(self) -> str:
        """The member's name, such as `resnet20`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in the order of the logits."""

    @property
    def image_size(self) -> int:
        """Side of the square input in pixels."""

    @property
    def channels(self) -> int:
        """Of the input: 1 grey, 3 colour."""

    @property
    def depth(self) -> Depth:
        """Bits of a value of the input."""

    @property
    def task(self) -> Task:
        """What it answers with."""

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        """Predict images (N, H, W, C) of the model's size and depth. Raises DataError when they do not fit."""


def check_images(model: DeployedModel, images: np.ndarray) -> None:
    """Raise DataError when images are not what the model takes."""
    expected = (model.image_size, model.image_size, model.channels)
    if images.dtype != dtype_of(model.depth) or images.shape[1:] != expected:
        raise DataError(
            f"{model.name} takes uint{model.depth} images (N, {', '.join(map(str, expected))}), "
            f"but got {images.dtype} {images.shape}. Read them as data.image_size and data.depth in params.yaml say."
        )


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, K, ...) logits -> probabilities, which sum to 1 over K; not a number where a logit is not finite."""
    with np.errstate(invalid="ignore"):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares
