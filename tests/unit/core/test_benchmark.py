"""The benchmark of a tiny model: names, order and intervals of its measurements."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_ops.benchmark import benchmark_profile, measure_size
from resnet_ops.device_profile import Profile
from resnet_ops.errors import ConfigError
from resnet_ops.measurement import Measurement
from resnet_ops.model import save_model
from tests.unit.core.makers import untrained

PROFILE = Profile(device="cpu", threads=1, batch_size=8, warmup=3, requests=400)


@pytest.fixture(scope="module")
def measured() -> dict[str, Measurement]:
    return benchmark_profile(untrained(), "edge-cpu", PROFILE, 0.95, lambda done, total: None)


def test_every_metric_carries_the_profile_name_its_number_and_its_unit(
    measured: dict[str, Measurement],
) -> None:
    assert {name: (metric.n, metric.unit) for name, metric in measured.items()} == {
        "edge-cpu.latency_p50_ms": (400, "ms"),
        "edge-cpu.latency_p95_ms": (400, "ms"),
        "edge-cpu.latency_p99_ms": (400, "ms"),
        "edge-cpu.throughput_ips": (50, "images/s"),
        "edge-cpu.peak_memory_mb": (1, "MiB"),
    }


def test_percentiles_are_in_order_and_within_their_intervals(measured: dict[str, Measurement]) -> None:
    percentiles = [measured[f"edge-cpu.latency_p{percent}_ms"] for percent in (50, 95, 99)]
    values = [metric.value for metric in percentiles]
    assert 0 < values[0] <= values[1] <= values[2]
    for metric in (*percentiles, measured["edge-cpu.throughput_ips"]):
        assert metric.low is not None
        assert metric.high is not None
        assert 0 < metric.low <= metric.value <= metric.high
        assert metric.method == "order statistics 0.95"


def test_latency_is_of_one_image_and_throughput_of_batches() -> None:
    model = untrained()
    batches: list[int] = []
    model.network.register_forward_pre_hook(lambda network, inputs: batches.append(len(inputs[0])))
    profile = replace(PROFILE, batch_size=8, warmup=3, requests=20)
    measured = benchmark_profile(model, "p", profile, 0.95, lambda done, total: None)
    repeats = measured["p.throughput_ips"].n
    assert measured["p.latency_p50_ms"].n == 20
    assert batches == [1] * (3 + 20) + [8] * (1 + repeats)  # the first batch is not timed


def test_peak_memory_is_that_of_a_process_with_torch(measured: dict[str, Measurement]) -> None:
    assert 50 < measured["edge-cpu.peak_memory_mb"].value < 20_000


def peak_can_be_reset() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


@pytest.mark.skipif(not peak_can_be_reset(), reason="this system does not let a process reset its peak")
def test_peak_memory_grows_with_what_is_held() -> None:
    profile = replace(PROFILE, requests=1)
    before = benchmark_profile(untrained(), "p", profile, 0.95, lambda done, total: None)
    held = torch.ones(64 * 2**18)  # 64 MiB
    after = benchmark_profile(untrained(), "p", profile, 0.95, lambda done, total: None)
    grown = after["p.peak_memory_mb"].value - before["p.peak_memory_mb"].value
    assert held.sum() > 0
    assert 40 < grown < 120


def test_progress_is_told_of_every_request() -> None:
    seen: list[tuple[int, int]] = []
    benchmark_profile(
        untrained(), "p", replace(PROFILE, requests=3), 0.95, lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_too_few_requests_give_percentiles_without_an_interval() -> None:
    measured = benchmark_profile(
        untrained(), "p", replace(PROFILE, requests=5), 0.95, lambda done, total: None
    )
    p99 = measured["p.latency_p99_ms"]
    assert p99.value > 0
    assert (p99.n, p99.low, p99.high, p99.method) == (5, None, None, None)
    assert measured["p.throughput_ips"].low is not None


def test_the_profile_decides_the_threads() -> None:
    profile = replace(PROFILE, threads=2, batch_size=1, requests=1)
    benchmark_profile(untrained(), "p", profile, 0.95, lambda done, total: None)
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_missing_gpu_names_the_profile() -> None:
    profile = replace(PROFILE, device="cuda")
    with pytest.raises(
        ConfigError, match=r"benchmark\.profiles\.server-gpu\.device is cuda, but torch sees no GPU"
    ):
        benchmark_profile(untrained(), "server-gpu", profile, 0.95, lambda done, total: None)


@pytest.mark.parametrize("change", [{"threads": 0}, {"batch_size": 0}, {"requests": 0}, {"warmup": -1}])
def test_a_profile_that_measures_nothing_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be at least 1, warmup at least 0"):
        replace(PROFILE, **change)


def test_size_is_counted_from_the_network_and_its_file(tmp_path: Path) -> None:
    model = untrained()
    save_model(model, tmp_path)
    # widths 4, 8, 8 on one grey 8x8 image; two convolutions a stage
    convolutions = [(4, 1, 64), (4, 4, 64), (4, 4, 64), (8, 4, 16), (8, 8, 16), (8, 8, 4), (8, 8, 4)]
    weights = sum(9 * wide * narrow for wide, narrow, _ in convolutions)
    normalisation = sum(2 * wide for wide, _, _ in convolutions)
    multiply_adds = sum(9 * wide * narrow * pixels for wide, narrow, pixels in convolutions)
    measured = measure_size(model, tmp_path)
    assert measured["size.parameters"].value == weights + normalisation + (8 * 10 + 10)
    assert measured["compute.flops"].value == 2 * (multiply_adds + 8 * 10)
    assert measured["size.bytes"].value == len((tmp_path / "weights.safetensors").read_bytes())


def test_size_is_counted_on_whatever_device_the_network_lies(tmp_path: Path) -> None:
    model = untrained()
    save_model(model, tmp_path)
    on_cpu = measure_size(model, tmp_path)
    model.network.to("meta")
    assert measure_size(model, tmp_path) == on_cpu
