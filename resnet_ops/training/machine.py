"""Whether this machine can do what a training's settings ask, and what it does otherwise than they hope.

torch is imported only where a setting needs an answer from it: most projects are checked in an instant.
"""

import os
import shutil
import statistics
import sys
import time

from resnet_ops.cores import usable_cores
from resnet_ops.errors import ConfigError
from resnet_ops.training.engine import Engine
from resnet_ops.training.plan import Plan

__all__ = ["precision_cost", "remarks", "require_gpu", "require_machine"]

ROUNDS = 3
CLASSES = 10
"""Of the network that is timed: its head is next to nothing of the work."""
ENOUGH = 0.05
"""Seconds of a step in fp32 that can be timed."""
DEAR = 1.1
"""Times as long as fp32 from which a number format is worth a remark: less is noise."""


def require_machine(engine: Engine) -> None:
    """Raise ConfigError where this machine lacks what the settings need: GPUs, or a compiler."""
    if engine.device == "cuda":
        found = require_gpu("train.device")
        if engine.processes > found:
            raise ConfigError(
                f"train.processes is {engine.processes}, each with a GPU of its own, but torch sees {found} here. Set "
                f"it to {found} in params.yaml."
            )
    if engine.compile and not _compiler(engine.device):
        raise ConfigError(
            f"train.compile is {engine.compile}, but there is no {'C' if engine.device == 'cuda' else 'C++'} compiler "
            "here. Install one (g++), name it in CC and CXX, or set train.compile to false in params.yaml."
        )


def require_gpu(setting: str) -> int:
    """How many GPUs torch sees. Raises ConfigError, which names the setting that asks for one, where it sees none."""
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not found:
        raise ConfigError(f"{setting} is cuda, but torch sees no GPU here. Set it to cpu in params.yaml.")
    return found


def _compiler(device: str) -> str | None:
    """What torch.compile would call: on a GPU Triton's C compiler, on a CPU a C++ compiler."""
    names = (
        ("gcc", "clang", "cc") if device == "cuda" else ("clang++" if sys.platform == "darwin" else "g++",)
    )
    chosen = os.environ.get("CC" if device == "cuda" else "CXX")
    return next(filter(None, map(shutil.which, [chosen] if chosen else names)), None)


def remarks(plan: Plan, image_size: int, channels: int) -> list[str]:
    """What this machine does otherwise than the settings hope, each as a sentence with its remedy.

    image_size, channels: of the images that are trained on. Raises ConfigError as `require_machine` does. Measures,
    for seconds at most, only where a number format is asked for that is not every processor's.
    """
    engine = plan.engine
    require_machine(engine)
    return [remark for remark in (_threads(engine), _precision(plan, image_size, channels)) if remark]


def _threads(engine: Engine) -> str | None:
    if engine.threads == "auto":
        return None
    workers = engine.processes if engine.device == "cpu" else 1
    wanted, cores = engine.threads * workers, usable_cores()
    if wanted <= cores:
        return None
    each = f"{engine.threads} in each of {workers} processes" if workers > 1 else f"{wanted}"
    return (
        f"train.threads is {each}, but this process may use {cores} core(s), so training is slower than with {cores}. "
        "Keep it to repeat a training to the bit; else lower it, or set it to auto, in params.yaml."
    )


def _precision(plan: Plan, image_size: int, channels: int) -> str | None:
    precision = plan.engine.precision
    if precision == "fp32":
        return None
    if plan.engine.device == "cuda":
        import torch

        if torch.cuda.get_device_capability() >= (8, 0):
            return None
        name = torch.cuda.get_device_name()
        return (
            f"train.precision is {precision}, for which {name} has no arithmetic, so training is no faster than with "
            "fp32. Set train.precision to fp32 in params.yaml."
        )
    cost = precision_cost(plan, image_size, channels)
    if cost <= DEAR:
        return None
    return (
        f"train.precision is bf16, with which a step of {plan.name} takes {cost:.1f} times as long here as with fp32 "
        f"(measured, n = {ROUNDS}): the processor has no arithmetic for it. Set train.precision to fp32 in params.yaml."
    )


def precision_cost(plan: Plan, image_size: int, channels: int) -> float:
    """How many times as long a forward and backward pass takes on this CPU in bf16 as in fp32: the median of pairs.

    Of as many images as can be timed, at most a batch.
    """
    import torch
    from torch.nn import functional as F

    from resnet_ops.families.build import build_network

    threads = torch.get_num_threads()
    torch.set_num_threads(usable_cores() if plan.engine.threads == "auto" else plan.engine.threads)
    network = build_network(plan.member, channels, CLASSES).to(memory_format=torch.channels_last)

    def seconds(count: int, is_bf16: bool) -> float:
        images = torch.zeros(count, channels, image_size, image_size).to(memory_format=torch.channels_last)
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            logits = network(images)
        F.cross_entropy(logits.float(), torch.zeros(count, dtype=torch.int64)).backward()
        return time.perf_counter() - started

    count = 2
    while seconds(count, False) < ENOUGH and count < plan.recipe.batch_size:
        count *= 2
    seconds(count, True)  # warms up
    ratios = [seconds(count, True) / seconds(count, False) for _ in range(ROUNDS)]
    torch.set_num_threads(threads)
    return statistics.median(ratios)
