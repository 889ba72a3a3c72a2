"""How images are read together with what a task asks of them."""

from pathlib import Path
from typing import Protocol

from resnet_ops.data.params import DataParams
from resnet_ops.data.raw import RawData
from resnet_ops.messages import Progress
from resnet_ops.tasks.reading.classification import ClassificationReading
from resnet_ops.tasks.reading.detection import DetectionReading
from resnet_ops.tasks.reading.segmentation import SegmentationReading
from resnet_ops.tasks.task import Detection, Segmentation, Task

__all__ = ["Reading", "reading_of"]


class Reading(Protocol):
    """A task as the preparation of data sees it."""

    def check(self, params: DataParams) -> None:
        """Raise DataError or ConfigError of what is wrong, without reading an image."""

    def read(self, params: DataParams, progress: Progress, scratch: Path | None) -> RawData:
        """Every image with its label and its targets. progress, scratch: as in `read_source`.

        Raises DataError that lists every fault of images and targets, before anything is kept.
        """


def reading_of(task: Task) -> Reading:
    """Whatever the task is."""
    match task:
        case Segmentation():
            return SegmentationReading(task)
        case Detection():
            return DetectionReading(task)
        case _:
            return ClassificationReading(task)
