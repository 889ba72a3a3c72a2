"""Chooses the recipe that `resnet-ops init` proposes, on small sets of different kinds, each left out once.

    python -m benchmarks.default_recipe --data DATA --kept FILE [--workers 16] [--seeds 3] [--only NAME ...]
    python -m benchmarks.default_recipe --data DATA --kept FILE [--workers 16] --sets tiles-64 tiles-128 tiles-224

DATA holds `fashion-mnist`, `cifar10`, `bccd` and `magnetic-tile`. Each candidate differs from the recipe before in what
its name says; `--only` names some of them. A training that was done is kept in FILE and not repeated. The error of a
training is one minus the mean recall of the classes, and that of a candidate on some sets the geometric mean of its
errors relative to those of the recipe before. The last row shows whether the choice is tuned to these sets: the error
on each set of the candidate that is best on the others. A training before takes 10 to 30 s of one core, at 128 and 224
pixels minutes.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.recipe_parts.small_sets import SETS, small_set
from resnet_ops.data import PreparedData
from resnet_ops.families.member import Member
from resnet_ops.files import write_text
from resnet_ops.messages import silent
from resnet_ops.training.engine import Engine
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from resnet_ops.training.rare_classes.imbalance import Imbalance
from resnet_ops.training.recipe import Recipe
from resnet_ops_pipelines.new_project.mirrors import may_mirror

ENGINE = Engine(
    device="cpu", processes=1, threads=1, precision="bf16", compile=False, exact=True, images="memory"
)
RARE = Imbalance(weights="none", sampling="square_root", focal=0, logit_adjustment=1)
BEFORE: dict[str, Any] = {
    "source": "before", "epochs": 1, "batch_size": 16, "accumulate": 1, "optimiser": "sgd", "peak_lr": 0.4,
    "momentum": 0.9, "second_moment": 0.999, "weight_decay": 0.0005, "clip": 0, "schedule": "one_cycle",
    "milestones": (), "drop": 0.1, "warmup": 0.25, "loss": "cross_entropy", "label_smoothing": 0.05,
    "image_size": 0, "crop_area": 0, "rand_augment": 0, "rand_augment_spread": 0, "crop_padding": 1, "flip": True,
    "erasing": 0, "mixup": 0, "cutmix": 0, "ema": 0, "patience": 0, "start": None,
}  # fmt: skip
Change = Mapping[str, Any]
ADAMW: Change = {"optimiser": "adamw", "peak_lr": 0.03, "weight_decay": 0.05}
CANDIDATES: dict[str, Change] = {
    "before": {},
    "twice the steps": {"longer": 2},
    "four times the steps": {"longer": 4},
    "AdamW": ADAMW,
    "AdamW, twice the steps": {**ADAMW, "longer": 2},
    "AdamW, four times the steps": {**ADAMW, "longer": 4},
    "resized crops, four times the steps": {"shift": 0, "crop_area": 0.5, "longer": 4},
    "average, four times the steps": {"ema": 0.99, "longer": 4},
    "classes as they are, four times the steps": {"imbalance": None, "longer": 4},
    "RandAugment, four times the steps": {"rand_augment": 5, "rand_augment_spread": 0.5, "longer": 4},
    "ten times the weight decay, four times the steps": {"weight_decay": 0.005, "longer": 4},
}
"""Before: SGD, 1,200 steps and one for 10 images. `init` proposes four times as many. All mirror where it finds that
this fits."""

SETS_LEFT_OUT = ["digits", "fashion", "cifar", "cells", "tiles-64", "kinds-64"]


def plan_of(name: str, data: PreparedData, change: Change, seed: int) -> Plan:
    """A candidate on a set: `shift`, `depth` and `longer` are those of the images, the member and the steps."""
    change = dict(change)
    shift, depth, longer = change.pop("shift", 1 / 8), change.pop("depth", 14), change.pop("longer", 1)
    train = data.split("train")
    images, side = len(train), train.images.shape[1]
    batch = max(16, min(64, 1 << int(math.log2(max(1, images / 10)))))
    counts = np.bincount(train.labels)
    rare = RARE if counts.max() > 3 * counts.min() else None
    settings = BEFORE | {"batch_size": batch, "imbalance": rare, "crop_padding": round(side * shift)} | change
    settings["flip"] = bool(settings["flip"]) and may_mirror(train.images, train.labels)
    settings["epochs"] = max(2, round(longer * (1200 + images // 10) / max(1, images // batch)))
    member = Member(
        depth=depth, widths=(16, 32, 64), stem_kernel=3, stem_stride=1 if side <= 48 else 2, shortcut="projection"
    )  # fmt: skip
    return Plan(name=name, member=member, recipe=Recipe(**settings), engine=ENGINE, seed=seed)


@cache
def images_of(name: str, data: Path) -> PreparedData:
    """A set, read once in each process."""
    return small_set(name, data)


def error_of(job: tuple[str, str, int], data: Path) -> tuple[float, float]:
    """One minus the mean recall of the classes on the images to judge by, and processor seconds.

    job: candidate, set and seed.
    """
    candidate, name, seed = job
    images, started = images_of(name, data), time.process_time()
    judged = images.split("validation", "test")
    with silent(True):
        model = fit(plan_of(name, images, CANDIDATES[candidate], seed), images)
    said = model.predict(judged.images).probabilities.argmax(1)
    recall = [float((said[judged.labels == label] == label).mean()) for label in np.unique(judged.labels)]
    return 1 - fmean(recall), time.process_time() - started


def measure(jobs: list[tuple[str, str, int]], data: Path, kept: Path, workers: int) -> dict[str, float]:
    """The error of each job by its name: those of the file, and others as they are trained."""
    done: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        under_way = {
            pool.submit(error_of, job, data): key for job in jobs if (key := key_of(job)) not in done
        }
        for future in as_completed(under_way):
            error, seconds = future.result()
            done[under_way[future]] = error
            write_text(kept, json.dumps(done, indent=1, sort_keys=True))
            print(f"{under_way[future]}: {error:.4f}, {seconds:.0f} s", flush=True)
    return done


def key_of(job: tuple[str, str, int]) -> str:
    """Of a job in the file."""
    candidate, name, seed = job
    return f"{candidate}, {name}, {seed}"


def relative(errors: Mapping[str, list[float]], before: Mapping[str, list[float]], names: list[str]) -> float:
    """The geometric mean over sets of an error in terms of that before."""
    return math.exp(fmean(math.log(max(fmean(errors[name]), 1e-3) / fmean(before[name])) for name in names))


def table(found: dict[str, dict[str, list[float]]], names: list[str]) -> str:
    """A row for each candidate, means over seeds; below, what would have been chosen without each set."""
    before = found["before"]
    lines = [f"| recipe | {' | '.join(names)} | relative |", "|---|" + "---|" * (len(names) + 1)]
    for candidate, errors in found.items():
        cells = [f"{fmean(errors[name]):.3f}" for name in names]
        lines.append(f"| {candidate} | {' | '.join(cells)} | {relative(errors, before, names):.2f} |")
    if len(names) == 1:
        return "\n".join(lines)
    chosen = {
        name: min(
            found, key=lambda each: relative(found[each], before, [one for one in names if one != name])
        )
        for name in names
    }
    held = [f"{fmean(found[chosen[name]][name]):.3f}" for name in names]
    lines.append(f"| chosen without the set | {' | '.join(held)} | |")
    return "\n".join([*lines, "", *(f"Without {name}: {chosen[name]}." for name in names)])


def main() -> None:
    """Train what is asked for, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="trainings at once, each on one thread")
    parser.add_argument("--sets", nargs="*", default=SETS_LEFT_OUT, choices=SETS)
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), choices=CANDIDATES)
    asked = parser.parse_args()
    if "before" not in asked.only:
        parser.error("the table is relative to `before`: name it in --only too")
    jobs = [(each, name, seed) for name in asked.sets for seed in range(asked.seeds) for each in asked.only]
    done = measure(jobs, asked.data, asked.kept, asked.workers)
    found = {
        each: {name: [done[key_of((each, name, seed))] for seed in range(asked.seeds)] for name in asked.sets}
        for each in asked.only
    }
    print(table(found, asked.sets))


if __name__ == "__main__":
    main()
