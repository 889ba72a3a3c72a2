"""How classification is read: the label says all."""

from pathlib import Path

from resnet_ops.data.params import DataParams
from resnet_ops.data.raw import RawData
from resnet_ops.data.sources import check_source, read_source
from resnet_ops.messages import Progress

__all__ = ["ClassificationReading"]


class ClassificationReading:
    """See `resnet_ops.tasks.reading.reading.Reading`."""

    def check(self, params: DataParams) -> None:
        check_source(params)

    def read(self, params: DataParams, progress: Progress, scratch: Path | None) -> RawData:
        return read_source(params, progress, scratch)
