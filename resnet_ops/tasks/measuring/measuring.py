"""How a model of a task is measured on the test split, and what is shown of it."""

from pathlib import Path
from typing import Protocol

from resnet_ops.data import PreparedData
from resnet_ops.evaluation.params import EvaluateParams
from resnet_ops.measurement import Measurement
from resnet_ops.messages import Progress
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.measuring.classification import ClassificationMeasuring
from resnet_ops.tasks.measuring.detection import DetectionMeasuring
from resnet_ops.tasks.measuring.segmentation import SegmentationMeasuring
from resnet_ops.tasks.task import Detection, Segmentation, Task

__all__ = ["Findings", "Measuring", "measuring_of"]


class Findings(Protocol):
    """What was found about one model."""

    @property
    def measured(self) -> dict[str, Measurement]:
        """Every number with its interval, `test.<headline>` and `validation.<headline>` among them."""

    def save(self, name: str, params: EvaluateParams, folder: Path) -> None:
        """Write the files of stage `evaluate_model` about the model `name`: docs/evaluation.md says what is in each.

        predictions.csv has a row an image, in the order of the manifest, with what evidence holds of each.
        """


class Measuring(Protocol):
    """A task as an evaluation sees it."""

    shown: tuple[str, ...]
    """Metrics that are printed, where they were measured."""

    def evaluate(
        self,
        model: DeployedModel,
        data: PreparedData,
        params: EvaluateParams,
        seed: int,
        progress: Progress,
        group: str | None,
    ) -> Findings:
        """Measure a model on the test split of `data`; the same seed gives the same numbers.

        progress: takes predictions of corrupted images, done and in all. group: the column of the manifest whose images
        belong together. Raises ConfigError where settings ask for what the task does not have.
        """


def measuring_of(task: Task) -> Measuring:
    """Whatever the task is."""
    match task:
        case Segmentation():
            return SegmentationMeasuring()
        case Detection():
            return DetectionMeasuring()
        case _:
            return ClassificationMeasuring()
