"""Images a second while training: our loop against a plain one, timm's parts and Lightning's trainer, in one run.

    pip install timm lightning            # optional: without them their columns are left out
    python benchmarks/train_throughput.py [--rounds 5] [--steps 12] [--threads 1] [--members resnet20 resnet18]

Every loop trains the same network on the same images of 32x32 with the same batch, crops, mirrors, label smoothing and
Nesterov's momentum, on the same threads, in a process of its own. In each round every loop runs once, in random order,
and its first step of the round is not counted; what is compared is the ratio within a round. `bare` is the floor:
forward, backward and step on one batch that is already there. With --cpu-time the processor's seconds are taken in
place of the clock's, which on a shared machine tells more and hides nothing that a single process does. Prints tables
for benchmarks/RESULTS.md.
"""

import argparse
import logging
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms import v2

from benchmarks.images import made_images
from resnet_ops.data import PreparedData
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.build import build_network
from resnet_ops.families.catalogue import CATALOGUE
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops.training.batches import augment_batch
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.engine import Engine
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.history import History
from resnet_ops.training.loop import Training
from resnet_ops.training.plan import Plan
from resnet_ops.training.step import take_step
from tests.unit.core.makers import make_recipe

BATCH, CLASSES, SMOOTHING, RATE, DECAY = 128, 10, 0.1, 0.1, 5e-4
clock = time.perf_counter
Loop = Callable[[int], float]
"""Trains so many steps and gives the seconds that all but the first one took."""


def ours(plan: Plan, data: PreparedData, folder: Path) -> Loop:
    """As `fit` runs it, with its learning curve and its checkpoints every 30 s."""
    training = Training(plan, data.split("train"), data.split("validation"))
    history = History("ours", 10**9)
    checkpoints = Checkpoints(folder, every_seconds=30)

    def run(steps: int) -> float:
        state = training.state
        state.start_epoch(training.image_count)
        rows = state.order(training.image_count).split(training.batch_size)[:steps]
        started = 0.0
        for _ in training.take_steps(rows):
            started = started or clock()
            if checkpoints.due():
                checkpoints.write(state.checkpoint())
        loss = state.loss_sum.item() / steps
        history.add(
            Epoch(
                epoch=len(history.epochs) + 1,
                learning_rate=0.0,
                train_loss=loss,
                train_score=0.0,
                validation_loss=0.0,
                validation_score=0.0,
                images_per_second=0.0,
            )
        )
        return clock() - started

    return run


def bare(plan: Plan, data: PreparedData) -> Loop:
    """Our step on one batch that is already augmented."""
    training = Training(plan, data.split("train"), data.split("validation"))
    images = torch.from_numpy(data.images[:BATCH])
    labels = torch.from_numpy(data.labels[:BATCH])
    state, share = training.state, training.share
    batch = augment_batch(training.classifier, images, labels, plan.recipe, state.generator, share)
    training.state.network.train()

    def run(steps: int) -> float:
        started = 0.0
        for _ in range(steps):
            take_step(state, *batch, plan, training.loss, share, training.workers)
            started = started or clock()
        return clock() - started

    return run


class PilImages(Dataset[tuple[Tensor, int]]):
    """Images one by one through torchvision's transforms, as its reference scripts do."""

    def __init__(self, data: PreparedData) -> None:
        self.images = [Image.fromarray(image) for image in data.split("train").images]
        self.labels = data.split("train").labels.tolist()
        self.transform = v2.Compose(
            [
                v2.RandomCrop(32, padding=4),
                v2.RandomHorizontalFlip(),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def plain(plan: Plan, data: PreparedData) -> Loop:
    """torchvision's reference loop (references/classification/train.py) without its options: fp32, contiguous."""
    network = build_network(plan.member, 3, CLASSES).train()
    optimiser = torch.optim.SGD(network.parameters(), RATE, momentum=0.9, weight_decay=DECAY, nesterov=True)
    criterion = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    loader = DataLoader(PilImages(data), BATCH, shuffle=True, drop_last=True)

    def run(steps: int) -> float:
        started = 0.0
        for _, (images, labels) in zip(range(steps), loader, strict=False):
            loss = criterion(network(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            started = started or clock()
        return clock() - started

    return run


def with_timm(plan: Plan, data: PreparedData) -> Loop:
    """The loop of timm's train.py of its own parts, with --amp --amp-dtype bfloat16 --channels-last."""
    from timm.data import create_loader
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2

    network = build_network(plan.member, 3, CLASSES).train()
    network = network.to(memory_format=torch.channels_last)
    optimiser = create_optimizer_v2(network, "sgd", RATE, DECAY, 0.9)
    criterion = LabelSmoothingCrossEntropy(SMOOTHING)
    images = PilImages(data)
    transform = (
        images.transform
    )  # create_loader puts another in place, with a colour jitter that the others lack
    loader = create_loader(
        images,
        (3, 32, 32),
        BATCH,
        is_training=True,
        use_prefetcher=False,
        num_workers=0,
        persistent_workers=False,
        device=torch.device("cpu"),
    )
    images.transform = transform

    def run(steps: int) -> float:
        started = 0.0
        for _, (batch, labels) in zip(range(steps), loader, strict=False):
            inputs = batch.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                loss = criterion(network(inputs), labels)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            started = started or clock()
        return clock() - started

    return run


def with_lightning(plan: Plan, data: PreparedData) -> Loop:
    """Lightning's Trainer in bf16-mixed, with channels-last, without logger and checkpoints."""
    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            network = build_network(plan.member, 3, CLASSES)
            self.network = network.to(memory_format=torch.channels_last)
            self.started = 0.0

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            images = batch[0].contiguous(memory_format=torch.channels_last)
            return F.cross_entropy(self.network(images), batch[1], label_smoothing=SMOOTHING)

        def on_train_batch_end(self, *_: Any) -> None:
            self.started = self.started or clock()
            self.ended = clock()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), RATE, momentum=0.9, weight_decay=DECAY, nesterov=True)

    module = Module()
    loader = DataLoader(PilImages(data), BATCH, shuffle=True, drop_last=True)

    def run(steps: int) -> float:
        module.started = 0.0
        trainer = lightning.Trainer(
            accelerator="cpu",
            precision="bf16-mixed",
            max_epochs=1,
            limit_train_batches=steps,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader)
        return module.ended - module.started

    return run


LOOPS: dict[str, Callable[[Plan, PreparedData, Path], Loop]] = {
    "plain": lambda plan, data, _: plain(plan, data),
    "ours": ours,
    "bare": lambda plan, data, _: bare(plan, data),
    "ours, fp32": lambda plan, data, folder: ours(
        replace(plan, engine=replace(plan.engine, precision="fp32")), data, folder
    ),
    "timm": lambda plan, data, _: with_timm(plan, data),
    "lightning": lambda plan, data, _: with_lightning(plan, data),
}


def serve(label: str, plan: Plan, steps: int, cpu_time: bool, ends: Connection) -> None:
    """One loop in a process of its own, so that no loop runs with another one's settings of torch."""
    global clock
    clock = time.process_time if cpu_time else time.perf_counter
    warnings.filterwarnings("ignore")
    torch.set_num_threads(int(plan.engine.threads))
    with tempfile.TemporaryDirectory() as folder:
        run = LOOPS[label](plan, made_images(steps * BATCH, BATCH // 4, 32, CLASSES), Path(folder))
        run(2)
        ends.send(0.0)
        while ends.recv():
            ends.send((steps - 1) * BATCH / run(steps))


def rounds_of(plan: Plan, rounds: int, steps: int, cpu_time: bool) -> dict[str, list[float]]:
    """Images a second of each loop in each round; one loop runs at a time, in random order."""
    context, chance = multiprocessing.get_context("spawn"), random.Random(0)
    labels = [label for label in LOOPS if label not in ("timm", "lightning") or find_spec(label)]
    ends: dict[str, Connection] = {}
    processes = []
    for label in labels:
        ends[label], theirs = context.Pipe()
        processes.append(
            context.Process(target=serve, args=(label, plan, steps, cpu_time, theirs), daemon=True)
        )
        processes[-1].start()
        ends[label].recv()
    speeds: dict[str, list[float]] = {label: [] for label in labels}
    for round_ in range(rounds):
        for label in chance.sample(labels, len(labels)):
            ends[label].send(True)
            speeds[label].append(ends[label].recv())
            shown = f"{plan.name}, {label}: {speeds[label][-1]:,.0f} images/s"
            print(f"  round {round_ + 1} of {rounds}: {shown}", file=sys.stderr)
    for end in ends.values():
        end.send(False)
    for process in processes:  # what follows is measured on the same core
        process.join()
    return speeds


def matrix_peak(dtype: torch.dtype) -> float:
    """FLOP/s of the fastest of five products of two large matrices."""
    left, right = torch.randn(2, 2048, 2048).to(dtype)
    taken = []
    for _ in range(6):
        started = clock()
        left @ right
        taken.append(clock() - started)
    return float(2 * 2048**3 / min(taken))


def interval(ratios: list[float]) -> str:
    """Median, smallest and largest."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def measure(name: str, rounds: int, steps: int, threads: int) -> None:
    entry = next(each for each in CATALOGUE if each.name.endswith(name))
    member = entry.member
    if isinstance(member, ImageNetMember):
        member = replace(member, stem="small")
    recipe = make_recipe(batch_size=BATCH, crop_padding=4, flip=True, label_smoothing=SMOOTHING, epochs=10**6)
    engine = Engine(
        device="cpu",
        processes=1,
        threads=threads,
        precision="bf16",
        compile=False,
        exact=True,
        images="memory",
    )
    plan = Plan(name=name, member=member, recipe=recipe, engine=engine, seed=0)
    torch.set_num_threads(threads)
    speeds = rounds_of(plan, rounds, steps, clock is time.process_time)
    flops = 3 * flops_of(member)
    peak = {dtype: matrix_peak(dtype) for dtype in (torch.float32, torch.bfloat16)}
    print(
        f"\n{name} at 32x32, batch {BATCH}, {threads} thread(s), n = {rounds} rounds of {steps - 1} steps, "
        f"by {clock.__name__}."
    )
    print(
        f"Largest matrix product: fp32 {peak[torch.float32] / 1e9:,.0f}, "
        f"bf16 {peak[torch.bfloat16] / 1e9:,.0f} GFLOP/s\n"
    )
    print("| loop | images/s, median | times plain, median (range) | of bare | ours / it (range) | GFLOP/s |")
    print("|---|---|---|---|---|---|")
    for label, each in speeds.items():
        against = [
            [a / b for a, b in zip(each, speeds[other], strict=True)] for other in ("plain", "bare", "ours")
        ]
        median = statistics.median(each)
        print(
            f"| {label} | {median:,.0f} | {interval(against[0])} | {statistics.median(against[1]):.3f} "
            f"| {interval([1 / ratio for ratio in against[2]])} | {median * flops / 1e9:,.0f} |"
        )


def flops_of(member: AnyMember) -> int:
    """Of one image, forward."""
    with FlopCounterMode(display=False) as counter:
        build_network(member, 3, CLASSES).eval()(torch.zeros(1, 3, 32, 32))
    return int(counter.get_total_flops())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--members", nargs="+", default=["resnet20", "resnet18"])
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    global clock
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    warnings.filterwarnings("ignore")
    print(hardware(), environment(), git_state(Path()), f"load {os.getloadavg()[0]:.1f}")
    for name in arguments.members:
        measure(name, arguments.rounds, arguments.steps, arguments.threads)


if __name__ == "__main__":
    main()
