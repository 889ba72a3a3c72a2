"""How far an export is from the original, as its task measures it."""

from typing import Protocol

from resnet_ops.data import PreparedData
from resnet_ops.measurement import Measurement
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.parity.classification import ClassificationParity
from resnet_ops.tasks.parity.detection import DetectionParity
from resnet_ops.tasks.parity.segmentation import SegmentationParity
from resnet_ops.tasks.task import Detection, Segmentation

__all__ = ["Parity", "parity_of"]


class Parity(Protocol):
    """An original model and the test split on which exports are compared with it."""

    def measure(self, exported: DeployedModel, confidence: float) -> dict[str, Measurement]:
        """`max_logit_difference`, `equal_predictions`, `accuracy_loss` with an interval, and the headline metric.

        A difference that is not a number counts as the largest there is.
        """


def parity_of(original: DeployedModel, test: PreparedData) -> Parity:
    """Whatever the task of the data is."""
    match test.task:
        case Segmentation():
            return SegmentationParity(original, test)
        case Detection():
            return DetectionParity(original, test)
        case _:
            return ClassificationParity(original, test)
