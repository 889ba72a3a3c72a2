"""How a task is learned: what a batch asks for, how that follows an augmentation, and the loss."""

from typing import Any, Protocol, Self

import torch
from torch import Tensor

from resnet_ops.data import PreparedData
from resnet_ops.model import ImageClassifier
from resnet_ops.tasks.learning.classification import ClassificationLearning
from resnet_ops.tasks.learning.detection import DetectionLearning
from resnet_ops.tasks.learning.segmentation import SegmentationLearning
from resnet_ops.tasks.task import Detection, Segmentation, Task
from resnet_ops.training.distributed.share import Share
from resnet_ops.training.plan import Plan
from resnet_ops.training.recipe import Recipe

__all__ = ["Learning", "Loss", "Targets", "learning_of"]


class Targets(Protocol):
    """What N augmented images ask for."""

    @property
    def shown(self) -> tuple[Any, ...]:
        """What the network gets beside the images in training: nothing, unless the loss is made within it."""

    def of(self, places: slice | Tensor) -> Self:
        """Those of some of the images."""

    def hits(self, outputs: Any) -> Tensor:
        """The sum over the images of each one's score in [0, 1], a scalar; not a number where none can be told.

        outputs: of the network in training.
        """


class Loss(Protocol):
    """What is trained on."""

    def of(self, targets: Any, outputs: Any) -> Tensor:
        """The mean over the images, a scalar in nats. outputs: of the network in training, in any precision."""


class Learning(Protocol):
    """A task as a training sees it."""

    at_once: int
    """Images that pass through the network together in validation."""

    def check(self, plan: Plan, train: PreparedData, validation: PreparedData) -> None:
        """Raise DataError or ConfigError where these targets cannot be learned, or not by this recipe."""

    def augment(
        self,
        classifier: ImageClassifier,
        images: Tensor,
        targets: Tensor,
        recipe: Recipe,
        generator: torch.Generator,
        share: Share,
    ) -> tuple[Tensor, Targets]:
        """Images (N, H, W, C), uint8 or uint16, as the network takes them, (N, C, H, W), and what they ask for then.

        targets: (N, ...), those of `PreparedData.asked`. images, targets: at the share's places in the batch; the
        result is of the share's own ones. Random numbers are of the generator alone.
        """

    def loss(self, recipe: Recipe, train: PreparedData, device: torch.device) -> Loss:
        """The loss of a recipe, its tensors on the device."""

    def shown(self, targets: Tensor) -> tuple[Any, ...]:
        """What the network gets beside images as they are, to tell its loss; see `Targets.shown`."""

    def sums(self, outputs: Any, targets: Tensor) -> Tensor:
        """(2,) float64: loss in nats and score in [0, 1] of images as they are, each summed over them.

        outputs: of the network in evaluation, told what is `shown`, in any precision. targets: as in `augment`.
        """


def learning_of(task: Task) -> Learning:
    """Whatever the task is."""
    match task:
        case Segmentation():
            return SegmentationLearning(task)
        case Detection():
            return DetectionLearning(task)
        case _:
            return ClassificationLearning()
