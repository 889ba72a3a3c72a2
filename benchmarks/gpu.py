"""What only a GPU can show, in one command of less than five minutes; torch, torchvision, numpy, pillow, psutil,
pyyaml, rich and safetensors are enough.

    python benchmarks/gpu.py [--cifar FOLDER_OR_NPZ] [--only train224 exact ...] [--device cpu --quick]

Each part prints one line of JSON. `ours` and `bare` are medians of n rounds; `ratio` is the median of ours / bare within
a round, `spread` its smallest and largest: in each round both run once, in random order, in this process, on networks of
the same architecture, batch, precision and compile mode. `bare` is benchmarks/bare_loop.py: forward, backward and step on
one batch that lies on the device, normalised.

part      | what                                                                                    | seconds, about
peak      | matrix product in bf16, TFLOP/s, and copy, GB/s                                         |   2
train224  | images/s, ResNet-50, batch 256, crops and mirrors, compiled                             |  75
infer224  | images/s, the same network, from uint8 images on the device                             |  35
exact     | images/s of train224 with deterministic algorithms (ours) against without (bare)        |  60
train32   | images/s, ResNet-18, batch 512, compiled to CUDA graphs                                 |  40
infer32   | images/s, the same network                                                              |  15
resume    | a training stopped at a random step and gone on with: the same bits?                    |   5
cifar     | CIFAR-10: test accuracy and seconds of 6 epochs, 3 seeds, against a plain loop          |  55

`--quick` makes everything tiny, so that the script itself can be tried on a CPU. A part that would not end within --budget
seconds, counted from the start, is left out and says so; the exit status is 1 then, and where bits differ.
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
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.bare_loop import BareLoop
from benchmarks.images import made_images, read_cifar10
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.catalogue import CATALOGUE
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.model import TrainedModel
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops.training.batches import augment_batch
from resnet_ops.training.checkpoints import Checkpoint, Checkpoints
from resnet_ops.training.engine import Engine
from resnet_ops.training.loop import Training, fit
from resnet_ops.training.plan import Plan
from resnet_ops.training.set_up import precision, set_up
from tests.unit.core.makers import make_recipe

SECONDS = {
    **{"peak": 2, "train224": 75, "infer224": 35, "exact": 60, "train32": 40, "infer32": 15},
    **{"resume": 5, "cifar": 55},
}
"""Expected of each part where it is called alone; fewer after one with the same networks."""
CLASSES = 10


@dataclass(frozen=True)
class Scale:
    """How much is done."""

    device: str
    matrix: int
    large: AnyMember
    large_side: int
    large_batch: int
    small: AnyMember
    small_batch: int
    steps: int
    rounds: int
    epochs: int
    seeds: int
    compile: bool

    def plan(self, member: AnyMember, seed: int = 0, graphs: bool = False, **recipe: Any) -> Plan:
        """bf16, with crops and mirrors; compiled on a GPU."""
        engine = Engine(
            device=self.device,  # type: ignore[arg-type]
            processes=1,
            threads=1,
            precision="bf16",
            compile=("reduce-overhead" if graphs else "default") if self.compile else False,
            exact=False,
            images="memory",
        )
        usual = {"crop_padding": 4, "flip": True, "peak_lr": 0.2, "label_smoothing": 0.1, "epochs": 10**6}
        settings = make_recipe(**{**usual, **recipe})
        return Plan(name="benchmark", member=member, recipe=settings, engine=engine, seed=seed)

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def speed(self, work: Callable[[], object], count: float) -> float:
        """`count` of whatever the work does, a second."""
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return count / (time.perf_counter() - started)

    def compare(self, work: dict[str, Callable[[], object]], count: float) -> dict[str, Any]:
        """Two kinds of work that each do `count`, in rounds; the first run of each is not counted."""
        chance, speeds = random.Random(0), {name: list[float]() for name in work}
        for each in work.values():
            self.speed(each, count)
        for _ in range(self.rounds):
            for name in chance.sample(list(work), len(work)):
                speeds[name].append(self.speed(work[name], count))
        return summary(speeds["ours"], speeds["bare"])


def summary(ours: list[float], bare: list[float]) -> dict[str, Any]:
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return {
        "ours": round(statistics.median(ours), 1),
        "bare": round(statistics.median(bare), 1),
        "ratio": round(statistics.median(ratios), 4),
        "n": len(ratios),
        "spread": [round(min(ratios), 4), round(max(ratios), 4)],
    }


class Pair:
    """Our loop and the bare one for the same plan, each compiled once for all parts that use it."""

    def __init__(self, scale: Scale, plan: Plan, side: int) -> None:
        self.scale, self.plan = scale, plan
        batch = plan.recipe.batch_size
        data = made_images(4 * batch, batch, side, CLASSES)
        self.training = Training(plan, data.split("train"), data.split("validation"))
        self.bare = BareLoop(plan, CLASSES)
        device = torch.device(scale.device)
        self.images = torch.from_numpy(data.images[:batch]).to(device)
        labels = torch.from_numpy(data.labels[:batch]).to(device)
        classifier, share = self.training.classifier, self.training.share
        self.batch, _ = augment_batch(
            classifier, self.images, labels, plan.recipe, torch.Generator(), share
        )
        self.labels = labels

    def our_steps(self) -> None:
        state = self.training.state
        state.start_epoch(self.training.image_count)
        order = state.order(self.training.image_count).split(self.plan.recipe.batch_size)
        list(self.training.take_steps([order[step % len(order)] for step in range(self.scale.steps)]))

    def bare_steps(self) -> None:
        self.bare.network.train()
        for _ in range(self.scale.steps):
            self.bare.step(self.batch, self.labels)

    @torch.inference_mode()
    def our_answers(self) -> None:
        self.training.judged.network.eval()
        for _ in range(self.scale.steps):
            with precision(self.plan.engine):
                self.training.judged(self.images)

    @torch.inference_mode()
    def bare_answers(self) -> None:
        self.bare.network.eval()
        for _ in range(self.scale.steps):
            self.bare.forward(self.batch)

    def train(self) -> dict[str, Any]:
        work = {"ours": self.our_steps, "bare": self.bare_steps}
        return self.scale.compare(work, self.scale.steps * len(self.images))

    def infer(self) -> dict[str, Any]:
        work = {"ours": self.our_answers, "bare": self.bare_answers}
        return self.scale.compare(work, self.scale.steps * len(self.images))

    def exact(self) -> dict[str, Any]:
        """Ours is our loop with deterministic algorithms, bare our loop without; both stay compiled side by side."""

        def steps_of(exact: bool) -> Callable[[], None]:
            def work() -> None:
                set_up(replace(self.plan.engine, exact=exact), 0)
                self.our_steps()

            return work

        try:
            return self.scale.compare(
                {"ours": steps_of(True), "bare": steps_of(False)}, self.scale.steps * len(self.images)
            )
        finally:
            set_up(self.plan.engine, 0)


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
        found: dict[str, Any] = getattr(self, f"_{name}")()
        return found

    def _train224(self) -> dict[str, Any]:
        return self.large.train()

    def _infer224(self) -> dict[str, Any]:
        return self.large.infer()

    def _exact(self) -> dict[str, Any]:
        return self.large.exact()

    def _train32(self) -> dict[str, Any]:
        return self.small.train()

    def _infer32(self) -> dict[str, Any]:
        return self.small.infer()

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
            images = training.steps_per_epoch * training.batch_size
            seconds["ours"].append(sum(images / epoch.images_per_second for epoch in epochs))
            right["ours"].append(epochs[-1].validation_top1)
            accuracy, taken = BareLoop(plan, len(data.classes)).train(data)
            seconds["bare"].append(taken)
            right["bare"].append(accuracy)
        speeds = ([1 / taken for taken in seconds[name]] for name in ("ours", "bare"))
        ratios = {name: summary(*speeds)[name] for name in ("ratio", "n", "spread")}
        accuracies = {name: [round(each, 4) for each in right[name]] for name in right}
        return {
            **{name: round(statistics.median(each), 3) for name, each in seconds.items()},
            **ratios,
            "accuracy": accuracies,
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
        small = Member(depth=8, widths=(8, 16, 32), stem_kernel=3, stem_stride=1, shortcut="projection")
        return Scale(device, 128, tiny, 32, 8, small, 16, 3, 2, 1, 2, compile=False)
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
    failed = False
    for name in arguments.only:
        started = time.perf_counter()
        left = arguments.budget - (started - STARTED)
        needed = SECONDS[name] if not arguments.quick else 0
        if needed > left:
            found = {"skipped": f"takes about {needed} s, and {left:.0f} s of --budget are left"}
        else:
            found = parts.run(name)
        failed |= "skipped" in found or found.get("same_bits") is False
        taken = round(time.perf_counter() - started, 1)
        sys.stdout.write(json.dumps({"part": name, **found, "seconds": taken, **where}) + "\n")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
