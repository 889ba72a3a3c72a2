"""Trainings by several workers: `torchrun --nproc-per-node N -m tests.unit.core.working FOLDER CASE...`."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from resnet_ops.data import PreparedData
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.preactivation_member import PreActivationMember
from resnet_ops.files import write_json
from resnet_ops.model import TrainedModel, save_model
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.choices import settle
from resnet_ops.training.distributed.workers import Workers, join_workers
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.loop import Training, fit
from resnet_ops.training.plan import Plan
from tests.unit.core.makers import (
    TINY,
    digits,
    make_imagenet_member,
    make_imbalance,
    make_plan,
    make_recipe,
    take,
)

__all__ = ["PLANS", "curve", "images", "train_precisely"]

EVERY_OPTION: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 33,
    "accumulate": 4,
    "flip": True,
    "erasing": 0.5,
    "crop_area": 0.5,
    "rand_augment": 3,
    "rand_augment_spread": 0.5,
    "mixup": 0.4,
    "cutmix": 1.0,
    "clip": 0.5,
    "ema": 0.8,
}
CHECKPOINTING = PreActivationMember(
    family="preactivation", block="bottleneck", depth=11, widths=(4, 8, 16), checkpointing=True
)


def _plan(member: AnyMember = TINY, **recipe: Any) -> Plan:
    return make_plan(make_recipe(**{"epochs": 3, "batch_size": 33, **recipe}), member=member)


PLANS: dict[str, Plan] = {
    "plain": _plan(),
    "every option": _plan(**EVERY_OPTION),
    "binary loss, lamb": _plan(loss="binary", optimiser="lamb", peak_lr=0.02, mixup=0.4, accumulate=3),
    "activation checkpointing": _plan(CHECKPOINTING, cutmix=1.0),
    "attention": _plan(make_imagenet_member(squeeze=4, attention=2, downsample="average"), mixup=0.4),
    "rare classes": _plan(
        **EVERY_OPTION,
        imbalance=make_imbalance(weights="balanced", sampling="square_root", focal=1.5),
    ),
    "adjusted logits": _plan(accumulate=2, imbalance=make_imbalance(logit_adjustment=1.0)),
    "few to validate": _plan(epochs=1),
}


def images(case: str = "") -> PreparedData:
    """99 images to train on, which is three batches of 33, and 41 to validate, or fewer than there are workers."""
    return take(digits(), train=99, validation=2 if case == "few to validate" else 41)


def curve(epochs: list[Epoch]) -> list[list[float]]:
    """Losses and accuracies of each epoch."""
    keys = ("train_loss", "train_score", "validation_loss", "validation_score")
    return [[getattr(epoch, key) for key in keys] for epoch in epochs]


class Stop(Exception):
    """Ends a training."""


def stop_after_two(epoch: Epoch) -> None:
    """A callback."""
    if epoch.epoch == 2:
        raise Stop


def be_killed_after_two(epoch: Epoch) -> None:
    """A callback; the restarted worker goes on."""
    if epoch.epoch == 2 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)


def train_precisely(plan: Plan, data: PreparedData, workers: Workers) -> tuple[TrainedModel, list[Epoch]]:
    """Train in 64 bits, where rounding does not decide on which side of 0 an activation falls."""
    training = Training(plan, data.split("train"), data.split("validation"), workers)
    for network in {training.network, training.judged.network}:
        network.double().register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    while not training.done:
        training.run_epoch(None)
    return training.model(), training.state.epochs


def work(folder: Path, case: str, workers: Workers) -> None:
    """Run one case; every worker writes what it found below its number."""
    mine, plan, data = folder / str(workers.rank), PLANS.get(case, PLANS["every option"]), images(case)
    checkpoints = Checkpoints(folder / "checkpoints", every_seconds=0)
    match case:
        case "stopped":
            with suppress(Stop):
                fit(plan, data, [stop_after_two], checkpoints, workers)
        case "killed":
            callbacks = [be_killed_after_two] if workers.rank == 1 else []
            save_model(fit(plan, data, callbacks, checkpoints, workers), mine / case)
        case "not at hand":
            if workers.leads:
                checkpoints = Checkpoints(folder / "nothing", every_seconds=0)
            save_model(fit(plan, data, [], checkpoints, workers), mine / case)
        case "threads":
            plan = settle(make_plan(threads="auto"), data, mine / "threads.json", workers)
            write_json(mine / "chosen.json", plan.engine.threads)
        case _:
            model, epochs = train_precisely(plan, data, workers)
            save_model(model, mine / case)
            write_json(mine / case / "curve.json", curve(epochs))
            save_model(fit(plan, data, workers=workers), mine / f"{case} in 32 bits")


if __name__ == "__main__":
    with join_workers("cpu") as joined:
        for name in sys.argv[2:]:
            work(Path(sys.argv[1]), name, joined)
