"""A training in processes that get SIGKILL at random moments: `python -m tests.unit.core.killing FOLDER KIND`.

A program of its own, because torch cannot train in a fork of a process that has trained with threads before.
"""

import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from resnet_ops.data import PreparedData
from resnet_ops.training.checkpoints import Checkpoint, Checkpoints
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from resnet_ops.training.recipe import Recipe
from tests.unit.core.makers import digits, make_imbalance, make_plan, make_recipe, take

__all__ = ["KILLS", "plan", "small"]

KILLS, SEED = 25, 3


def small(images: PreparedData) -> PreparedData:
    """96 images to train on and 40 to validate, so that an epoch of 32 has three steps."""
    return take(images, train=96, validation=40, test=20, production=20)


def recipe(kind: str) -> Recipe:
    """300 steps: more than 25 lives reach. `plain`, or `all` that a recipe can have and a kill could lose."""
    if kind == "plain":
        return make_recipe(epochs=100, flip=True)
    return make_recipe(
        epochs=100,
        flip=True,
        optimiser="lamb",
        peak_lr=0.02,
        accumulate=2,
        clip=1.0,
        loss="binary",
        image_size=6,
        crop_area=0.5,
        rand_augment=6.0,
        rand_augment_spread=0.5,
        schedule="step",
        milestones=(0.1, 0.5),
        erasing=0.5,
        mixup=0.4,
        cutmix=1.0,
        ema=0.9,
        imbalance=make_imbalance(weights="effective", sampling="square_root", focal=2.0),
    )


def plan(kind: str) -> Plan:
    """With the recipe of that kind, `all` in bf16."""
    return make_plan(recipe(kind), SEED, precision="fp32" if kind == "plain" else "bf16")


class Telling(Checkpoints):
    """Says into a pipe when it starts to write."""

    def __init__(self, folder: Path, pipe: int) -> None:
        super().__init__(folder, every_seconds=0)
        self.pipe = pipe

    def write(self, checkpoint: Checkpoint) -> None:
        os.write(self.pipe, b".")
        super().write(checkpoint)


def live_and_die(folder: Path, kind: str, data: PreparedData, steps: int, seconds: float) -> None:
    """Train in a fork, which gets SIGKILL some seconds into its `steps`-th writing."""
    listen, tell = os.pipe()
    child = os.fork()
    if child == 0:
        fit(plan(kind), data, checkpoints=Telling(folder, tell))
        os._exit(0)
    os.close(tell)
    for _ in range(steps):
        os.read(listen, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.close(listen)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
        raise RuntimeError("the training ended before it was killed")


def main(folder: Path, kind: str) -> None:
    """Print the step that the newest checkpoint had after each kill."""
    torch.set_num_threads(1)
    data, rng = small(digits()), random.Random(0)
    fit(replace(plan(kind), recipe=replace(recipe(kind), epochs=1)), data)  # forks need not warm up again
    for _ in range(KILLS):
        live_and_die(folder, kind, data, rng.randint(1, 3), rng.uniform(0, 0.01))
        found = Checkpoints(folder, 0).newest()
        print("reached", found.step if found else 0, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
