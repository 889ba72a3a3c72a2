"""One measurement in a process of its own, so that memory, loading and the first request are those of a fresh one.

    python -m resnet_ops.benchmark.worker FOLDER PROFILE RESULT

PROFILE is a Profile as JSON, RESULT the file that is written. Prints how many requests of how many are done.
torch is imported only for a model that needs it.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from resnet_ops.benchmark.energy import EnergyMeter
from resnet_ops.benchmark.interference import Watch, drift
from resnet_ops.benchmark.profile import Profile
from resnet_ops.data.depth import dtype_of, white_of
from resnet_ops.errors import ResnetOpsError
from resnet_ops.files import write_json
from resnet_ops.model_files import DESCRIPTION, WEIGHTS, model_file

__all__ = ["work"]

FEWEST = 10
"""Batches of each size that are timed at least."""

Serve = Callable[[np.ndarray], object]
"""Images (N, H, W, C), uint8 or uint16 -> whatever is answered, when it is there."""


def work(folder: Path, profile: Profile, tell: Callable[[int, int], None]) -> dict[str, Any]:
    """Measure a model as a profile runs it. Times are in seconds."""
    description = json.loads((folder / DESCRIPTION).read_text())
    side, channels = description["image_size"], description["channels"]
    sizes = (1, *profile.batch_sizes)
    depth = description.get("depth", 8)
    shape, kind = (max(sizes), side, side, channels), dtype_of(depth)
    images = np.random.default_rng(0).integers(0, white_of(depth) + 1, shape, dtype=kind)

    started = time.perf_counter()
    serve = _load(folder, profile)
    loaded = time.perf_counter()
    serve(images[:1])
    first_request = time.perf_counter() - loaded

    counts = {size: profile.requests if size == 1 else _repeats(profile, size) for size in sizes}
    done, total = 0, sum(counts.values())
    watch = Watch()
    latencies = {}
    for size, count in counts.items():
        latencies[size] = _time(serve, images[:size], profile.warmup if size == 1 else 1, count)
        done += count
        tell(done, total)
    best = max(sizes, key=lambda size: size / float(np.median(latencies[size])))
    meter = EnergyMeter(profile.device)
    again = _time(serve, images[:best], 0, _repeats(profile, best), meter.sample)
    joules = meter.joules()
    cpu_wait, other_load = watch.stop()
    return {
        "load": loaded - started,
        "first_request": first_request,
        "latencies": {str(size): each.tolist() for size, each in latencies.items()},
        "best_batch": best,
        "best_latencies": again.tolist(),
        "joules": joules,
        "peak_memory": _peak_memory(profile.device),
        "cpu_wait": cpu_wait,
        "other_load": other_load,
        "drift": max(drift(latencies[1]), drift(again)),
    }


def _repeats(profile: Profile, size: int) -> int:
    return max(FEWEST, profile.requests // size)


def _time(
    serve: Serve, batch: np.ndarray, warmup: int, count: int, after: Callable[[], None] = lambda: None
) -> np.ndarray:
    """(count,) seconds of one request each."""
    for _ in range(warmup):
        serve(batch)
    taken = np.empty(count)
    for index in range(count):
        started = time.perf_counter()
        serve(batch)
        taken[index] = time.perf_counter() - started
        after()
    return taken


def _load(folder: Path, profile: Profile) -> Serve:
    if model_file(folder).name != WEIGHTS:
        from resnet_ops.export.exported import load_exported

        return load_exported(folder, profile.threads).run
    import torch

    from resnet_ops.model import load_model

    torch.set_num_threads(profile.threads)
    classifier = load_model(folder).classifier().to(profile.device)

    def serve(images: np.ndarray) -> object:
        with torch.inference_mode():
            return classifier(torch.from_numpy(images).to(profile.device)).cpu()

    return serve


def _peak_memory(device: str) -> int:
    """Bytes: of the device's allocations, or of this whole process on a CPU."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):  # not Linux; there, this would hold the starting process's memory too
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _main(folder: str, profile: str, result: str) -> None:
    def tell(done: int, total: int) -> None:
        sys.stdout.write(f"{done} {total}\n")
        sys.stdout.flush()

    settings = json.loads(profile)
    settings["batch_sizes"] = tuple(settings["batch_sizes"])
    try:
        write_json(Path(result), work(Path(folder), Profile(**settings), tell))
    except ResnetOpsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main(*sys.argv[1:])
