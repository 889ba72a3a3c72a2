"""What only a GPU can show, in one command and under ten minutes; torch, torchvision, numpy and safetensors are enough.

    python benchmarks/gpu.py [--cifar FOLDER_OR_NPZ] [--device cpu --quick] [--only peak train ...]

Parts: `peak` (matrix products and memory bandwidth), `train` and `infer` (ResNet-50 at 224 in bf16 on made images),
`exact` (what determinism costs, paired), `resume` (a training stopped at a random step and gone on with: same bits) and
`cifar` (seconds of training until 94 % and 96 % on CIFAR-10's test images). `--quick` makes
everything tiny, so that the script itself can be tried on a CPU. Prints lines for benchmarks/RESULTS.md.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.images import made_images, read_cifar10
from resnet_ops.data import PreparedData
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.catalogue import CATALOGUE
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.families.table import family_table
from resnet_ops.model import ImageClassifier
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops.training.checkpoints import Checkpoint, Checkpoints
from resnet_ops.training.engine import Engine
from resnet_ops.training.loop import Training, fit
from resnet_ops.training.plan import Plan
from tests.unit.core.makers import make_recipe


@dataclass(frozen=True)
class Scale:
    """How much is done."""

    device: str
    matrix: int
    image_size: int
    batch_sizes: tuple[int, ...]
    steps: int
    rounds: int
    network: ImageNetMember
    cifar: dict[str, tuple[AnyMember, int, float]]
    """Member, epochs and peak rate by name."""

    def engine(self, **changes: Any) -> Engine:
        """bf16 and compiled on a GPU."""
        on_gpu = self.device == "cuda"
        base = Engine(
            device=self.device,  # type: ignore[arg-type]
            processes=1,
            threads=1,
            precision="bf16",
            compile=on_gpu,
            exact=False,
            images="memory",
        )
        return replace(base, **changes)

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def catalogued(name: str, **changes: Any) -> ImageNetMember:
    member = next(entry.member for entry in CATALOGUE if entry.name == name)
    assert isinstance(member, ImageNetMember)
    return replace(member, **changes)


def scale_of(device: str, quick: bool) -> Scale:
    if quick:
        tiny = replace(catalogued("resnet50"), layers=(1, 1, 1, 1), width=8, stem="small")
        small = Member(depth=8, widths=(8, 16, 32), stem_kernel=3, stem_stride=1, shortcut="projection")
        return Scale(device, 128, 32, (8,), 3, 2, tiny, {"resnet8": (small, 1, 0.2)})
    resnet18 = catalogued("resnet18", stem="small")
    wide8 = Member(depth=8, widths=(128, 256, 512), stem_kernel=3, stem_stride=1, shortcut="projection")
    members: dict[str, tuple[AnyMember, int, float]] = {
        "wide resnet8": (wide8, 12, 0.2),
        "resnet18": (resnet18, 16, 0.2),
        "resnet18, long": (resnet18, 50, 0.2),
    }
    return Scale(device, 8192, 224, (256, 512), 30, 5, catalogued("resnet50"), members)


def seconds(scale: Scale, work: Callable[[], Any], times: int) -> float:
    """Median of so many, after one that is not counted."""
    taken = []
    for _ in range(times + 1):
        scale.wait()
        started = time.perf_counter()
        work()
        scale.wait()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def peak(scale: Scale) -> tuple[float, float]:
    """FLOP/s of a bf16 matrix product and bytes/s of a copy (read and written)."""
    left, right = torch.randn(2, scale.matrix, scale.matrix, device=scale.device, dtype=torch.bfloat16)
    flops = 2 * scale.matrix**3 / seconds(scale, lambda: left @ right, 20)
    source = torch.empty(scale.matrix**2 * 4, dtype=torch.uint8, device=scale.device)
    target = torch.empty_like(source)
    return flops, 2 * source.numel() / seconds(scale, lambda: target.copy_(source), 20)


def plan_of(scale: Scale, member: AnyMember, engine: Engine, **recipe: Any) -> Plan:
    return Plan(name="benchmark", member=member, recipe=make_recipe(**recipe), engine=engine, seed=0)


def speed_of(training: Training, scale: Scale) -> float:
    """Images a second over some steps, after warming up."""
    training.state.start_epoch(training.image_count)
    order = training.state.order(training.image_count).split(training.batch_size)
    rows = [order[index % training.steps_per_epoch] for index in range(scale.steps)]
    list(training.take_steps(rows[:3]))
    scale.wait()
    started = time.perf_counter()
    list(training.take_steps(rows))
    scale.wait()
    return scale.steps * training.batch_size / (time.perf_counter() - started)


def flops_of(scale: Scale) -> float:
    """Forward FLOPs of an image through ResNet-50 at 224; of the tiny network nothing is claimed."""
    return (
        next(row.flops for row in family_table() if row.name == "resnet50")
        if scale.image_size == 224
        else 0.0
    )


def train(scale: Scale, matrix_peak: float) -> None:
    for batch in scale.batch_sizes:
        data = made_images(4 * batch, batch, scale.image_size, 100)
        plan = plan_of(scale, scale.network, scale.engine(), batch_size=batch, crop_padding=4, flip=True)
        speed = speed_of(Training(plan, data.split("train"), data.split("validation")), scale)
        share = 3 * flops_of(scale) * speed / matrix_peak
        memory = torch.cuda.max_memory_allocated() / 2**30 if scale.device == "cuda" else 0
        print(
            f"train batch {batch}: {speed:,.0f} images/s, {share:.1%} of the matrix peak, {memory:.1f} GiB",
            flush=True,
        )


def infer(scale: Scale, matrix_peak: float, bandwidth: float) -> None:
    for batch in scale.batch_sizes:
        data = made_images(batch, batch, scale.image_size, 100)
        plan = plan_of(scale, scale.network, scale.engine(), batch_size=batch)
        training = Training(plan, data.split("train"), data.split("validation"))
        classifier = ImageClassifier(training.classifier.network.eval(), (0.5,) * 3, (0.25,) * 3).to(
            scale.device
        )
        images = torch.from_numpy(data.images[:batch]).to(scale.device)

        def predict(classifier: ImageClassifier = classifier, images: torch.Tensor = images) -> None:
            with torch.inference_mode(), torch.autocast(scale.device, torch.bfloat16):
                classifier(images)

        speed = batch / seconds(scale, predict, scale.steps)
        share = flops_of(scale) * speed / matrix_peak
        print(
            f"infer batch {batch}: {speed:,.0f} images/s, {share:.1%} of the matrix peak ({bandwidth / 1e9:,.0f} GB/s)"
        )


def exact(scale: Scale) -> None:
    """Paired: the same training with and without deterministic algorithms, in random order."""
    batch = scale.batch_sizes[0]
    data = made_images(4 * batch, batch, scale.image_size, 100)
    chance, ratios = random.Random(0), []
    for _ in range(scale.rounds):
        speeds = {}
        for is_exact in chance.sample([True, False], 2):
            engine = scale.engine(exact=is_exact)
            plan = plan_of(scale, scale.network, engine, batch_size=batch)
            speeds[is_exact] = speed_of(Training(plan, data.split("train"), data.split("validation")), scale)
        ratios.append(speeds[False] / speeds[True])
    print(
        f"exact: without it x{statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f}), n = {len(ratios)}"
    )


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


def resume(scale: Scale) -> None:
    """Stopped at a random step, and gone on with: the same weights as in one go."""
    data = made_images(224, 32, 32, 10)
    member = scale.cifar[next(iter(scale.cifar))][0]
    plan = plan_of(scale, member, scale.engine(exact=True, compile=False), epochs=2, batch_size=32, flip=True)
    whole = fit(plan, data).network.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        after = random.Random(0).randrange(1, 2 * (224 // 32))
        with suppress(Stop):
            fit(plan, data, checkpoints=Stopping(Path(folder), after))
        again = fit(plan, data, checkpoints=Checkpoints(Path(folder), 1e9)).network.state_dict()
    equal = all(torch.equal(tensor, again[name]) for name, tensor in whole.items())
    print(f"resume after step {after}: {'the same bits' if equal else 'OTHER BITS'}")


def cifar(scale: Scale, path: Path) -> None:
    """Seconds of training (validation and compiling not counted) until an epoch ends at 94 % and at 96 %."""
    data = read_cifar10(path)
    images = len(data.split("train"))
    for name, (member, epochs, rate) in scale.cifar.items():
        recipe = {"epochs": epochs, "batch_size": 512, "peak_lr": rate, "crop_padding": 4, "flip": True}
        plan = plan_of(scale, member, scale.engine(), label_smoothing=0.1, ema=0.0, **recipe)
        spent, reached, best = 0.0, {0.94: 0.0, 0.96: 0.0}, 0.0
        warm = Training(plan, data.split("train"), data.split("validation"))
        list(warm.take_steps([torch.arange(warm.batch_size)] * 3))
        for epoch in _epochs(plan, data):
            spent += images / epoch.images_per_second
            best = max(best, epoch.validation_top1)
            reached |= {goal: reached[goal] or spent for goal in reached if epoch.validation_top1 >= goal}
        times = ", ".join(
            f"{goal:.0%} after {at:.1f} s" if at else f"{goal:.0%} not reached"
            for goal, at in reached.items()
        )
        print(f"cifar10 {name}, {epochs} epochs: {times}; best {best:.2%}, {spent:.1f} s in all", flush=True)


def _epochs(plan: Plan, data: PreparedData) -> list[Any]:
    epochs: list[Any] = []
    fit(plan, data, [epochs.append])
    return epochs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--cifar", type=Path, default=None, help="folder of CIFAR-10's binary files, or its npz"
    )
    parser.add_argument("--only", nargs="+", default=["train", "infer", "exact", "resume", "cifar"])
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; to try the script: --device cpu --quick")
    scale = scale_of(arguments.device, arguments.quick)
    print(hardware(), environment(), git_state(Path()))
    matrix_peak, bandwidth = peak(scale)
    print(f"peak: {matrix_peak / 1e12:,.1f} TFLOP/s in bf16, {bandwidth / 1e9:,.0f} GB/s", flush=True)
    parts: dict[str, Callable[[], None]] = {
        "train": lambda: train(scale, matrix_peak),
        "infer": lambda: infer(scale, matrix_peak, bandwidth),
        "exact": lambda: exact(scale),
        "resume": lambda: resume(scale),
    }
    if arguments.cifar:
        parts["cifar"] = lambda: cifar(scale, arguments.cifar)
    for name in arguments.only:
        if name in parts:
            parts[name]()


if __name__ == "__main__":
    main()
