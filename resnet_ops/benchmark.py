"""Benchmark of one model on one device profile: latency, throughput, size, arithmetic and memory."""

import resource
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from resnet_ops.console import Progress
from resnet_ops.device_profile import Profile
from resnet_ops.errors import ConfigError
from resnet_ops.evaluation.intervals import order_statistic
from resnet_ops.measurement import Measurement
from resnet_ops.model import TrainedModel

__all__ = ["benchmark_profile", "measure_size"]


def measure_size(model: TrainedModel, folder: Path) -> dict[str, Measurement]:
    """Parameters, bytes of the weights file, and floating-point operations for one image (2 a multiply-add)."""
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        device = next(model.network.parameters()).device
        model.network(torch.zeros(1, model.channels, model.image_size, model.image_size, device=device))
    size = (folder / "weights.safetensors").stat().st_size
    return {
        "size.parameters": Measurement(value=parameters, n=1, unit="parameters"),
        "size.bytes": Measurement(value=size, n=1, unit="bytes"),
        "compute.flops": Measurement(value=counter.get_total_flops(), n=1, unit="FLOP/image"),
    }


def benchmark_profile(
    model: TrainedModel, name: str, profile: Profile, confidence: float, progress: Progress
) -> dict[str, Measurement]:
    """Measure a model as one profile runs it; metrics are named `<profile>.<metric>`.

    progress: called after every request. Percentiles carry the distribution-free interval of their order
    statistics, or none where the requests are too few for one.
    """
    if profile.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"benchmark.profiles.{name}.device is cuda, but torch sees no GPU here. Remove the profile."
        )
    torch.set_num_threads(profile.threads)
    _reset_peak_memory(profile.device)
    classifier = model.classifier().to(profile.device)
    rng = np.random.default_rng(0)
    shape = (profile.batch_size, model.image_size, model.image_size, model.channels)
    batch = torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))

    def seconds(images: torch.Tensor) -> float:
        started = time.perf_counter()
        classifier(images.to(profile.device)).cpu()
        return time.perf_counter() - started

    with torch.inference_mode():
        for _ in range(profile.warmup):
            seconds(batch[:1])
        latencies = np.empty(profile.requests)
        for index in range(profile.requests):
            latencies[index] = 1000 * seconds(batch[:1])
            progress(index + 1, profile.requests)
        repeats = max(10, profile.requests // profile.batch_size)
        seconds(batch)
        rates = np.array([profile.batch_size / seconds(batch) for _ in range(repeats)])
    measured = {
        f"latency_p{percent}_ms": _percentile(latencies, percent / 100, confidence, "ms")
        for percent in (50, 95, 99)
    }
    measured["throughput_ips"] = _percentile(rates, 0.5, confidence, "images/s")
    peak = Measurement(value=_peak_memory(profile.device) / 2**20, n=1, unit="MiB")
    return {f"{name}.{metric}": value for metric, value in {**measured, "peak_memory_mb": peak}.items()}


def _percentile(values: np.ndarray, quantile: float, confidence: float, unit: str) -> Measurement:
    value, n = float(np.quantile(values, quantile)), len(values)
    interval = order_statistic(values, quantile, confidence)
    if interval is None:
        return Measurement(value=value, n=n, unit=unit)
    method = f"order statistics {confidence:g}"
    return Measurement(value=value, n=n, low=interval[0], high=interval[1], method=method, unit=unit)


def _reset_peak_memory(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # not Linux, or forbidden: the peak is then of the whole process


def _peak_memory(device: str) -> int:
    """Bytes: of the device's allocations, or of the whole process on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
