"""What would spoil a training, found before it starts or as soon as it shows."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from resnet_ops.data import PreparedData
from resnet_ops.data.depth import depth_of
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.training.plan import Plan

__all__ = [
    "check_classes",
    "check_depth",
    "check_graphs",
    "check_loss",
    "check_range",
    "explain_memory",
]


def check_range(data: PreparedData) -> None:
    """Raise DataError where a label is of no class."""
    wrong = sorted(set(data.labels.tolist()) - set(range(len(data.classes))))
    if wrong:
        shown = ", ".join(map(str, wrong))
        raise DataError(
            f"Label {shown} is out of range: there are {len(data.classes)} classes, counted from 0. Run: dvc repro"
        )


def check_classes(train: PreparedData) -> None:
    """Raise DataError where a class has no image."""
    counts = np.bincount(train.labels, minlength=len(train.classes))
    missing = [name for name, count in zip(train.classes, counts, strict=True) if not count]
    if missing:
        raise DataError(
            f"No training image of class {', '.join(missing)}. Add images or raise data.split.train."
        )


def check_depth(plan: Plan, train: PreparedData) -> None:
    """Raise ConfigError where an augmentation that is of 8 bits would take the depth of grey away again."""
    if depth_of(train.images) == 16 and plan.recipe.rand_augment:
        raise ConfigError(
            f"{plan.name}: the recipe's rand_augment is {plan.recipe.rand_augment:g}, which is of 8 bits, but "
            "data.depth is 16. In params.yaml set rand_augment to 0: crops, mirrors, erasing and mixing keep the depth."
        )


def check_graphs(plan: Plan) -> None:
    """Raise ConfigError where a part's CUDA graph would write over the gradients of the part before."""
    if plan.engine.compile == "reduce-overhead" and plan.recipe.accumulate > 1:
        raise ConfigError(
            f"{plan.name}: train.compile is reduce-overhead, but the recipe passes a batch through the network in "
            f"{plan.recipe.accumulate} parts, and needs 1. In params.yaml set the recipe's accumulate to 1 or "
            "train.compile to default."
        )


def check_loss(plan: Plan, epoch: int, losses: dict[str, float]) -> None:
    """Raise ConfigError where the loss on a split is not a number. epoch: counted from 1."""
    for split, value in losses.items():
        if not math.isfinite(value):
            raise ConfigError(
                f"{plan.name}: the {split} loss is {value} in epoch {epoch}; training diverged. "
                "Lower the recipe's peak_lr or raise its warmup in params.yaml."
            )


@contextmanager
def explain_memory(plan: Plan) -> Iterator[None]:
    """Turn torch's failure to get memory, on a GPU or the CPU, into a ConfigError that says what to change."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        parts = plan.recipe.accumulate
        raise ConfigError(
            f"{plan.name} at batch_size {plan.recipe.batch_size} in {parts} part(s) does not fit into the memory of "
            f"{plan.engine.device}. In params.yaml raise the recipe's accumulate to {2 * parts}, set the member's "
            "checkpointing to true where it has one, or set train.precision to bf16."
        ) from error
