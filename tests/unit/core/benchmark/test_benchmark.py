"""The benchmark of tiny models: names, order and intervals of its measurements, and what makes them noisy."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import resnet_ops.benchmark.measure as measure
from resnet_ops.benchmark.energy import EnergyMeter
from resnet_ops.benchmark.interference import Noise, Watch, drift
from resnet_ops.benchmark.measure import Benchmark, benchmark_profile, measure_size, why_skipped
from resnet_ops.benchmark.profile import InterferenceParams, Profile
from resnet_ops.benchmark.worker import work
from resnet_ops.errors import DataError
from resnet_ops.measurement import Measurement
from resnet_ops.model import save_model
from tests.unit.core.exports import write_export
from tests.unit.core.makers import untrained

PROFILE = Profile(device="cpu", threads=1, memory_mb=1000, batch_sizes=(4, 16), warmup=3, requests=400)
CALM = InterferenceParams(max_waiting=1e9, max_others=1e9, max_drift=1e9, attempts=3)
SILENT = lambda done, total: None  # noqa: E731


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    save_model(untrained(), folder)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def benchmarks(trained: Path, exported: Path) -> dict[str, Benchmark]:
    return {
        name: benchmark_profile(folder, "edge-cpu", PROFILE, CALM, 0.95, SILENT)
        for name, folder in (("trained", trained), ("exported", exported))
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trained", "exported"])
def test_every_metric_carries_the_profile_name_its_number_and_its_unit(
    name: str, benchmarks: dict[str, Benchmark]
) -> None:
    found = {key: (metric.n, metric.unit) for key, metric in benchmarks[name].measured.items()}
    best = int(benchmarks[name].measured["edge-cpu.best_batch"].value)
    repeats = {1: 400, 4: 100, 16: 25}
    found.pop("edge-cpu.energy_mj", None)  # where the machine tells
    percentiles = {
        f"edge-cpu.{group}latency_p{percent}_ms": (repeats[size], "ms")
        for size, group in ((1, ""), (4, "batch4."), (16, "batch16."))
        for percent in (50, 95, 99)
    }
    assert found == {
        **percentiles,
        "edge-cpu.throughput_ips": (repeats[best], "images/s"),
        "edge-cpu.best_batch": (1, "images"),
        "edge-cpu.load_ms": (1, "ms"),
        "edge-cpu.first_request_ms": (1, "ms"),
        "edge-cpu.peak_memory_mb": (1, "MiB"),
        "edge-cpu.memory_share": (1, "of the profile's memory"),
    }


@pytest.mark.slow
def test_percentiles_are_in_order_and_within_their_intervals(benchmarks: dict[str, Benchmark]) -> None:
    measured = benchmarks["exported"].measured
    percentiles = [measured[f"edge-cpu.latency_p{percent}_ms"] for percent in (50, 95, 99)]
    values = [metric.value for metric in percentiles]
    assert 0 < values[0] <= values[1] <= values[2]
    for metric in (*percentiles, measured["edge-cpu.throughput_ips"]):
        assert metric.low is not None
        assert metric.high is not None
        assert 0 < metric.low <= metric.value <= metric.high
        assert metric.method == "order statistics 0.95"


@pytest.mark.slow
def test_too_few_requests_give_percentiles_without_an_interval(benchmarks: dict[str, Benchmark]) -> None:
    p99 = benchmarks["exported"].measured["edge-cpu.batch16.latency_p99_ms"]
    assert p99.value > 0
    assert (p99.n, p99.low, p99.high, p99.method) == (25, None, None, None)


@pytest.mark.slow
def test_memory_and_loading_are_those_of_a_fresh_process_with_what_it_needs(
    benchmarks: dict[str, Benchmark],
) -> None:
    held = torch.ones(256 * 2**18)  # 256 MiB here, none of which is theirs
    with_torch, without = (benchmarks[name].measured for name in ("trained", "exported"))
    assert held.sum() > 0
    assert 20 < without["edge-cpu.peak_memory_mb"].value < with_torch["edge-cpu.peak_memory_mb"].value
    assert without["edge-cpu.load_ms"].value < with_torch["edge-cpu.load_ms"].value
    share = without["edge-cpu.memory_share"].value
    assert share == pytest.approx(without["edge-cpu.peak_memory_mb"].value / 1000)


@pytest.mark.slow
def test_latency_is_of_one_image_and_every_batch_is_warmed_up(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[int] = []
    monkeypatch.setattr(
        "resnet_ops.benchmark.worker._load", lambda folder, profile: lambda images: served.append(len(images))
    )
    told: list[tuple[int, int]] = []
    raw = work(exported, replace(PROFILE, batch_sizes=(8,), requests=20), lambda *now: told.append(now))
    best = raw["best_batch"]
    again = 20 if best == 1 else 10
    assert served == [1] + [1] * (3 + 20) + [8] * (1 + 10) + [best] * again
    assert told == [(20, 30), (30, 30)]
    assert len(raw["best_latencies"]) == again


@pytest.mark.slow
def test_a_model_that_cannot_be_run_is_named(tmp_path: Path, exported: Path) -> None:
    for file in ("model.onnx", "member.json"):
        (tmp_path / file).write_bytes((exported / file).read_bytes()[:300])
    (tmp_path / "member.json").write_bytes((exported / "member.json").read_bytes())
    with pytest.raises(DataError, match=r"Measuring .* on edge-cpu failed: .*holds no usable export"):
        benchmark_profile(tmp_path, "edge-cpu", PROFILE, CALM, 0.95, SILENT)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_profile_that_cannot_be_measured_here_says_why(trained: Path, exported: Path) -> None:
    gpu = replace(PROFILE, device="cuda")
    assert why_skipped(trained, gpu) == "torch sees no GPU here"
    assert why_skipped(exported, gpu) == "an export runs on a CPU here"
    assert why_skipped(exported, PROFILE) is None


class Attempts:
    """Stands in for the worker: one prepared measurement's noise after the other."""

    def __init__(self, *noise: tuple[float | None, float | None, float]) -> None:
        self.left = list(noise)

    def __call__(self, *_: Any) -> dict[str, Any]:
        cpu_wait, other_load, drift = self.left.pop(0)
        return {
            "load": 1.0,
            "first_request": 1.0,
            "latencies": {"1": [0.001 * len(self.left)] * 10},
            "best_batch": 1,
            "best_latencies": [0.001] * 10,
            "joules": 0.5,
            "peak_memory": 2**20,
            "cpu_wait": cpu_wait,
            "other_load": other_load,
            "drift": drift,
        }


LIMITS = InterferenceParams(max_waiting=0.02, max_others=0.2, max_drift=0.1, attempts=3)


@pytest.mark.parametrize(
    ("attempts", "used", "interference", "kept"),
    [
        ([(0.0, 0.1, 0.05)], 1, False, 0.05),
        ([(0.1, 0.1, 0.05), (0.0, 0.1, 0.04)], 2, False, 0.04),
        ([(0.1, 0.1, 0.05), (0.04, 0.1, 0.06), (0.0, 0.9, 0.07)], 3, True, 0.06),
        ([(0.0, 0.0, 0.2)] * 3, 3, True, 0.2),
        ([(None, None, 0.05)], 1, None, 0.05),
        ([(None, None, 0.5)] * 3, 3, True, 0.5),
    ],
)
def test_a_noisy_measurement_is_repeated_and_never_recorded_as_quiet(
    attempts: list[tuple[float | None, float | None, float]],
    used: int,
    interference: bool | None,
    kept: float,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Attempts(*attempts)
    monkeypatch.setattr(measure, "_run_worker", worker)
    found = benchmark_profile(exported, "p", PROFILE, LIMITS, 0.95, SILENT)
    assert worker.left == []
    assert (found.facts["attempts"], found.facts["drift"]) == (used, kept)
    assert found.facts["interference"] is interference
    assert found.measured["p.energy_mj"].value == pytest.approx(50)


def spin(until: float) -> None:
    while time.monotonic() < until:
        pass


@pytest.fixture
def crowd() -> Iterator[None]:
    """More busy processes than there are cores."""
    count = 3 * (os.cpu_count() or 1)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    yield
    for process in busy:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system does not count waiting")
@pytest.mark.usefixtures("crowd")
def test_other_processes_on_all_cores_are_noticed() -> None:
    watch = Watch()
    spin(time.monotonic() + 1)
    waiting, others = watch.stop()
    assert waiting is not None
    assert others is not None
    assert waiting > 0.2
    assert others > 0.2
    limits = InterferenceParams(max_waiting=0.1, max_others=0.9, max_drift=9, attempts=1)
    assert Noise(waiting, others, 0.0).is_interference(limits) is True


def test_a_machine_that_became_slower_drifts() -> None:
    steady = np.full(100, 2.0)
    assert drift(steady) == 0
    assert drift(np.concatenate([steady, 1.5 * steady])) == pytest.approx(0.5)
    assert drift(np.concatenate([1.5 * steady, steady])) == pytest.approx(1 / 3)
    assert drift(steady[:1]) == 0


def write_counter(powercap: Path, domain: str, microjoules: int, largest: int = 2**32 - 1) -> None:
    folder = powercap / domain
    folder.mkdir(exist_ok=True)
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{largest}\n")


def test_energy_is_that_of_all_packages_and_survives_a_counter_that_starts_again(tmp_path: Path) -> None:
    write_counter(tmp_path, "intel-rapl:0", 1_000_000)
    write_counter(tmp_path, "intel-rapl:1", 9_999_999, largest=9_999_999)
    write_counter(tmp_path, "intel-rapl:0:0", 5)  # a part of package 0
    meter = EnergyMeter("cpu", tmp_path)
    write_counter(tmp_path, "intel-rapl:0", 3_500_000)
    write_counter(tmp_path, "intel-rapl:1", 499_999, largest=9_999_999)
    assert meter.joules() == pytest.approx(3.0)


def test_a_machine_that_does_not_tell_gives_no_energy(tmp_path: Path) -> None:
    assert EnergyMeter("cpu", tmp_path).joules() is None
    write_counter(tmp_path, "intel-rapl:0", 5)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("")
    assert EnergyMeter("cpu", tmp_path).joules() is None
    assert EnergyMeter("cuda", tmp_path).joules() is None or torch.cuda.is_available()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threads": 0}, "must be at least 1, warmup"),
        ({"requests": 0}, "must be at least 1, warmup"),
        ({"warmup": -1}, "must be at least 1, warmup"),
        ({"memory_mb": -1}, "must be at least 1, warmup"),
        ({"batch_sizes": (1, 8)}, "must rise from 2"),
        ({"batch_sizes": (8, 4)}, "must rise from 2"),
    ],
)
def test_a_profile_that_measures_nothing_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PROFILE, **change)


@pytest.mark.parametrize("change", [{"attempts": 0}, {"max_others": -0.1}])
def test_limits_that_mean_nothing_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="attempts must be"):
        replace(LIMITS, **change)


def test_size_is_counted_from_the_network_and_the_file_that_is_deployed(
    trained: Path, exported: Path
) -> None:
    model = untrained()
    # widths 4, 8, 8 on one grey 8x8 image; two convolutions a stage
    convolutions = [(4, 1, 64), (4, 4, 64), (4, 4, 64), (8, 4, 16), (8, 8, 16), (8, 8, 4), (8, 8, 4)]
    weights = sum(9 * wide * narrow for wide, narrow, _ in convolutions)
    normalisation = sum(2 * wide for wide, _, _ in convolutions)
    multiply_adds = sum(9 * wide * narrow * pixels for wide, narrow, pixels in convolutions)
    measured = measure_size(model, trained)
    assert measured["size.parameters"].value == weights + normalisation + (8 * 10 + 10)
    assert measured["compute.flops"].value == 2 * (multiply_adds + 8 * 10)
    assert measured["size.bytes"].value == (trained / "weights.safetensors").stat().st_size
    of_export = measure_size(model, exported)
    assert of_export["size.bytes"].value == (exported / "model.onnx").stat().st_size
    assert isinstance(of_export["compute.flops"], Measurement)
    assert of_export["compute.flops"] == measured["compute.flops"]


def test_size_is_counted_on_whatever_device_the_network_lies(trained: Path) -> None:
    model = untrained()
    on_cpu = measure_size(model, trained)
    model.network.to("meta")
    assert measure_size(model, trained) == on_cpu
