"""How a model is evaluated."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from resnet_ops.evaluation.operating_point import OperatingPointParams
from resnet_ops.evaluation.reject import RejectParams
from resnet_ops.evaluation.retrieval import RetrievalParams
from resnet_ops.params import Settings, parse_params

__all__ = [
    "CrossValidationParams",
    "EvaluateParams",
    "RobustnessParams",
    "ScoreThresholdParams",
    "SliceParams",
    "read_evaluate_params",
    "together",
]


def together(columns: str | tuple[str, ...]) -> tuple[str, ...]:
    """One column, or several that are taken together."""
    return (columns,) if isinstance(columns, str) else columns


@dataclass(frozen=True, kw_only=True)
class SliceParams(Settings):
    """Under `evaluate.slices`: the parts of the test split that are looked at on their own."""

    columns: tuple[str | tuple[str, ...], ...]
    """Columns of data/prepared/manifest.csv; each of their values is a slice. Several together, such as [site,
    scanner]: so is each of their combinations."""
    statistics: tuple[str, ...]
    """Statistics of the images, such as brightness, that are cut at their quantiles."""
    quantiles: int
    """Slices that a statistic is cut into."""
    min_images: int
    """A smaller slice is not measured on its own; how many images that concerns is."""

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that is named, alone or with others, once."""
        return tuple(dict.fromkeys(name for each in self.columns for name in together(each)))

    def __post_init__(self) -> None:
        if any(not isinstance(each, str) and len(set(each)) < 2 for each in self.columns):
            raise ValueError("columns that are taken together must be two different ones at least")
        taken = [tuple(sorted(together(each))) for each in self.columns]
        if twice := next((each for each in taken if taken.count(each) > 1), None):
            raise ValueError(f"columns names {' and '.join(twice)} twice")
        if not 2 <= self.quantiles <= 100:
            raise ValueError(f"quantiles is {self.quantiles}, but must be within 2 and 100")
        if self.min_images < 1:
            raise ValueError(f"min_images is {self.min_images}, but must be at least 1")


@dataclass(frozen=True, kw_only=True)
class RobustnessParams(Settings):
    """Under `evaluate.robustness`."""

    images: int
    """Test images that are corrupted at most, drawn by the seed; 0 for no such measurement."""

    def __post_init__(self) -> None:
        if self.images < 0:
            raise ValueError(f"images is {self.images}, but must not be negative")


@dataclass(frozen=True, kw_only=True)
class CrossValidationParams(Settings):
    """Under `evaluate.cross_validation`: each member is also trained once for each fold, without it."""

    folds: int
    """Into how many parts all prepared images are dealt; groups stay whole."""

    def __post_init__(self) -> None:
        if not 3 <= self.folds <= 20:
            raise ValueError(f"folds is {self.folds}, but must be within 3 and 20")


@dataclass(frozen=True, kw_only=True)
class ScoreThresholdParams(Settings):
    """Under `evaluate.score_threshold`: for what the score is chosen from which boxes count, on validation."""

    aim: Literal["f1", "recall", "precision"]
    """`f1`: the highest F1 over all boxes. `recall`: the highest score that finds a share `at_least` of the objects.
    `precision`: the lowest from which a share `at_least` of the boxes is right."""
    at_least: float | None
    """How much recall or precision must be reached; null for f1."""

    def __post_init__(self) -> None:
        if (self.aim == "f1") != (self.at_least is None):
            raise ValueError(
                f"at_least is {self.at_least}, but must be null where aim is f1, and a share where it is not"
            )
        if self.at_least is not None and not 0 < self.at_least <= 1:
            raise ValueError(f"at_least is {self.at_least}, but must be above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class EvaluateParams(Settings):
    """Under `evaluate`."""

    confidence: float
    """Level of the intervals, a fraction."""
    calibration_bins: int
    """Bins of the calibration error and of the reliability diagram."""
    slices: SliceParams
    """Parts of the test split that are looked at on their own."""
    robustness: RobustnessParams
    """How the model is tried on corrupted images."""
    gallery: int
    """Images in the gallery of the worst mistakes."""
    operating_point: OperatingPointParams | None
    """Where a decision is made between some classes and all others; null for none."""
    reject: RejectParams | None = None
    """When the model abstains; null, or nothing said, where it always answers."""
    retrieval: RetrievalParams | None = None
    """How embeddings find images of the same class; null, or nothing said, where they are not tried."""
    cross_validation: CrossValidationParams | None = None
    """For small sets; null, or nothing said, where members are measured on their test split alone."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where trained models predict; exports do on the CPU."""
    score_threshold: ScoreThresholdParams | None = None
    """Of objects in boxes, from which score on they count; null, or nothing said, for the highest F1."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}, but must be at least 0.5 and below 1")
        if not 2 <= self.calibration_bins <= 100:
            raise ValueError(f"calibration_bins is {self.calibration_bins}, but must be within 2 and 100")
        if self.gallery < 0:
            raise ValueError(f"gallery is {self.gallery}, but must not be negative")


@dataclass(frozen=True)
class _Grouping:
    group: str | None


@dataclass(frozen=True)
class _Evaluations:
    seed: int
    data: _Grouping
    evaluate: EvaluateParams


def read_evaluate_params(path: Path) -> tuple[EvaluateParams, int, str | None]:
    """What a params.yaml says under `evaluate`, its seed and `data.group`. Raises ConfigError that names every wrong
    key.
    """
    found = parse_params(path, _Evaluations)
    return found.evaluate, found.seed, found.data.group
