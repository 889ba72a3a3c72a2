"""How classification is read: the label says all."""

from dataclasses import replace
from pathlib import Path

from resnet_ops.data.params import DataParams
from resnet_ops.data.raw import RawData
from resnet_ops.data.sources import check_source, read_source
from resnet_ops.messages import Progress
from resnet_ops.tasks.task import Classification

__all__ = ["ClassificationReading"]


class ClassificationReading:
    """See `resnet_ops.tasks.reading.reading.Reading`."""

    def __init__(self, task: Classification) -> None:
        self.task = task

    def check(self, params: DataParams) -> None:
        check_source(params)

    def read(self, params: DataParams, progress: Progress, scratch: Path | None) -> RawData:
        return replace(read_source(params, progress, scratch), task=self.task)
