"""Inference: exports by ONNX Runtime, in 32 and 8 bits, against eager torch and torch.compile, paired in one run.

    python benchmarks/inference_speed.py [--models resnet20] [--rounds 30] [--cifar PATH] [--epochs 3] [--cpu-time]

On one thread, from uint8 pixels to logits, in every engine with the normalisation inside. In each round every engine
answers for about a tenth of a second, in random order; what is compared is the ratio within a round. Accuracy: a
ResNet-20 trained here on the digits, and one on CIFAR-10 (--cifar: folder of the binary version, or an npz of JPEGs),
each with its int8 export on the test images; the ranges come from training or validation images. ResNet-50 has random
weights: it tells speed alone. With --cpu-time the processor's seconds are taken in place of the clock's, which on a
shared machine leaves waiting out; a single thread has none of its own. Prints tables for benchmarks/RESULTS.md.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.images import read_cifar10
from resnet_ops.benchmark.interference import Watch
from resnet_ops.data import PreparedData
from resnet_ops.evaluation.intervals import order_statistic, wilson
from resnet_ops.evaluation.paired_interval import paired_difference
from resnet_ops.export.exported import load_exported
from resnet_ops.export.onnx_file import onnx_bytes, quantised_bytes
from resnet_ops.export.params import Quantisation
from resnet_ops.export.program import trace
from resnet_ops.families.build import build_network
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.files import write_bytes, write_json
from resnet_ops.model import TrainedModel
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from tests.unit.core.makers import ENGINE, digits, make_imagenet_member, make_recipe

RESNET20 = Member(depth=20, widths=(16, 32, 64), stem_kernel=3, stem_stride=1, shortcut="identity")
RESNET50 = make_imagenet_member(layers=(3, 4, 6, 3), width=64, stem="standard")
MODELS: dict[str, tuple[str, Member | ImageNetMember, int]] = {
    "resnet20": ("ResNet-20 at 32", RESNET20, 32),
    "resnet50": ("ResNet-50 at 224", RESNET50, 224),
}
QUANTISATION = Quantisation(calibration="minmax", images=512, reduce_range=True)
BATCHES = (1, 64)
SLICE_SECONDS = 0.1
CONFIDENCE = 0.95
Answer = Callable[[np.ndarray], np.ndarray]
"""uint8 images (N, H, W, C) -> logits (N, K)."""


def untrained(member: Member | ImageNetMember, size: int) -> TrainedModel:
    torch.manual_seed(0)
    classes = tuple(map(str, range(10 if size < 64 else 1000)))
    network = build_network(member, 3, len(classes)).eval()
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return TrainedModel(network, "model", member, classes, size, 3, mean, std)


def exported(model: TrainedModel, content: bytes, format_: str, folder: Path) -> Answer:
    described = {"name": model.name, "classes": model.classes, "format": format_, "exported_from": "0" * 64}
    write_bytes(folder / format_ / "model.onnx", content)
    write_json(
        folder / format_ / "member.json",
        {**described, "image_size": model.image_size, "channels": model.channels},
    )
    loaded = load_exported(folder / format_, threads=1)
    return lambda images: loaded.run(images)[0]


def engines(model: TrainedModel, calibration: np.ndarray, folder: Path) -> dict[str, Answer]:
    """Every way to run a model; the first is what the others are compared with."""
    classifier = model.classifier()
    compiled = torch.compile(classifier, dynamic=False)

    def by_torch(module: Callable[[torch.Tensor], torch.Tensor]) -> Answer:
        def answer(images: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return module(torch.from_numpy(images)).numpy()

        return answer

    fp32 = onnx_bytes(trace(model))
    return {
        "torch eager fp32": by_torch(classifier),
        "torch.compile fp32": by_torch(compiled),
        "ONNX Runtime fp32": exported(model, fp32, "onnx", folder),
        "ONNX Runtime int8": exported(
            model, quantised_bytes(fp32, calibration, QUANTISATION), "int8", folder
        ),
    }


def paired(
    answers: dict[str, Answer], images: np.ndarray, rounds: int, clock: Callable[[], float]
) -> dict[str, np.ndarray]:
    """(rounds,) seconds of one call of each engine; the engines of a round are neighbours in time."""
    calls = {}
    for name, answer in answers.items():
        for _ in range(3):
            answer(images)
        started = time.perf_counter()
        answer(images)
        calls[name] = max(1, round(SLICE_SECONDS / (time.perf_counter() - started)))
    taken: dict[str, list[float]] = {name: [] for name in answers}
    chance = random.Random(0)
    for _ in range(rounds):
        for name in chance.sample(list(answers), len(answers)):
            if calls[name] > 1:  # a long call fills the caches by itself
                answers[name](images)
            started = clock()
            for _ in range(calls[name]):
                answers[name](images)
            taken[name].append((clock() - started) / calls[name])
    return {name: np.array(times) for name, times in taken.items()}


def speed_rows(label: str, taken: dict[str, np.ndarray], batch: int) -> Iterator[str]:
    eager, *_ = taken.values()
    for name, times in taken.items():
        ratios = eager / times
        low, high = order_statistic(ratios, 0.5, CONFIDENCE) or (float("nan"), float("nan"))
        median = float(np.median(times))
        yield (
            f"| {label} | {batch} | {name} | {1000 * median:.3f} | {batch / median:,.0f} "
            f"| {np.median(ratios):.2f} ({low:.2f}-{high:.2f}) |"
        )


def accuracy_row(
    label: str, model: TrainedModel, calibration: np.ndarray, test: PreparedData, folder: Path
) -> str:
    quantised = quantised_bytes(onnx_bytes(trace(model)), calibration, QUANTISATION)
    answer = exported(model, quantised, "int8", folder)
    n = len(test)
    predicted = np.concatenate([answer(part).argmax(1) for part in np.array_split(test.images, -(-n // 256))])
    was_right, right = model.predict(test.images).predicted == test.labels, predicted == test.labels
    lost, won = int((was_right & ~right).sum()), int((right & ~was_right).sum())
    cells = [f"{100 * hits.mean():.2f} ({_interval(int(hits.sum()), n)})" for hits in (was_right, right)]
    low, high = (100 * end for end in paired_difference(lost, won, n, CONFIDENCE))
    return f"| {label} | {n:,} | {cells[0]} | {cells[1]} | {100 * (lost - won) / n:.2f} ({low:.2f} to {high:.2f}) |"


def _interval(hits: int, n: int) -> str:
    low, high = wilson(hits, n, CONFIDENCE)
    return f"{100 * low:.2f}-{100 * high:.2f}"


def accuracy_rows(cifar: Path | None, epochs: int, folder: Path) -> Iterator[str]:
    small = digits()
    plan = Plan(
        name="resnet20", member=RESNET20, recipe=make_recipe(epochs=30, batch_size=64), engine=ENGINE, seed=0
    )
    yield accuracy_row(
        "digits", fit(plan, small), small.split("validation").images, small.split("test"), folder
    )
    if cifar is None:
        return
    images = read_cifar10(cifar)
    recipe = make_recipe(
        epochs=epochs, batch_size=128, peak_lr=0.4, label_smoothing=0.1, crop_padding=4, flip=True
    )
    plan = replace(plan, recipe=recipe, engine=replace(ENGINE, precision="bf16"))
    # its split `validation` are the test images; training tells their accuracy, and nothing is chosen by it
    model = fit(plan, images)
    yield accuracy_row(
        "CIFAR-10", model, images.split("train").images[:512], images.split("validation"), folder
    )


def measure_speed(models: list[str], rounds: int, clock: Callable[[], float], folder: Path) -> None:
    print(
        "\n| model | batch | engine | ms a batch | images/s | eager's time / its time |\n|---|---|---|---|---|---|"
    )
    said = []
    for name in models:
        label, member, size = MODELS[name]
        model = untrained(member, size)
        images = np.random.default_rng(0).integers(0, 256, (max(BATCHES), size, size, 3), dtype=np.uint8)
        answers = engines(model, images, folder / name)
        for batch in BATCHES:
            watch = Watch()
            for row in speed_rows(label, paired(answers, images[:batch], rounds, clock), batch):
                print(row, flush=True)
            waiting, others = ("unknown" if share is None else f"{share:.1%}" for share in watch.stop())
            said.append(f"{label}, batch {batch}: waiting for a core {waiting}, taken by others {others}")
    print("\nMeanwhile, of the time: " + "; ".join(said) + ".")


def main(models: list[str], rounds: int, cifar: Path | None, epochs: int, clock: Callable[[], float]) -> None:
    torch.set_num_threads(1)
    machine, git = hardware(), git_state(Path(__file__).parent)
    versions = {**environment(), "onnx": version("onnx")}
    changed = " with changes" if git["dirty"] else ""
    print(f"{machine['cpu']}, {machine['cores']} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(", ".join(f"{name} {each}" for name, each in versions.items()))
    print(f"commit {git['commit']}{changed}; n = {rounds} rounds a row; {clock.__name__}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        measure_speed(models, rounds, clock, Path(temporary))
        print("\n| images | n | fp32 top-1, % | int8 top-1, % | points lost |\n|---|---|---|---|---|")
        for row in accuracy_rows(cifar, epochs, Path(temporary)):
            print(row, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true")
    given = parser.parse_args()
    chosen = time.process_time if given.cpu_time else time.perf_counter
    main(given.models, given.rounds, given.cifar, given.epochs, chosen)
