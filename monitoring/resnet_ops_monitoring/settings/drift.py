"""Settings of the detector and of references, as they stand in params.yaml."""

import math
from dataclasses import dataclass
from pathlib import Path

from resnet_ops.params import Settings, parse_params

__all__ = ["ALARM_SHARES", "DriftParams", "ReferenceParams", "read_drift_params", "read_reference_params"]

ALARM_SHARES = {"softmax": 0.4, "classes": 0.45, "embeddings": 0.1, "copies": 0.05}
"""Of alpha. Least for the embeddings: what hurts shifts them far, and they alarm only where the estimate fell. What the
guard leaves of softmax is the classes' (`drift.unspent`)."""


@dataclass(frozen=True, kw_only=True)
class DriftParams(Settings):
    """How windows are judged. Every field raises ValueError with its name when it makes no sense."""

    alpha: float
    """Share of windows without drift that may raise an alarm, shared out by ALARM_SHARES."""
    min_rows: int
    """Fewer usable rows than this are not judged: insufficient data."""
    max_unusable: float
    """Share of rows with values that are not finite above which the window alarms."""
    max_lost: float
    """Share of a window's rows, in [0, 1], that writers may have lost: above it the rest need not stand for the window,
    and it is not judged: insufficient data."""
    permutations: int
    """Random relabellings behind each p value of the softmax and class tests."""
    test_rows: int
    """Rows of a window that are tested, drawn from it: they, and not the traffic, say how small a shift alarms."""
    softmax_effect: float
    """Least total variation distance of the mean softmax rows, in [0, 1], that may alarm."""
    classes_effect: float
    """Least share of predictions that changed class (total variation), in [0, 1], that may alarm."""
    embeddings_effect: float
    """Least effect of `two_sample.centre_shift`, in [0, 1], that may alarm: 1 when all are told from those before."""
    embeddings_loss: float
    """Least estimated loss of accuracy, in [0, 1], at which images that look different alarm, where the reference's
    rehearsal is of before it set one of its own (`calibration`)."""
    image_effect: float
    """Least Kolmogorov-Smirnov distance of an image statistic, in [0, 1], that is reported."""
    confidence: float
    """Confidence level of the intervals around accuracies."""
    season_weeks: int
    """Earlier weeks whose same hours a time range of the log is compared with; 0: always with the reference."""
    season_least: int
    """Fewer such weeks than this, and the time range is compared with the reference."""
    max_sources: int
    """A window of 2 to so many sources (cameras, lines) is also judged source by source; 0 for never."""
    seed: int
    """Seed of the permutations and of the drawn rows."""

    def __post_init__(self) -> None:
        for name in ("alpha", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must lie between 0 and 1, both excluded; it is {getattr(self, name)}"
                )
        effects = ("softmax_effect", "classes_effect", "embeddings_effect", "embeddings_loss", "image_effect")
        for name in ("max_unusable", "max_lost", *effects):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1; it is {getattr(self, name)}")
        for name, least in (
            ("min_rows", 10),
            ("permutations", 99),
            ("test_rows", 50),
            ("season_weeks", 0),
            ("season_least", 1),
            ("max_sources", 0),
            ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; it is {getattr(self, name)}")
        least = math.ceil(2 / (self.alpha * min(ALARM_SHARES["softmax"], ALARM_SHARES["classes"])))
        if self.permutations + 1 < least:
            raise ValueError(
                f"permutations must be at least {least} for alpha {self.alpha}, or the smallest p value could not "
                f"alarm; it is {self.permutations}"
            )


@dataclass(frozen=True, kw_only=True)
class ReferenceParams:
    """How references are made. Every field raises ValueError with its name when it makes no sense."""

    reference_rows: int
    """Rows that a reference keeps at most."""
    perturbed_images: int
    """Held-out images that each perturbation is tried on, at most."""

    def __post_init__(self) -> None:
        for name, least in (("reference_rows", 50), ("perturbed_images", 20)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least {least}")


@dataclass(frozen=True)
class _Monitor:
    drift: DriftParams


@dataclass(frozen=True)
class _Drift:
    monitor: _Monitor


@dataclass(frozen=True)
class _Grouping:
    group: str | None


@dataclass(frozen=True)
class _References:
    seed: int
    data: _Grouping
    monitor: ReferenceParams


def read_drift_params(path: Path) -> DriftParams:
    """`monitor.drift` of a params.yaml. Raises ConfigError that names every wrong key."""
    return parse_params(path, _Drift).monitor.drift


def read_reference_params(path: Path) -> tuple[ReferenceParams, int, str | None]:
    """What a params.yaml says under `monitor`, its seed and `data.group`. Raises ConfigError that names every wrong
    key.
    """
    found = parse_params(path, _References)
    return found.monitor, found.seed, found.data.group
