"""The recipes that `resnet-ops init` proposes, from the number of images and what is asked of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from resnet_ops.tasks.task import Task, TaskName
from resnet_ops.training.engine import Engine
from resnet_ops.training.rare_classes.imbalance import Imbalance
from resnet_ops.training.recipe import Loss, Recipe

__all__ = ["MOST_STEPS", "RARE", "TASKS", "batch_size_for", "recipe_for"]

MOST_STEPS, IMAGES_A_STEP = 12_000, 10
"""A training takes the fewest steps of its task, and one more for so many images, up to the most."""
BATCH_LIMITS = {"cpu": 64, "cuda": 256}
RARE = 3.0
"""Largest class to smallest, from which on training makes up for it; also validation's warning."""


@dataclass(frozen=True)
class Proposed:
    """What the recipes of a task have of their own."""

    about: str
    steps: int
    """However few images there are: with few of them an epoch is a handful of steps."""
    optimiser: Literal["sgd", "adamw"]
    peak_lr: float
    """Per 256 images; of AdamW the highest rate, whatever the batch."""
    weight_decay: float
    loss: Loss
    label_smoothing: float
    shift: int
    """Images are moved by up to one part in so many of their side."""
    batch: int
    """Images a step, at most."""
    halved: int
    """Pixels of a side up to which the members' stem halves images; it takes a quarter beyond."""


TASKS: Mapping[TaskName, Proposed] = {
    "classification": Proposed("SGD", 4800, "sgd", 0.4, 0.0005, "cross_entropy", 0.05, 8, 256, 128),
    "segmentation": Proposed("AdamW and Dice", 2400, "adamw", 0.003, 0.05, "dice", 0, 16, 256, 128),
    "detection": Proposed("AdamW", 2400, "adamw", 0.002, 0.01, "cross_entropy", 0, 16, 8, 256),
}


def batch_size_for(engine: Engine, images: int, task: Task) -> int:
    """About a tenth of the images to train on, as a power of two."""
    most = min(BATCH_LIMITS[engine.device], TASKS[task.name].batch)
    return max(min(16, most), min(most, 1 << int(math.log2(max(1, images / 10)))))


def recipe_for(
    task: Task,
    size: int,
    batch_size: int,
    images: int,
    share: float = 1.0,
    ratio: float = 1.0,
    mirrored: bool = False,
) -> Recipe:
    """One-cycle over as many epochs as make the steps that so many images want.

    size: side of the images. share: of the steps. ratio: the largest class to the smallest. mirrored: whether left and
    right mean nothing.
    """
    own = TASKS[task.name]
    steps = share * min(MOST_STEPS, own.steps + images // IMAGES_A_STEP)
    rare = Imbalance(weights="none", sampling="square_root", focal=0, logit_adjustment=1)
    return Recipe(
        source=f"{own.about}, one-cycle (Smith & Topin 2017, arXiv:1708.07120), epochs from the number of images; "
        "compared with others in benchmarks/RESULTS.md",
        epochs=max(2, round(steps / max(1, images // batch_size))),
        batch_size=batch_size,
        accumulate=1,
        optimiser=own.optimiser,
        peak_lr=own.peak_lr * (256 / batch_size if own.optimiser == "adamw" else 1),
        momentum=0.9,
        second_moment=0.999,
        weight_decay=own.weight_decay,
        clip=0,
        schedule="one_cycle",
        milestones=(),
        drop=0.1,
        warmup=0.25,
        loss=own.loss,
        label_smoothing=own.label_smoothing,
        image_size=0,
        crop_area=0,
        rand_augment=0,
        rand_augment_spread=0,
        crop_padding=max(1, size // own.shift),
        flip=mirrored,
        erasing=0,
        mixup=0,
        cutmix=0,
        ema=0,
        patience=0,
        start=None,
        imbalance=rare if ratio > RARE and task.per_image else None,
    )
