"""A light benchmark of exports that are no version of their own, so that they can be compared with those that are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from resnet_ops.benchmark.measure import Fact, benchmark_profile, why_skipped
from resnet_ops.benchmark.profile import InterferenceParams, Profile, SurveyParams
from resnet_ops.errors import DataError
from resnet_ops.measurement import Measurement
from resnet_ops.messages import Progress
from resnet_ops.model_files import model_digest

__all__ = ["Survey", "check_written", "survey_export"]

SINGLE_IMAGES = ("latency_p50_ms", "latency_p95_ms", "load_ms", "first_request_ms", "peak_memory_mb")


@dataclass(frozen=True)
class Survey:
    """What was measured of an export, by `<profile>.<metric>`, and by profile how calm it was or why it was skipped."""

    measured: dict[str, Measurement] = field(default_factory=dict)
    facts: dict[str, dict[str, Fact]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def check_written(folder: Path, digest: str) -> None:
    """Raise DataError unless `folder` holds what was exported, by its `model_digest`.

    torch.export.load, which a `pt2` is read with, may read pickles: only what this project wrote is given to it.
    """
    if model_digest(folder) != digest:
        raise DataError(
            f"{folder} is not what was exported ({digest[:12]}), so it is not loaded. Export it again: dvc repro"
        )


def survey_export(
    folder: Path,
    profiles: Mapping[str, Profile],
    survey: SurveyParams,
    limits: InterferenceParams,
    confidence: float,
    progress: Progress,
) -> Survey:
    """Measure single images on every profile. Profiles with the same device and threads share one measurement.

    Call `check_written` first. Raises DataError when the export cannot be run.
    """
    found, known = Survey(), dict[tuple[str, int], tuple[dict[str, Measurement], dict[str, Fact]]]()
    for name, profile in profiles.items():
        if reason := why_skipped(folder, profile):
            found.skipped[name] = reason
            continue
        way = profile.device, profile.threads
        if way not in known:
            light = replace(profile, memory_mb=0, batch_sizes=(), requests=survey.requests)
            calm = replace(limits, attempts=survey.attempts)
            benchmark = benchmark_profile(folder, name, light, calm, confidence, progress)
            single = {metric: benchmark.measured[f"{name}.{metric}"] for metric in SINGLE_IMAGES}
            known[way] = single, benchmark.facts
        single, facts = known[way]
        found.measured.update({f"{name}.{metric}": each for metric, each in single.items()})
        found.facts[name] = facts
    return found
