"""Chooses the recipe that `resnet-ops init` proposes, on five small sets of different kinds, each left out once.

    python -m benchmarks.default_recipe --data DATA --kept FILE [--seeds 3] [--only NAME ...]

DATA holds `fashion-mnist`, `cifar10`, `bccd` and `magnetic-tile`. Each candidate differs from the recipe before in what
its name says; `--only` names some of them. A training that was done is kept in FILE and not repeated. The error of a
training is one minus the mean recall of the classes, and that of a candidate on some sets the geometric mean of its
errors relative to those of the recipe before. The last row shows whether the choice is tuned to these sets: the error
on each set of the candidate that is best on the four others. Half an hour on one core for one seed.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.recipe_parts.small_sets import SETS, small_set
from resnet_ops.data import PreparedData
from resnet_ops.families.member import Member
from resnet_ops.files import write_text
from resnet_ops.training.engine import Engine
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from resnet_ops.training.rare_classes.imbalance import Imbalance
from resnet_ops.training.recipe import Recipe

ENGINE = Engine(
    device="cpu", processes=1, threads=1, precision="bf16", compile=False, exact=True, images="memory"
)
MIRRORED = {"cifar", "cells", "tiles"}
"""Sets in which a mirrored image looks like its class, as `init` finds."""
RARE = Imbalance(weights="none", sampling="square_root", focal=0, logit_adjustment=1)
BEFORE: dict[str, Any] = {
    "source": "before", "epochs": 1, "batch_size": 16, "accumulate": 1, "optimiser": "sgd", "peak_lr": 0.4,
    "momentum": 0.9, "second_moment": 0.999, "weight_decay": 0.0005, "clip": 0, "schedule": "one_cycle",
    "milestones": (), "drop": 0.1, "warmup": 0.25, "loss": "cross_entropy", "label_smoothing": 0.05,
    "image_size": 0, "crop_area": 0, "rand_augment": 0, "rand_augment_spread": 0, "crop_padding": 1, "flip": False,
    "erasing": 0, "mixup": 0, "cutmix": 0, "ema": 0, "patience": 0, "start": None,
}  # fmt: skip
Change = Mapping[str, Any]
MIRRORS: Change = {"flip": True}
CANDIDATES: dict[str, Change] = {
    "before": {},
    "mirrors where they fit": MIRRORS,
    "mirrors, classes as they are": {**MIRRORS, "imbalance": None},
    "mirrors, shift 1/16": {**MIRRORS, "shift": 1 / 16},
    "mirrors, resized crops": {**MIRRORS, "shift": 0, "crop_area": 0.6},
    "mirrors, rate 0.8": {**MIRRORS, "peak_lr": 0.8},
    "mirrors, decay 0.002": {**MIRRORS, "weight_decay": 0.002},
    "mirrors, AdamW": {**MIRRORS, "optimiser": "adamw", "peak_lr": 0.02, "weight_decay": 0.05},
    "mirrors, average": {**MIRRORS, "ema": 0.98},
    "mirrors, depth 14": {**MIRRORS, "depth": 14},
    "mirrors, twice the steps": {**MIRRORS, "longer": 2},
}


def plan_of(name: str, data: PreparedData, change: Change, seed: int) -> Plan:
    """A candidate on a set: `shift`, `depth` and `longer` are those of the images, the member and the steps."""
    change = dict(change)
    shift, depth, longer = change.pop("shift", 1 / 8), change.pop("depth", 8), change.pop("longer", 1)
    train = data.split("train")
    images, side = len(train), train.images.shape[1]
    batch = max(16, min(64, 1 << int(math.log2(max(1, images / 10)))))
    counts = np.bincount(train.labels)
    rare = RARE if counts.max() > 3 * counts.min() else None
    settings = BEFORE | {"batch_size": batch, "imbalance": rare, "crop_padding": round(side * shift)} | change
    settings["flip"] &= name in MIRRORED
    settings["epochs"] = max(2, round(longer * (600 + images // 20) / max(1, images // batch)))
    member = Member(
        depth=depth, widths=(16, 32, 64), stem_kernel=3, stem_stride=1 if side <= 48 else 2, shortcut="projection"
    )  # fmt: skip
    return Plan(name=name, member=member, recipe=Recipe(**settings), engine=ENGINE, seed=seed)


def error_of(plan: Plan, data: PreparedData) -> float:
    """One minus the mean recall of the classes, on the images to judge by."""
    judged = data.split("validation")
    said = fit(plan, data).predict(judged.images).probabilities.argmax(1)
    return 1 - fmean(
        float((said[judged.labels == label] == label).mean()) for label in np.unique(judged.labels)
    )


def measure(data: Path, kept: Path, seeds: int, only: list[str]) -> dict[str, dict[str, list[float]]]:
    """Errors by candidate and set, one for each seed: those of the file, and others as they are trained."""
    done = json.loads(kept.read_text()) if kept.exists() else {}
    found: dict[str, dict[str, list[float]]] = {}
    for name in SETS:
        images = small_set(name, data)
        errors = dict[Plan, float]()  # candidates may be the same on a set
        for candidate in only or CANDIDATES:
            for seed in range(seeds):
                plan, key = plan_of(name, images, CANDIDATES[candidate], seed), f"{candidate}, {name}, {seed}"
                if key not in done:
                    started = time.process_time()
                    error = errors[plan] if plan in errors else error_of(plan, images)
                    done[key] = error
                    write_text(kept, json.dumps(done, indent=1))
                    print(f"{key}: {error:.4f}, {time.process_time() - started:.0f} s", flush=True)
                errors[plan] = done[key]
                found.setdefault(candidate, {}).setdefault(name, []).append(done[key])
    return found


def relative(errors: Mapping[str, list[float]], before: Mapping[str, list[float]], names: list[str]) -> float:
    """The geometric mean over sets of an error in terms of that before."""
    return math.exp(fmean(math.log(max(fmean(errors[name]), 1e-3) / fmean(before[name])) for name in names))


def table(found: dict[str, dict[str, list[float]]]) -> str:
    """A row for each candidate; below, what would have been chosen without each set."""
    names, before = list(SETS), found["before"]
    lines = [f"| recipe | {' | '.join(names)} | relative |", "|---|" + "---|" * (len(names) + 1)]
    for candidate, errors in found.items():
        cells = [f"{fmean(errors[name]):.3f}" for name in names]
        lines.append(f"| {candidate} | {' | '.join(cells)} | {relative(errors, before, names):.2f} |")
    chosen = {
        name: min(
            found, key=lambda each: relative(found[each], before, [one for one in names if one != name])
        )
        for name in names
    }
    held = [f"{fmean(found[chosen[name]][name]):.3f}" for name in names]
    lines.append(f"| chosen without the set | {' | '.join(held)} | |")
    return "\n".join([*lines, "", *(f"Without {name}: {chosen[name]}." for name in names)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], choices=CANDIDATES)
    chosen = parser.parse_args()
    print(table(measure(chosen.data, chosen.kept, chosen.seeds, chosen.only)))
