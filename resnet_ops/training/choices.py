"""What `auto` became: measured once and written down, so that a repeat uses what the first run chose."""

import hashlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch

from resnet_ops.cores import usable_cores
from resnet_ops.data import PreparedData
from resnet_ops.errors import DataError
from resnet_ops.files import canonical_json, read_json, write_json
from resnet_ops.messages import say
from resnet_ops.training.distributed.workers import ALONE, Workers, workers_here
from resnet_ops.training.loop import Training
from resnet_ops.training.plan import Plan

__all__ = ["settle"]

ROUNDS = 5


def settle(plan: Plan, data: PreparedData, path: Path, workers: Workers = ALONE) -> Plan:
    """The plan with its `auto` thread count replaced, by what `path` holds for such a training or by measuring.

    path: a JSON file of thread counts by training, made where it is missing; keep it with the project's lock file.
    workers: all take the same count, measured while all of them train. Raises DataError when the file is broken.
    """
    if plan.engine.threads != "auto":
        return plan
    key = f"{plan.name}-{_key(plan, data, workers)}"
    chosen = read_json(path) if path.exists() else {}
    if not isinstance(chosen, dict) or not all(type(count) is int and count > 0 for count in chosen.values()):
        raise DataError(f"{path} is not a list of thread counts. Restore it, or delete it to measure again.")
    threads = workers.agree(chosen.get(key, 0)) or _measure(plan, data, path, key, workers)
    return replace(plan, engine=replace(plan.engine, threads=threads))


def _measure(plan: Plan, data: PreparedData, path: Path, key: str, workers: Workers) -> int:
    """The fastest count, which the first worker notes."""
    speeds = _speeds(plan, data, workers)
    fastest = workers.agree(max(speeds, key=lambda count: speeds[count]))
    if workers.leads:
        write_json(path, (read_json(path) if path.exists() else {}) | {key: fastest})
    shown = ", ".join(f"{count}: {speed:,.0f} images/s" for count, speed in speeds.items())
    say(f"{plan.name} trains with {fastest} threads ({shown}); noted in {path}")
    return fastest


def _key(plan: Plan, data: PreparedData, workers: Workers) -> str:
    """What the speed depends on, in short; not the machine, because a repeat elsewhere must use the same count."""
    depends_on = {
        "member": asdict(plan.member),
        "recipe": plan.recipe.as_dict(),
        "engine": asdict(replace(plan.engine, processes=workers.count)),
        "image": data.images.shape[1:],
    }
    return hashlib.sha256(canonical_json(depends_on)).hexdigest()[:16]


def _speeds(plan: Plan, data: PreparedData, workers: Workers) -> dict[int, float]:
    """Images per second by thread count: the median of some steps of each, taken in turn."""
    counts = list(_counts(workers.agree(_cores() // workers_here()) or 1))
    first = replace(plan, engine=replace(plan.engine, threads=1))
    training = Training(first, data.split("train"), data.split("validation"), workers)
    rows = torch.arange(training.batch_size)
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    for round_ in range(ROUNDS + 1):
        for count in counts:
            torch.set_num_threads(count)
            started = time.perf_counter()
            list(training.take_steps([rows]))
            if round_:  # the first one warms up
                seconds[count].append(time.perf_counter() - started)
    return {count: training.batch_size / statistics.median(each) for count, each in seconds.items()}


def _cores() -> int:
    """That this process may use, and other workers with it."""
    import psutil  # only where something is `auto`: the core trains without it

    return min(psutil.cpu_count(logical=False) or usable_cores(), usable_cores())


def _counts(cores: int) -> Iterator[int]:
    """1, 2, 4 and so on, and all."""
    count = 1
    while count < cores:
        yield count
        count *= 2
    yield cores
