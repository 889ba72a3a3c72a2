"""Members and a recipe that fit images, their number and a machine, with the time that training takes here."""

import math
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, replace

import torch

from resnet_ops.cores import usable_cores
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.messages import silent
from resnet_ops.tasks.noise import noise
from resnet_ops.tasks.task import CLASSIFICATION, Task
from resnet_ops.training.engine import Engine
from resnet_ops.training.loop import Training
from resnet_ops.training.plan import Plan
from resnet_ops_pipelines.new_project.recipes import TASKS, batch_size_for, recipe_for

__all__ = ["LEAST_SIZE", "SHORTEST", "SIZES", "Fit", "fit_machine"]

SIZES = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024)
LEAST_SIZE = 64
"""Images are not made smaller than this to save time."""
SHORTEST = 0.25
"""Share of the steps that images want which is taken at least, where there is too little time for all."""
STEPS = 3
"""That are timed."""


@dataclass(frozen=True)
class Fit:
    """What is to be trained, at which size, on what."""

    image_size: int
    batch_size: int
    members: dict[str, AnyMember]
    engine: Engine
    seconds: dict[str, float]
    """That each member's training takes for one image, from a few steps of it here."""
    left_out: tuple[str, ...]
    """What would not fit into the time, in words."""
    share: float = 1.0
    """Of the steps that so many images want, as the time allows."""


def fit_machine(
    side: int,
    images: int,
    classes: int,
    minutes: float,
    seed: int,
    task: Task = CLASSIFICATION,
    least: int = LEAST_SIZE,
) -> Fit:
    """The largest size at which training the members takes at most `minutes` here; the smallest, the small member alone
    and fewer steps, where none does.

    side: of the images, in pixels. images: to train on. classes: with the background. least: side below which too
    little is seen, whatever the time.
    """
    largest = ceiling = max(each for each in SIZES if each <= max(side, SIZES[0]))
    lowest = next((each for each in SIZES if each >= least), largest)
    size = lowest = min(largest, lowest)
    engine = _fastest_engine(size, images, classes, seed, task)
    batch_size = batch_size_for(engine, images, task)
    while True:
        recipe, members = recipe_for(task, size, batch_size, images), _members(size, engine, task)
        plans = {
            name: Plan(name=name, member=member, recipe=recipe, engine=engine, seed=seed)
            for name, member in members.items()
        }
        seconds = {name: _seconds_per_image(plan, size, classes, task) for name, plan in plans.items()}
        total = sum(seconds.values()) * images * recipe.epochs / 60
        if total > minutes:
            ceiling = max((each for each in SIZES if lowest <= each < size), default=lowest)
        # arithmetic goes with the area; what that leads to is measured again
        within = [each for each in SIZES if each <= ceiling and (each / size) ** 2 * total <= minutes]
        best = max([lowest, *within])
        if best == size:
            break
        size = best
    left_out = []
    if size < largest:
        left_out.append(f"images of {largest} pixels, about {total * (largest / size) ** 2:,.0f} minutes")
    if total > minutes:
        larger = list(members)[-1]  # a busy machine may have measured it as the faster one
        dropped = seconds.pop(larger) * images * recipe.epochs / 60
        left_out.append(f"{larger}, {dropped:,.1f} minutes")
        del members[larger]
        total = sum(seconds.values()) * images * recipe.epochs / 60  # the other may take forever
    share = max(SHORTEST, min(1.0, minutes / total))
    if share < 1:
        left_out.append(f"all steps that so many images want, {total:,.1f} minutes")
    return Fit(size, batch_size, members, engine, seconds, tuple(left_out), share)


def _members(size: int, engine: Engine, task: Task) -> dict[str, AnyMember]:
    """A small one and a larger one. From 49 pixels on the stem halves images, from 129 on it takes a quarter, where it
    need not see objects in them from 257 on."""
    if size > TASKS[task.name].halved:
        width = 64 if engine.device == "cuda" else 32
        return {"resnet10": _imagenet((1, 1, 1, 1), width), "resnet18": _imagenet((2, 2, 2, 2), width)}
    stride = 1 if size <= 48 else 2
    depths = (20, 56) if engine.device == "cuda" else (14, 20)
    return {
        f"resnet{depth}": Member(
            depth=depth, widths=(16, 32, 64), stem_kernel=3, stem_stride=stride, shortcut="projection"
        )
        for depth in depths
    }


def _imagenet(layers: tuple[int, int, int, int], width: int) -> ImageNetMember:
    return ImageNetMember(
        family="imagenet",
        block="basic",
        layers=layers,
        width=width,
        groups=1,
        width_per_group=64,
        stem="standard",
        downsample="convolution",
        squeeze=0,
        attention=0,
        zero_init=True,
        checkpointing=False,
    )


def _fastest_engine(size: int, images: int, classes: int, seed: int, task: Task) -> Engine:
    """A GPU where there is one; else one thread or all usable cores: on a busy machine more may be slower."""
    gpu = torch.cuda.is_available()
    one = Engine(
        device="cuda" if gpu else "cpu",
        processes=1,
        threads=1,
        precision="bf16" if gpu else "fp32",
        compile=False,
        exact=True,
        images="auto",
    )
    engines = [replace(one, threads=count) for count in dict.fromkeys((1, usable_cores()))]
    if gpu or len(engines) == 1:
        return one
    name, member = next(iter(_members(size, one, task).items()))
    recipe = recipe_for(task, size, batch_size_for(one, images, task), images)

    def seconds(engine: Engine) -> float:
        plan = Plan(name=name, member=member, recipe=recipe, engine=engine, seed=seed)
        return _seconds_per_image(plan, size, classes, task)

    return min(engines, key=seconds)


def _seconds_per_image(plan: Plan, size: int, classes: int, task: Task) -> float:
    """Of training, the median of a few steps on noise, after one to warm up; infinite where memory is too small."""
    data = noise(plan.recipe.batch_size, size, classes, task)
    with silent(True), suppress(torch.OutOfMemoryError):
        training = Training(plan, data, data)
        rows, seconds = torch.arange(training.batch_size), list[float]()
        for _ in range(STEPS + 1):
            started = time.perf_counter()
            list(training.take_steps([rows]))
            if plan.engine.device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds[1:]) / training.batch_size
    return math.inf
