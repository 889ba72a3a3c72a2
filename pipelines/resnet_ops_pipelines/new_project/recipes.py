"""The recipes that `resnet-ops init` proposes, from the number of images and what is asked of them."""

import math

from resnet_ops.tasks.task import Task
from resnet_ops.training.engine import Engine
from resnet_ops.training.rare_classes.imbalance import Imbalance
from resnet_ops.training.recipe import Recipe

__all__ = ["FEWEST_STEPS", "MOST_STEPS", "RARE", "batch_size_for", "recipe_for"]

FEWEST_STEPS, MOST_STEPS, IMAGES_A_STEP = 1200, 6000, 10
"""A training takes the fewest steps, and one more for so many images, up to the most."""
BATCH_LIMITS = {"cpu": 64, "cuda": 256}
RARE = 3.0
"""Largest class to smallest, from which on training makes up for it; also validation's warning."""
SHIFT, MASKS_SHIFT = 8, 16
"""Images are moved by up to one part in so many of their side."""
MASKS_RATE = 0.003
"""AdamW's highest rate, whatever the batch."""


def batch_size_for(engine: Engine, images: int) -> int:
    """About a tenth of the images to train on, as a power of two."""
    return max(16, min(BATCH_LIMITS[engine.device], 1 << int(math.log2(max(1, images / 10)))))


def recipe_for(
    task: Task,
    size: int,
    batch_size: int,
    images: int,
    longer: float = 1.0,
    ratio: float = 1.0,
    mirrored: bool = False,
) -> Recipe:
    """One-cycle over as many epochs as make the steps that so many images want.

    size: side of the images. longer: factor of the steps. ratio: the largest class to the
    smallest. mirrored: whether left and right mean nothing.
    """
    of_masks = not task.per_image
    steps = longer * min(MOST_STEPS, FEWEST_STEPS + images // IMAGES_A_STEP)
    rare = Imbalance(weights="none", sampling="square_root", focal=0, logit_adjustment=1)
    return Recipe(
        source=f"{'AdamW and Dice' if of_masks else 'SGD'}, one-cycle (Smith & Topin 2017, arXiv:1708.07120), epochs "
        "from the number of images; compared with others in benchmarks/RESULTS.md",
        epochs=max(2, round(steps / max(1, images // batch_size))),
        batch_size=batch_size,
        accumulate=1,
        optimiser="adamw" if of_masks else "sgd",
        peak_lr=MASKS_RATE * 256 / batch_size if of_masks else 0.4,
        momentum=0.9,
        second_moment=0.999,
        weight_decay=0.05 if of_masks else 0.0005,
        clip=0,
        schedule="one_cycle",
        milestones=(),
        drop=0.1,
        warmup=0.25,
        loss="dice" if of_masks else "cross_entropy",
        label_smoothing=0 if of_masks else 0.05,
        image_size=0,
        crop_area=0,
        rand_augment=0,
        rand_augment_spread=0,
        crop_padding=max(1, size // (MASKS_SHIFT if of_masks else SHIFT)),
        flip=mirrored,
        erasing=0,
        mixup=0,
        cutmix=0,
        ema=0,
        patience=0,
        start=None,
        imbalance=rare if ratio > RARE and not of_masks else None,
    )
