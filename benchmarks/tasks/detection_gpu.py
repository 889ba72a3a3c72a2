"""How fast a detector trains beside torchvision's own in a bare loop, and what it finds after some steps.

    python benchmarks/tasks/detection_gpu.py BCCD --device cuda

BCCD: a folder in Pascal VOC's layout (Annotations, JPEGImages). Both sides train Faster R-CNN with ResNet-50 and a
feature pyramid from fresh weights, on the same batches of the same images, in turns; the first turn of each is not
counted. Ours also mirrors images with their boxes, clips nothing and counts its losses, as the pipeline does; the bare
loop does nothing but steps. Then ours trains for `--steps` steps in all, and its test images are measured. Prints JSON.
On a CPU: --device cpu --side 128 --width 32 --member small --batch 2 --turn 2 --steps 20.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu_parts.gpu_pairs import summary
from resnet_ops.data import PreparedData
from resnet_ops.data.splits import split_images
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.catalogue import CATALOGUE
from resnet_ops.provenance import hardware
from resnet_ops.tasks.detection.matching import match
from resnet_ops.tasks.detection.measured import as_detections, as_labels
from resnet_ops.tasks.detection.measures import measure_detections
from resnet_ops.tasks.detection.models import build_detector
from resnet_ops.tasks.learning.detection import asked_of
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import Detection
from resnet_ops.training.engine import Engine
from resnet_ops.training.loop import Training
from resnet_ops.training.plan import Plan
from resnet_ops.training.set_up import precision, set_up
from tests.unit.core.makers import SHARES, make_data_params, make_imagenet_member, make_recipe

ROUNDS = 5


class BareLoop:
    """torchvision's detector, SGD, and batches that are on the device already."""

    def __init__(self, plan: Plan, settings: Detection, train: PreparedData, device: torch.device) -> None:
        self.plan, side = plan, train.images.shape[1]
        torch.manual_seed(plan.seed)
        detector: Any = build_detector(
            plan.member,
            settings.head,
            len(settings.classes),
            mean=[0.5] * 3,
            std=[0.25] * 3,
            shortest=side,
            longest=side,
            frozen_norms=settings.frozen_norms,
            width=settings.width,
        )
        self.detector = detector.to(device, memory_format=torch.channels_last)
        self.images = torch.from_numpy(np.array(train.images)).to(device).permute(0, 3, 1, 2)
        self.targets = asked_of(torch.from_numpy(np.array(train.asked)).to(device))
        self.optimiser = torch.optim.SGD(
            self.detector.parameters(), lr=1e-4, momentum=0.9, fused=device.type == "cuda" or None
        )

    def run(self, batches: Sequence[Tensor]) -> None:
        """A step on each batch of rows."""
        self.detector.train()
        for rows in batches:
            images = [self.images[row].float() / 255 for row in rows.tolist()]
            targets = [dict(self.targets[row]) for row in rows.tolist()]
            with precision(self.plan.engine):
                losses = self.detector(images, targets)
            self.optimiser.zero_grad(set_to_none=True)
            sum(losses.values()).backward()
            self.optimiser.step()


def prepared(root: Path, side: int, settings: Detection) -> PreparedData:
    """All images at one size, split."""
    params = make_data_params(
        source="imagefolder",
        root=str(root),
        image_size=side,
        channels=3,
        fit="pad",
        task="detection",
        detection=settings,
    )
    return split_images(reading_of(settings).read(params, lambda done, total: None, None), SHARES, seed=0)


def compare(plan: Plan, settings: Detection, train: PreparedData, steps: int) -> dict[str, Any]:
    """Images a second of both, in ROUNDS turns of so many steps each, on the same batches."""
    device = torch.device(plan.engine.device)
    endless = replace(plan, recipe=replace(plan.recipe, epochs=10**6))
    ours, bare = Training(endless, train, train), BareLoop(plan, settings, train, device)
    work: dict[str, Callable[[Sequence[Tensor]], object]] = {
        "ours": lambda batches: list(ours.take_steps(batches)),
        "bare": bare.run,
    }
    draw, chance = torch.Generator().manual_seed(0), random.Random(0)
    speeds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(ROUNDS + 1):
        batches = [torch.randperm(len(train), generator=draw)[: ours.batch_size] for _ in range(steps)]
        for name in chance.sample(list(work), 2):
            wait(device)
            started = time.perf_counter()
            work[name](batches)
            wait(device)
            if turn:
                speeds[name].append(steps * ours.batch_size / (time.perf_counter() - started))
    return summary(speeds["ours"], speeds["bare"])


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def measured(training: Training, test: PreparedData, seed: int) -> dict[str, str]:
    """Average precisions of what has been trained."""
    model = training.model()
    rows = np.concatenate(
        [model.predict(np.asarray(test.images[start : start + 8])).logits for start in range(0, len(test), 8)]
    )
    labels = as_labels(test)
    found = measure_detections(
        match(labels, as_detections(rows)), labels.classes, len(test), 0.5, "test", 0.95, 1000, seed
    )
    return {name: each.shown for name, each in found.items() if name.startswith("test.ap")}


def member_of(name: str) -> AnyMember:
    """One of the catalogue, or `small`."""
    if name == "small":
        return make_imagenet_member(block="basic", stem="standard")
    return next(entry.member for entry in CATALOGUE if entry.name == name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default=None)
    parser.add_argument("--classes", default="RBC,WBC,Platelets")
    parser.add_argument("--member", default="resnet50")
    parser.add_argument("--head", default="fasterrcnn")
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turn", type=int, default=15, help="steps of a turn that is timed")
    parser.add_argument("--steps", type=int, default=400, help="steps before what is found is measured")
    parser.add_argument("--lr", type=float, default=0.0002, help="of AdamW, at its highest")
    asked = parser.parse_args()
    settings = Detection(
        labels="Annotations",
        images="JPEGImages",
        classes=tuple(asked.classes.split(",")),
        faults="drop",
        head=asked.head,
        width=asked.width,
        frozen_norms=False,
    )
    data = prepared(asked.root, asked.side, settings)
    train, validation = data.split("train"), data.split("validation")
    default: Any = "tf32" if asked.device == "cuda" else "fp32"
    engine = Engine(
        device=asked.device,
        processes=1,
        threads=torch.get_num_threads(),
        precision=asked.precision or default,
        compile=False,
        exact=False,
        images="memory",
    )
    recipe = make_recipe(
        epochs=max(1, round(asked.steps / (len(train) // asked.batch))),
        batch_size=asked.batch,
        optimiser="adamw",
        peak_lr=asked.lr * 256 / asked.batch,
        weight_decay=0.01,
        label_smoothing=0.0,
        crop_padding=0,
        flip=True,
        clip=5.0,
    )
    plan = Plan(name="detector", member=member_of(asked.member), recipe=recipe, engine=engine, seed=0)
    set_up(engine, 0)
    speeds = compare(plan, settings, train, asked.turn)
    trained = Training(plan, train, validation)
    started = time.perf_counter()
    while not trained.done:
        trained.run_epoch(None)
    seconds = time.perf_counter() - started
    result: dict[str, Any] = {
        "images_per_second": speeds,
        "steps": trained.state.step,
        "seconds": round(seconds, 1),
        "validation_score": trained.state.epochs[-1].validation_score,
        "test": measured(trained, data.split("test"), 0),
        "settings": {**vars(asked), "root": asked.root.name, "precision": engine.precision},
        "hardware": hardware(),
        "torch": torch.__version__,
    }
    sys.stdout.write(json.dumps(result, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
