"""The network of a task: a member with the head that the task needs, and what it answers."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from resnet_ops.families.any_member import AnyMember
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.heads.classification import ClassificationHead
from resnet_ops.tasks.heads.detection import DetectionHead
from resnet_ops.tasks.heads.segmentation import SegmentationHead
from resnet_ops.tasks.heads.tiles import TiledHead
from resnet_ops.tasks.task import Detection, Segmentation, Task, tiles_of

__all__ = ["Head", "head_of"]


class Head(Protocol):
    """How a task's network is made and asked.

    The network's `forward` takes (N, C, H, W) floats, and perhaps what they show (`Learning.shown`), and gives what the
    task's loss takes; in evaluation mode, of images alone, that is the answer. It has `stage_features` and `PARTS` as
    members do.
    """

    any_batch: bool
    """Whether the answer to images is one program for batches of any size; where not, exports take an image each."""

    def network(self, member: AnyMember, in_channels: int, classes: int) -> Any:
        """The network with fresh weights, drawn from torch's global random state."""

    def answer(self, network: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) normalised images -> answers (N, ...), mostly logits (N, K, ...), and embeddings (N, F)."""

    def deployable(self, network: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The same as `answer` to rounding, in the operators that runtimes of exports run well."""

    def predictions(self, answers: Tensor, embeddings: Tensor) -> Predictions:
        """What answers of N images say, both in float32 on the CPU."""


def head_of(task: Task, classes: Sequence[str] = ()) -> Head:
    """Whatever the task is. classes: their names, where a network is made, of which tiles may name one."""
    tiles = tiles_of(task)
    return _whole(task) if tiles is None else TiledHead(_whole(task), tiles, classes)


def _whole(task: Task) -> Head:
    match task:
        case Segmentation():
            return SegmentationHead(task)
        case Detection():
            return DetectionHead(task)
        case _:
            return ClassificationHead()
