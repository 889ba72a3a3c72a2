"""Test accuracy against training time on one CPU thread: digits, Fashion-MNIST and CIFAR-10.

    python benchmarks/training_curves.py --data DATA

DATA holds `fashion-mnist` (the four idx files) and `cifar10` (the binary version, or `cifar10_jpeg.npz`); what is not
there is left out. Each training gets a budget of processor seconds, and as many epochs as fit in by the speed of some
steps measured first. The training images are dealt out 98 % to 2 % to training and validation; the curve shows
validation, the table the data set's own test images, which are looked at once. A training that was measured is kept in
WORK and not repeated. Writes the section in benchmarks/RESULTS.md and the pictures in docs/images.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from matplotlib.figure import Figure

from benchmarks.images import published, read_cifar10
from benchmarks.marked_part import write_marked_part
from resnet_ops.data import PreparedData
from resnet_ops.data.prepared import HELD_OUT, LEARNED
from resnet_ops.data.raw import RawData
from resnet_ops.data.sources import SplitParams, read_digits, read_source
from resnet_ops.data.splits import split_images
from resnet_ops.families.member import Member
from resnet_ops.files import read_json, write_json
from resnet_ops.params import parse_params
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops.training.engine import Engine
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.loop import Training, fit
from resnet_ops.training.plan import Plan
from resnet_ops_pipelines.project_params import Params

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
START, END = "<!-- curves: begin -->", "<!-- curves: end -->"
ENGINE = Engine(
    device="cpu", processes=1, threads=1, precision="bf16", compile=False, exact=True, images="memory"
)
GIVEN = SplitParams(train=0.49, validation=0.01, test=0.25, production=0.25)
"""98 % and 2 % of the training images; the test images in halves, which are put together again."""
DEALT = SplitParams(train=0.6, validation=0.1, test=0.15, production=0.15)
"""Of the digits, which come without test images: 30 % are tested on."""
WIDE = Member(depth=8, widths=(32, 64, 128), stem_kernel=3, stem_stride=1, shortcut="projection")
RESNET20 = Member(depth=20, widths=(16, 32, 64), stem_kernel=3, stem_stride=1, shortcut="identity")


BUDGETS = {60: 3, 120: 3, 300: 3}


@dataclass(frozen=True)
class Case:
    """A data set with the member and the recipe that are trained on it."""

    name: str
    member_name: str
    member: Member
    recipe: str
    budgets: dict[int, int]
    """Processor seconds, and with how many seeds."""
    read: Callable[[Path], PreparedData | None]
    """From the folder of all data sets; None where it is not there."""


@dataclass(frozen=True)
class Result:
    """One training and what it reached, as `train` says."""

    case: Case
    budget: int
    seed: int
    found: dict[str, Any]


def digits(_: Path) -> PreparedData:
    return split_images(read_digits(), DEALT, 0)


def fashion(data: Path) -> PreparedData | None:
    root = data / "fashion-mnist"
    params = published("idx", root, 28, 1)
    return split_images(read_source(params), GIVEN, 0) if root.is_dir() else None


def cifar10(data: Path) -> PreparedData | None:
    root = data / "cifar10"
    packed = root / "cifar10_jpeg.npz"
    if not root.is_dir():
        return None
    given = read_cifar10(packed if packed.exists() else root)
    allowed: list[tuple[str, ...]] = [LEARNED if row.split == "train" else HELD_OUT for row in given.rows]
    paths, sizes = [row.path for row in given.rows], [(32, 32)] * len(given)
    raw = RawData(given.images, given.labels, paths, sizes, given.classes, allowed)
    return split_images(raw, GIVEN, 0)


CASES = (
    Case("digits", "ResNet-20", RESNET20, "digits", {10: 3, 60: 3}, digits),
    Case("Fashion-MNIST", "ResNet-20", RESNET20, "fast-cifar", BUDGETS, fashion),
    Case("CIFAR-10", "ResNet-8 wide", WIDE, "fast-cifar", BUDGETS, cifar10),
)


def plan_of(case: Case, epochs: int, seed: int) -> Plan:
    recipe = replace(parse_params(ROOT / "params.yaml", Params).recipes[case.recipe], epochs=epochs)
    return Plan(name=case.member_name, member=case.member, recipe=recipe, engine=ENGINE, seed=seed)


def seconds_per_epoch(plan: Plan, data: PreparedData) -> float:
    """Processor seconds, by some steps and one validation."""
    training = Training(plan, data.split("train"), data.split("validation"))
    measured = [torch.arange(training.batch_size)] * max(5, 2000 // training.batch_size)
    list(training.take_steps(measured[:2]))
    started = time.process_time()
    list(training.take_steps(measured))
    return (time.process_time() - started) / len(measured) * training.steps_per_epoch


def train(case: Case, data: PreparedData, budget: int, seed: int) -> dict[str, Any]:
    """One training and what it reached."""
    epochs = max(1, int(budget / seconds_per_epoch(plan_of(case, 1, seed), data)))
    curve: list[tuple[float, float]] = []
    started, started_wall = time.process_time(), time.perf_counter()

    def note(epoch: Epoch) -> None:
        curve.append((time.process_time() - started, epoch.validation_score))

    model = fit(plan_of(case, epochs, seed), data, [note])
    cpu_seconds, wall_seconds = time.process_time() - started, time.perf_counter() - started_wall
    test = data.split("test", "production")
    hits = model.predict(test.images).predicted == test.labels
    return {
        "epochs": epochs,
        "cpu_seconds": cpu_seconds,
        "wall_seconds": wall_seconds,
        "test_top1": float(hits.mean()),
        "test_images": len(test),
        "train_images": len(data.split("train")),
        "curve": curve,
        "recipe": plan_of(case, epochs, seed).recipe.as_dict(),
        "provenance": {**environment(), **hardware(), **git_state(ROOT)},
    }


def measured(data: Path, work: Path, names: list[str]) -> Iterator[Result]:
    """Trains the named cases, the first seeds and the shorter trainings first, and gives all that are in `work`."""
    sets = {case.name: case.read(data) for case in CASES if case.name in names}
    runs = [(seed, budget, case) for case in CASES for budget, n in case.budgets.items() for seed in range(n)]
    for seed, budget, case in sorted(runs, key=lambda run: run[:2]):
        path = work / f"{case.name}-{budget}-{seed}.json"
        images = sets.get(case.name)
        if images and not path.exists():
            write_json(path, train(case, images, budget, seed))
        if path.exists():
            found = read_json(path)
            print(f"{path.stem}: {found['test_top1']:.4f} after {found['cpu_seconds']:.0f} s", flush=True)
            yield Result(case, budget, seed, found)


def table(results: list[Result]) -> Iterator[str]:
    """One row for each data set and budget."""
    yield "| data | member | processor | epochs | images/s | clock | n | test top-1 (smallest-largest) | test images |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for case in CASES:
        for budget in case.budgets:
            runs = [each.found for each in results if each.case is case and each.budget == budget]
            if not runs:
                continue
            tops = [100 * found["test_top1"] for found in runs]
            spread = f" ({min(tops):.2f}-{max(tops):.2f})" if len(tops) > 1 else ""
            epochs, cpu, wall = (
                statistics.median(found[key] for found in runs)
                for key in ("epochs", "cpu_seconds", "wall_seconds")
            )
            speed = epochs * runs[0]["train_images"] / cpu
            yield (
                f"| {case.name} | {case.member_name} | {cpu:.0f} s | {epochs:.0f} | {speed:,.0f} | {wall:.0f} s "
                f"| {len(runs)} | {statistics.mean(tops):.2f} %{spread} | {runs[0]['test_images']:,} |"
            )


def draw(results: list[Result], case: Case, path: Path) -> None:
    """Validation top-1 against processor seconds, a line for each training."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    colours = dict(zip(case.budgets, ("#9aa5b1", "#0b5cad", "#d9480f"), strict=False))
    for budget, colour in colours.items():
        runs = [each.found for each in results if each.case is case and each.budget == budget]
        tops = [100 * found["test_top1"] for found in runs]
        for found in runs:
            seconds, validation = zip(*found["curve"], strict=True)
            percent = [100 * top for top in validation]
            label = f"{budget} s: {min(tops):.1f} to {max(tops):.1f} % of the test images"
            axes.plot(
                seconds,
                percent,
                color=colour,
                label=label if found is runs[0] else None,
                marker="o",
                markersize=3,
                linewidth=1.2,
            )
    axes.set(xlabel="processor seconds, one thread", ylabel="validation top-1, %")
    axes.set_title(f"{case.name}, {case.member_name}, recipe {case.recipe}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "training_curves")
    names = [case.name for case in CASES]
    parser.add_argument("--only", nargs="*", choices=names, default=names, help="train these; show all")
    arguments = parser.parse_args()
    results = list(measured(arguments.data, arguments.work, arguments.only))
    pictures = []
    for case in CASES:
        if any(result.case is case for result in results):
            name = f"curve-{case.name.lower()}.png"
            draw(results, case, ROOT / "docs" / "images" / name)
            pictures.append(f"![{case.name}](../docs/images/{name})")
    made = results[0].found["provenance"]
    about = (
        f"Made by `python benchmarks/training_curves.py` at commit {str(made['commit'])[:7]}: {made['cpu']}, one of "
        f"its cores, torch {made['torch']}, bf16."
    )
    body = "\n".join([about, "", *table(results), "", *pictures])
    write_marked_part(RESULTS, START, END, f"\n{body}\n")


if __name__ == "__main__":
    main()
