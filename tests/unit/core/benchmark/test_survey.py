"""The light benchmark of exports that are no version: what it measures, what it shares, and what it refuses to load."""

from dataclasses import replace
from pathlib import Path

import pytest

import resnet_ops.benchmark.survey as survey_module
from resnet_ops.benchmark.measure import Benchmark, benchmark_profile
from resnet_ops.benchmark.profile import InterferenceParams, Profile, SurveyParams
from resnet_ops.benchmark.survey import check_written, survey_export
from resnet_ops.errors import DataError
from resnet_ops.export.program import pt2_bytes, trace
from resnet_ops.files import write_bytes, write_json
from resnet_ops.model_files import DESCRIPTION, model_digest
from tests.unit.core.exports import write_export
from tests.unit.core.makers import untrained

SERVER = Profile(device="cpu", threads=1, memory_mb=0, batch_sizes=(8, 64), warmup=3, requests=5000)
PROFILES = {
    "server-cpu": SERVER,
    "edge-cpu": replace(SERVER, memory_mb=1024, batch_sizes=()),
    "two-threads": replace(SERVER, threads=2),
    "server-gpu": replace(SERVER, device="cuda"),
}
LIGHT = SurveyParams(requests=80, attempts=1)
CALM = InterferenceParams(max_waiting=1e9, max_others=1e9, max_drift=1e9, attempts=3)
SILENT = lambda done, total: None  # noqa: E731


@pytest.mark.slow
def test_profiles_that_run_an_image_the_same_way_share_one_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Profile, InterferenceParams]] = []

    def counted(
        folder: Path, name: str, profile: Profile, limits: InterferenceParams, *more: object
    ) -> Benchmark:
        asked.append((profile, limits))
        return benchmark_profile(folder, name, profile, limits, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(survey_module, "benchmark_profile", counted)
    found = survey_export(write_export(tmp_path), PROFILES, LIGHT, CALM, 0.95, SILENT)
    assert [(profile.threads, profile.requests, limits.attempts) for profile, limits in asked] == [
        (1, 80, 1),
        (2, 80, 1),
    ]
    assert {name.partition(".")[0] for name in found.measured} == {"server-cpu", "edge-cpu", "two-threads"}
    p95 = found.measured["server-cpu.latency_p95_ms"]
    assert p95 == found.measured["edge-cpu.latency_p95_ms"]
    assert p95.n == 80
    assert p95.low is not None, "so many requests give it an interval"
    assert found.facts["edge-cpu"]["attempts"] == 1
    assert found.skipped == {"server-gpu": "an export runs on a CPU here"}


@pytest.mark.slow
def test_a_pt2_export_is_measured_with_torch(tmp_path: Path) -> None:
    model = untrained()
    write_bytes(tmp_path / "model.pt2", pt2_bytes(trace(model)))
    write_json(
        tmp_path / DESCRIPTION,
        {
            **{"name": "tiny", "format": "pt2", "exported_from": "0" * 64, "classes": model.classes},
            **{"image_size": model.image_size, "channels": model.channels},
        },
    )
    found = survey_export(tmp_path, {"edge-cpu": SERVER}, LIGHT, CALM, 0.95, SILENT)
    assert found.measured["edge-cpu.latency_p95_ms"].value > 0
    assert found.measured["edge-cpu.peak_memory_mb"].value > 100, "torch is in it"


def test_what_is_not_what_was_exported_is_not_loaded(tmp_path: Path) -> None:
    folder = write_export(tmp_path)
    digest = model_digest(folder)
    check_written(folder, digest)
    (folder / "model.onnx").write_bytes(b"another")
    with pytest.raises(DataError, match="is not what was exported"):
        check_written(folder, digest)


@pytest.mark.parametrize("change", [{"requests": 0}, {"attempts": 0}])
def test_a_survey_that_measures_nothing_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        replace(LIGHT, **change)
