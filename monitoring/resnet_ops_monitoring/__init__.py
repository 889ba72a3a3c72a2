"""Monitoring of production inference: log, scorer, reference, drift verdicts and reports.

The names below are imported when they are first used: `import resnet_ops_monitoring` itself is light.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_ops.moved import find_moved

if TYPE_CHECKING:
    from resnet_ops_monitoring.inference_log.client.writer import Sampling, Writer, open_writer

__all__ = ["Sampling", "Writer", "open_writer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.inference_log.client.writer"), name)


find_moved(
    __name__,
    Path(__file__).parent,
    {
        "calibration": "statistics.estimate_error",
        "log_database": "inference_log.database",
        "manifest_params": "settings.manifest",
        "moved": "report.shifted",
        "newest_images": "report.most_novel",
        "params": "settings.drift",
        "rehearsal": "drift.accuracy_calibration",
        "rehearsing": "drift.trials",
        "rounds": "service.monitor_service",
        "run_params": "settings.service",
        "runner": "service.monitor",
        "stretch": "drift.time_ranges",
    },
    {
        "Basis": "SummarySchema",
        "Rehearsal": "AccuracyCalibration",
        "Round": "Cycle",
        "Rounds": "MonitorService",
        "Stretch": "TimeRange",
        "Metric": "Whitening",
        "SPOILINGS": "PERTURBATIONS",
        "WatchParams": "ServeParams",
        "due_stretches": "due_time_ranges",
        "far_moved": "far_shifted",
        "judge_stretch": "judge_time_range",
        "lottery": "hash_priority",
        "moved_section": "shifted_section",
        "moves": "shifts",
        "newest_images_section": "most_novel_section",
        "rehearse": "calibrate_accuracy",
        "rehearsed": "calibrated_accuracy",
        "shared_luck": "reference_correlation",
        "skipped_stretches": "skipped_time_ranges",
        "spoiling": "perturbation",
        "spoilt": "perturbed",
        "summarise_stretch": "summarise_time_range",
        "usual_stretch": "seasonal_baseline",
        "remember": "k_of_n",
    },
)
