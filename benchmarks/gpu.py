"""What only a GPU can show, in one command of less than five minutes; torch, torchvision, numpy, pillow, psutil,
pyyaml, rich and safetensors are enough.

    python benchmarks/gpu.py [--cifar FOLDER_OR_NPZ] [--only train224 exact ...] [--device cpu --quick]

Each part ends with one line of JSON. `ours` and `bare` are medians of n rounds; `ratio` is the median of ours / bare
within a round, `spread` its smallest and largest: in each round both run once, in random order, in this process, on
networks of the same architecture, batch, precision and compile mode. `bare` is gpu_parts/bare_loop.py: forward,
backward and step on one batch that lies on the device, normalised.

part      | what                                                                                    | seconds, about
peak      | matrix product in bf16, TFLOP/s, and copy, GB/s                                         |   2
train224  | images/s, ResNet-50, batch 256, crops and mirrors, compiled                             |  75
infer224  | images/s, the same network, from uint8 images on the device                             |  35
exact     | images/s of train224 with deterministic algorithms (ours) against without (bare)        |  60
train32   | images/s, ResNet-18, batch 512, compiled to CUDA graphs                                 |  40
infer32   | images/s, the same network                                                              |  15
resume    | a training stopped at a random step and gone on with: the same bits?                    |   5
cifar     | CIFAR-10: test accuracy and seconds of 6 epochs, 3 seeds, against a plain loop          |  55

`--quick` makes everything tiny, so that the script itself can be tried on a CPU. A part for which too little of
--budget is left is not begun and says so; the exit status is 1 then, and where bits differ.
"""

import argparse
import hashlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.gpu_parts.bare_loop import BareLoop
from benchmarks.gpu_parts.gpu_pairs import CLASSES, Pair, Scale, summary
from benchmarks.images import made_images, read_cifar10
from resnet_ops.families.catalogue import CATALOGUE
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.model import TrainedModel
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops.training.checkpoints import Checkpoint, Checkpoints
from resnet_ops.training.loop import Training, fit

SECONDS = {
    **{"peak": 2, "train224": 75, "infer224": 35, "exact": 60, "train32": 40, "infer32": 15},
    **{"resume": 5, "cifar": 55},
}
"""Expected of each part where it is called alone; fewer after one with the same networks."""


class Stop(Exception):
    """Ends a training, as a kill would."""


class Stopping(Checkpoints):
    """Writes after every step and ends the training after so many."""

    def __init__(self, folder: Path, after: int) -> None:
        super().__init__(folder, every_seconds=0)
        self.after = after

    def write(self, checkpoint: Checkpoint) -> None:
        super().write(checkpoint)
        if checkpoint.step == self.after:
            raise Stop


class Parts:
    """The parts by name, and the networks that several of them use."""

    def __init__(self, scale: Scale, cifar: Path | None) -> None:
        self.scale = scale
        self.images = cifar

    @cached_property
    def large(self) -> Pair:
        plan = self.scale.plan(self.scale.large, batch_size=self.scale.large_batch)
        return Pair(self.scale, plan, self.scale.large_side)

    @cached_property
    def small(self) -> Pair:
        plan = self.scale.plan(self.scale.small, graphs=True, batch_size=self.scale.small_batch)
        return Pair(self.scale, plan, 32)

    def run(self, name: str) -> dict[str, Any]:
        """What a part found."""
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "peak": self._peak,
            "train224": lambda: self.large.train(),
            "infer224": lambda: self.large.infer(),
            "exact": lambda: self.large.exact(),
            "train32": lambda: self.small.train(),
            "infer32": lambda: self.small.infer(),
            "resume": self._resume,
            "cifar": self._cifar,
        }
        return parts[name]()

    def _peak(self) -> dict[str, Any]:
        scale = self.scale
        left, right = torch.randn(2, scale.matrix, scale.matrix, device=scale.device, dtype=torch.bfloat16)
        source = torch.empty(scale.matrix**2 * 4, dtype=torch.uint8, device=scale.device)
        target = torch.empty_like(source)

        def fastest(work: Callable[[], object], count: float) -> float:
            return round(max(scale.speed(work, count) for _ in range(20)), 4)

        return {
            "tflops": fastest(lambda: left @ right, 2e-12 * scale.matrix**3),
            "gigabytes": fastest(lambda: target.copy_(source), 2e-9 * source.numel()),
            "n": 20,
        }

    def _resume(self) -> dict[str, Any]:
        """Eager and exact, with small images."""
        data = made_images(224, 32, 32, CLASSES)
        plan = self.scale.plan(self.scale.small, batch_size=32, epochs=2)
        plan = replace(plan, engine=replace(plan.engine, exact=True, compile=False))
        whole = digest(fit(plan, data))
        with tempfile.TemporaryDirectory() as folder:
            after = random.Random(0).randrange(1, 2 * (224 // 32))
            with suppress(Stop):
                fit(plan, data, checkpoints=Stopping(Path(folder), after))
            again = digest(fit(plan, data, checkpoints=Checkpoints(Path(folder), 1e9)))
        return {"ours": again, "bare": whole, "same_bits": again == whole, "after_step": after, "n": 1}

    def _cifar(self) -> dict[str, Any]:
        if self.images is None:
            return {"skipped": "needs --cifar with the folder of CIFAR-10's binary files, or its npz"}
        data = read_cifar10(self.images)
        seconds: dict[str, list[float]] = {"ours": [], "bare": []}
        right: dict[str, list[float]] = {"ours": [], "bare": []}
        for seed in range(self.scale.seeds):
            recipe = {"batch_size": self.scale.small_batch, "epochs": self.scale.epochs}
            plan = self.scale.plan(self.scale.small, seed, graphs=True, **recipe)
            training = warm(Training(plan, data.split("train"), data.split("validation")))
            epochs = []
            while not training.done:
                epochs.append(training.run_epoch(None))
            each = training.steps_per_epoch * training.batch_size
            seconds["ours"].append(sum(each / epoch.images_per_second for epoch in epochs))
            right["ours"].append(epochs[-1].validation_score)
            accuracy, taken = BareLoop(plan, len(data.classes)).train(data)
            seconds["bare"].append(taken)
            right["bare"].append(accuracy)
        images = training.steps_per_epoch * training.batch_size * self.scale.epochs
        speeds = {name: [images / taken for taken in each] for name, each in seconds.items()}
        return {
            **summary(speeds["ours"], speeds["bare"]),
            "training_seconds": {name: round(statistics.median(each), 3) for name, each in seconds.items()},
            "accuracy": {name: [round(each, 4) for each in found] for name, found in right.items()},
            "accuracy_difference": round(statistics.mean(right["ours"]) - statistics.mean(right["bare"]), 4),
            "epochs": self.scale.epochs,
        }


def digest(model: TrainedModel) -> str:
    """The sha256 over all weights."""
    found = hashlib.sha256()
    for tensor in model.network.state_dict().values():
        found.update(tensor.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def warm(training: Training) -> Training:
    """Everything compiled, and as it was before."""
    before = Checkpoint.unpack(training.state.checkpoint().pack())
    list(training.take_steps([torch.arange(training.batch_size)] * 3))
    training.validation.measure(training.judged)
    training.state.resume(before)
    return training


def catalogued(name: str, **changes: Any) -> ImageNetMember:
    member = next(entry.member for entry in CATALOGUE if entry.name == name)
    assert isinstance(member, ImageNetMember)
    return replace(member, **changes)


def scale_of(device: str, quick: bool) -> Scale:
    if quick:
        tiny = replace(catalogued("resnet50"), layers=(1, 1, 1, 1), width=8, stem="small")
        plain = Member(depth=8, widths=(8, 16, 32), stem_kernel=3, stem_stride=1, shortcut="projection")
        return Scale(device, 128, tiny, 32, 8, plain, 16, 3, 2, 1, 2, compile=False)
    large, small = catalogued("resnet50"), catalogued("resnet18", stem="small")
    return Scale(device, 8192, large, 224, 256, small, 512, 20, 5, 6, 3, compile=device == "cuda")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cifar", type=Path, help="folder of CIFAR-10's binary files, or its npz")
    parser.add_argument("--only", nargs="+", default=list(SECONDS), choices=list(SECONDS), metavar="PART")
    parser.add_argument("--budget", type=float, default=300, help="seconds; 300 where it is not given")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; to try the script: --device cpu --quick")
    torch._dynamo.config.recompile_limit = 64  # each network counts as another version of the same function
    machine = hardware()
    where = {"device": machine["gpu"] if arguments.device == "cuda" else machine["cpu"]}
    where |= {"versions": environment(), "commit": git_state(Path(__file__).parent)}
    parts = Parts(scale_of(arguments.device, arguments.quick), arguments.cifar)
    failed, began = False, time.perf_counter()
    for name in arguments.only:
        started = time.perf_counter()
        left = arguments.budget - (started - began)
        needed = SECONDS[name] if not arguments.quick else 0
        if needed > left:
            found: dict[str, Any] = {
                "skipped": f"takes about {needed} s, and {left:.0f} s of --budget are left"
            }
        else:
            found = parts.run(name)
        failed |= "skipped" in found or not found.get("same_bits", True)
        taken = round(time.perf_counter() - started, 3)
        sys.stdout.write(json.dumps({"part": name, **found, "seconds": taken, **where}) + "\n")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
