"""The golden losses: the first 10 steps of a member or two of each family at seed 0, on digits, on one CPU thread.

A change that is not meant to be numeric must leave them as they are. Run this file before and after it:

    python -m tests.golden.regenerate            # shows how far the losses are from the committed ones
    python -m tests.golden.regenerate --write    # after a change that is meant: writes them anew, with the reason
                                                 # in the commit message

On the machine that wrote them the difference is 0. Another instruction set or thread count sums in another order,
and training amplifies that: seen were up to 2.4e-3 for resnet20, 1e-6 for resnet8, 9.6e-4 for preactivation11 and
2e-4 for imagenet14, all relative. The tolerances lie above that and below what a changed schedule does (6e-3, 3e-3,
2.5e-3 and 1.1e-2).
"""

import argparse
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from resnet_ops.console import console
from resnet_ops.data import PreparedData
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.families.preactivation_member import PreActivationMember
from resnet_ops.files import read_json, write_json
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from tests.unit.core.makers import SHARES, digits, make_plan, make_recipe, take

__all__ = ["MEMBERS", "TOLERANCES", "measure", "path_of", "plan_of", "relative_difference"]

MEMBERS: dict[str, AnyMember] = {
    "resnet8": Member(depth=8, widths=(4, 4, 8), stem_kernel=3, stem_stride=1, shortcut="identity"),
    "resnet20": Member(depth=20, widths=(16, 32, 64), stem_kernel=3, stem_stride=1, shortcut="identity"),
    "preactivation11": PreActivationMember(
        family="preactivation", block="bottleneck", depth=11, widths=(4, 8, 16), checkpointing=False
    ),
    "imagenet14": ImageNetMember(
        family="imagenet",
        block="bottleneck",
        layers=(1, 1, 1, 1),
        width=8,
        groups=1,
        width_per_group=64,
        stem="small",
        downsample="average",
        squeeze=4,
        attention=2,
        zero_init=True,
        checkpointing=False,
    ),
}
RATES = {"resnet8": 0.05, "resnet20": 0.02, "preactivation11": 0.1, "imagenet14": 0.02}
"""Low peaks, so that training amplifies rounding little."""
TOLERANCES = {"resnet8": 4e-4, "resnet20": 4e-3, "preactivation11": 1.3e-3, "imagenet14": 1e-3}
"""Largest relative difference of a loss."""
IMAGES = 256
"""All in one batch: an epoch is a step."""


def path_of(name: str) -> Path:
    """The committed losses of a member."""
    return Path(__file__).parent / f"{name}.json"


def plan_of(name: str) -> Plan:
    """Ten steps of one batch each."""
    recipe = make_recipe(epochs=10, batch_size=IMAGES, peak_lr=RATES[name])
    return make_plan(recipe, member=MEMBERS[name])


def golden_digits() -> PreparedData:
    """The digits as they were dealt out when the losses were written: shuffled within each class."""
    data = digits()
    rng = np.random.default_rng(0)
    split_of: dict[str, str] = {}
    for label in range(len(data.classes)):
        new = dict.fromkeys(
            row.sha256 for row in data.rows if row.label == label and row.sha256 not in split_of
        )
        shuffled = list(new)
        rng.shuffle(shuffled)
        cuts = np.round(np.cumsum([0, *SHARES.as_dict().values()]) * len(shuffled)).astype(int)
        for name, (start, stop) in zip(SHARES.as_dict(), pairwise(cuts), strict=True):
            split_of.update(dict.fromkeys(shuffled[start:stop], name))
    return replace(data, rows=[replace(row, split=split_of[row.sha256]) for row in data.rows])


def measure(plan: Plan) -> dict[str, list[float]]:
    """`train` and `validation` losses of each step, in nats."""
    epochs: list[Epoch] = []
    fit(plan, take(golden_digits(), train=IMAGES, validation=64), callbacks=[epochs.append])
    return {
        "train": [epoch.train_loss for epoch in epochs],
        "validation": [epoch.validation_loss for epoch in epochs],
    }


def relative_difference(losses: dict[str, list[float]], golden: dict[str, list[float]]) -> float:
    """The largest relative difference between two sets of losses of the same length."""
    pairs = [
        pair for split in ("train", "validation") for pair in zip(losses[split], golden[split], strict=True)
    ]
    return max(abs(loss / expected - 1) for loss, expected in pairs)


def main(write: bool) -> int:
    """Compare, and write where asked; 1 where a member is beyond its tolerance."""
    beyond = 0
    for name in MEMBERS:
        losses = measure(plan_of(name))
        if path_of(name).exists():
            difference = relative_difference(losses, read_json(path_of(name))["losses"])
            console.print(
                f"{name}: largest relative difference {difference:.2g}, allowed {TOLERANCES[name]:g}"
            )
            beyond += difference > TOLERANCES[name]
        if write:
            instructions = torch.backends.cpu.get_cpu_capability()
            made_with = {"torch": torch.__version__, "instructions": instructions, "threads": 1, "seed": 0}
            write_json(path_of(name), {"losses": losses, "made_with": made_with})
            console.print(f"{name}: written")
    return 0 if write else min(beyond, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="replace the committed losses")
    sys.exit(main(parser.parse_args().write))
