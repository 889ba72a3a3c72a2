"""Benchmark of one model on one device profile: latency, throughput, memory, loading, energy; size and arithmetic."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from resnet_ops.benchmark.interference import Noise
from resnet_ops.benchmark.profile import InterferenceParams, Profile
from resnet_ops.errors import DataError
from resnet_ops.evaluation.intervals import order_statistic
from resnet_ops.files import read_json
from resnet_ops.measurement import Measurement
from resnet_ops.messages import Progress
from resnet_ops.model import TrainedModel
from resnet_ops.model_files import WEIGHTS, model_file

__all__ = ["Benchmark", "benchmark_profile", "measure_size", "why_skipped"]

Fact = str | int | float | bool | None


@dataclass(frozen=True)
class Benchmark:
    """What was measured on a profile, by `<profile>.<metric>`, and how calm it was meanwhile."""

    measured: dict[str, Measurement] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=dict)
    """`interference`: true, false, or None where this system cannot tell; what was seen; `attempts`."""


def measure_size(model: TrainedModel, folder: Path) -> dict[str, Measurement]:
    """Parameters and floating-point operations for one image (2 a multiply-add), and bytes of the file in `folder`.

    model: the trained model. folder: its own, or that of an export of it.
    """
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        device = next(model.network.parameters()).device
        model.network(torch.zeros(1, model.channels, model.image_size, model.image_size, device=device))
    return {
        "size.parameters": Measurement(value=parameters, n=1, unit="parameters"),
        "size.bytes": Measurement(value=model_file(folder).stat().st_size, n=1, unit="bytes"),
        "compute.flops": Measurement(value=counter.get_total_flops(), n=1, unit="FLOP/image"),
    }


def why_skipped(folder: Path, profile: Profile) -> str | None:
    """Why a model cannot be measured on a profile here; None where it can."""
    if profile.device == "cpu":
        return None
    if model_file(folder).name != WEIGHTS:
        return "an export runs on a CPU here"
    return None if torch.cuda.is_available() else "torch sees no GPU here"


def benchmark_profile(
    folder: Path,
    name: str,
    profile: Profile,
    limits: InterferenceParams,
    confidence: float,
    progress: Progress,
) -> Benchmark:
    """Measure the model in `folder` as one profile runs it, in a process of its own.

    A noisy measurement is repeated; where none was quiet, the quietest is kept and marked. progress: called as
    requests are done. Raises DataError when the model cannot be run.
    """
    best: tuple[Noise, dict[str, Any]] | None = None
    attempts = 0
    while attempts < limits.attempts:
        attempts += 1
        raw = _run_worker(folder, name, profile, progress)
        seen = Noise(raw["cpu_wait"], raw["other_load"], raw["drift"])
        if best is None or seen.worst(limits) < best[0].worst(limits):
            best = seen, raw
        if seen.worst(limits) <= 1:
            break
    assert best is not None
    seen, raw = best
    noise = {
        "waiting": seen.cpu_wait,
        "others": seen.other_load,
        "drift": seen.drift,
    }  # as evidence names them
    facts: dict[str, Fact] = {
        "threads": profile.threads,
        "interference": seen.is_interference(limits),
        "attempts": attempts,
        **{key: None if share is None else round(share, 4) for key, share in noise.items()},
    }
    measured = _measurements(raw, profile, confidence)
    return Benchmark({f"{name}.{metric}": each for metric, each in measured.items()}, facts)


def _run_worker(folder: Path, name: str, profile: Profile, progress: Progress) -> dict[str, Any]:
    threads = {key: str(profile.threads) for key in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
        result, errors = Path(temporary) / "result.json", Path(temporary) / "errors.txt"
        command = [sys.executable, "-m", "resnet_ops.benchmark.worker"]
        with errors.open("w") as stderr:
            worker = subprocess.Popen(  # noqa: S603
                [*command, str(folder), json.dumps(asdict(profile)), str(result)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, **threads},
            )
            assert worker.stdout is not None
            with worker:
                for line in worker.stdout:
                    done, total = line.split()
                    progress(int(done), int(total))
        if worker.returncode != 0:
            last_line = errors.read_text().strip().splitlines()[-1:] or [f"exit status {worker.returncode}"]
            raise DataError(f"Measuring {folder} on {name} failed: {last_line[0]}")
        return dict(read_json(result))


def _measurements(raw: dict[str, Any], profile: Profile, confidence: float) -> dict[str, Measurement]:
    measured: dict[str, Measurement] = {}
    for size, seconds in raw["latencies"].items():
        group = "" if size == "1" else f"batch{size}."
        for percent in (50, 95, 99):
            times = 1000 * np.array(seconds)
            measured[f"{group}latency_p{percent}_ms"] = _percentile(times, percent / 100, confidence, "ms")
    best, again = raw["best_batch"], np.array(raw["best_latencies"])
    measured["throughput_ips"] = _percentile(best / again, 0.5, confidence, "images/s")
    peak = raw["peak_memory"] / 2**20
    single = {
        "best_batch": (best, "images"),
        "load_ms": (1000 * raw["load"], "ms"),
        "first_request_ms": (1000 * raw["first_request"], "ms"),
        "peak_memory_mb": (peak, "MiB"),
    }
    if profile.memory_mb:
        single["memory_share"] = (peak / profile.memory_mb, "of the profile's memory")
    measured |= {name: Measurement(value=value, n=1, unit=unit) for name, (value, unit) in single.items()}
    if raw["joules"] is not None:
        images = best * len(again)
        measured["energy_mj"] = Measurement(value=1000 * raw["joules"] / images, n=images, unit="mJ/image")
    return measured


def _percentile(values: np.ndarray, quantile: float, confidence: float, unit: str) -> Measurement:
    """With the distribution-free interval of its order statistics, or none where there are too few values for one."""
    value, n = float(np.quantile(values, quantile)), len(values)
    interval = order_statistic(values, quantile, confidence)
    if interval is None:
        return Measurement(value=value, n=n, unit=unit)
    method = f"order statistics {confidence:g}"
    return Measurement(value=value, n=n, low=interval[0], high=interval[1], method=method, unit=unit)
