"""The network of a task: a member with the head that the task needs, and what it answers."""

from typing import Any, Protocol

from torch import Tensor

from resnet_ops.families.any_member import AnyMember
from resnet_ops.tasks.heads.classification import ClassificationHead
from resnet_ops.tasks.heads.segmentation import SegmentationHead
from resnet_ops.tasks.task import Segmentation, Task

__all__ = ["Head", "head_of"]


class Head(Protocol):
    """How a task's network is made and asked.

    The network's `forward` takes (N, C, H, W) floats and gives what the task's loss takes; in evaluation mode that is
    the logits. It has `stage_features` and `PARTS` as members do.
    """

    def network(self, member: AnyMember, in_channels: int, classes: int) -> Any:
        """The network with fresh weights, drawn from torch's global random state."""

    def answer(self, network: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) normalised images -> logits (N, K, ...), of which the largest is the answer, and embeddings
        (N, F)."""

    def deployable(self, network: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The same as `answer` to rounding, in the operators that runtimes of exports run well."""


def head_of(task: Task) -> Head:
    """Whatever the task is."""
    return SegmentationHead(task) if isinstance(task, Segmentation) else ClassificationHead()
