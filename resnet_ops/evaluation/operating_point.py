"""Operating point: the score at which a classifier decides, chosen on validation by a stated aim, measured on test."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from resnet_ops.errors import ConfigError
from resnet_ops.evaluation.binary import Counts, average_precision, measure_counts, roc_auc
from resnet_ops.evaluation.curve_measures import measure_curves
from resnet_ops.evaluation.metrics import share_right
from resnet_ops.measurement import Measurement
from resnet_ops.params import Settings

__all__ = [
    "OperatingPoint",
    "OperatingPointParams",
    "check_positive",
    "choose_threshold",
    "curve",
    "measure_operating_point",
    "score",
]

POINTS = 200
"""Of the curves at most, evenly along them."""


@dataclass(frozen=True, kw_only=True)
class OperatingPointParams(Settings):
    """Under `evaluate.operating_point`: where a decision is made between some classes and all others."""

    positive: tuple[str, ...]
    """The classes that are looked for, such as defects; their probabilities are added up to the score."""
    aim: Literal["sensitivity", "specificity", "precision", "cost"]
    """What must be reached on the validation split; of the thresholds that do, the best otherwise is taken."""
    at_least: float
    """How high; for `cost`: how many false alarms a missed positive is worth, and the cheapest threshold is taken."""
    prevalence: float | None
    """Share of positives where the model will work, for the predictive values; null: that of the test split."""
    partial_auc: tuple[float, ...] = ()
    """False alarm rates up to which the area under the ROC curve is measured; nothing said: none."""
    precision_at_recall: tuple[float, ...] = ()
    """Recalls (sensitivities) at which the precision is measured, wherever the threshold lies; nothing said: none."""
    recall_at_precision: tuple[float, ...] = ()
    """Precisions at which the recall is measured; nothing said: none."""

    def __post_init__(self) -> None:
        if not self.positive or len(set(self.positive)) < len(self.positive):
            raise ValueError("positive must name at least one class, and each once")
        if self.aim == "cost":
            if not 0 < self.at_least < float("inf"):
                raise ValueError(f"at_least is {self.at_least}, but a cost must be above 0")
        elif not 0 < self.at_least <= 1:
            raise ValueError(f"at_least is {self.at_least}, but must be above 0 and at most 1")
        if self.prevalence is not None and not 1e-9 <= self.prevalence <= 1 - 1e-9:
            raise ValueError(
                f"prevalence is {self.prevalence}, but must be above 0 and below 1, by 1e-9 at least"
            )

        for name, levels in self.curve_levels.items():
            # equal names would be equal measures in the evidence
            if len({f"{level:g}" for level in levels}) < len(levels):
                raise ValueError(f"{name} names a level twice")
            if wrong := [level for level in levels if not 0 < level < 1]:
                raise ValueError(f"{name} is {wrong[0]}, but must be above 0 and below 1")

    @property
    def curve_levels(self) -> dict[str, tuple[float, ...]]:
        """At which levels each measure of `curve_measures` is taken."""
        return {
            "partial_auc": self.partial_auc,
            "precision_at_recall": self.precision_at_recall,
            "recall_at_precision": self.recall_at_precision,
        }

    @property
    def words(self) -> str:
        """The aim and the classes, for evidence and people."""
        return f"{self.aim_words}; positive: {', '.join(self.positive)}"

    @property
    def aim_words(self) -> str:
        """The aim alone."""
        aim = "least cost, a missed one worth" if self.aim == "cost" else f"{self.aim} at least"
        return f"chosen on validation: {aim} {self.at_least:.15g}"


@dataclass(frozen=True)
class OperatingPoint:
    """Where a version decides: an image is positive from this score on, the sum of its `positive` classes'
    probabilities.
    """

    positive: tuple[str, ...]
    threshold: float

    def scores(self, probabilities: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
        """(N,) in [0, 1], of (N, C) rows that sum to 1."""
        return _scores(probabilities, classes, self.positive)

    def called(self, probabilities: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
        """(N,) bool, which images are called positive; one without finite numbers is not."""
        return np.asarray(self.scores(probabilities, classes) >= self.threshold)

    def counted(self, classes: tuple[str, ...]) -> np.ndarray:
        """(C,) bool, which classes are positive."""
        return np.isin(classes, self.positive)


def check_positive(positive: tuple[str, ...], classes: tuple[str, ...]) -> None:
    """Raises ConfigError for a class that is none, or where no class is left on the other side."""
    key = "params.yaml: evaluate.operating_point.positive"
    if unknown := [name for name in positive if name not in classes]:
        raise ConfigError(f"{key} names {', '.join(unknown)}; classes are {', '.join(classes)}.")
    if len(positive) == len(classes):
        raise ConfigError(f"{key} names every class. Leave out what is not looked for.")


def score(
    probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], positive: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) bool which images are positive, and (N,) their scores in [0, 1].

    probabilities: (N, C) rows that sum to 1. labels: (N,) class indices. Raises ConfigError as `check_positive` does.
    """
    check_positive(positive, classes)
    places = [classes.index(name) for name in positive]
    return np.isin(labels, places), _scores(probabilities, classes, positive)


def _scores(probabilities: np.ndarray, classes: tuple[str, ...], positive: tuple[str, ...]) -> np.ndarray:
    """As models answer: beyond the digits of float32, a threshold would decide otherwise than it was measured."""
    places = [classes.index(name) for name in positive]
    answered = probabilities[:, places].astype(np.float32)
    return np.asarray(np.clip(answered.sum(axis=1, dtype=np.float64), 0, 1))


def choose_threshold(positive: np.ndarray, scores: np.ndarray, params: OperatingPointParams) -> float | None:
    """The score from which on an image is positive; None where no threshold reaches the aim, or a side is missing.

    positive: (N,) bool; scores: (N,). It lies midway between two scores of the split, so that a rounding turns nothing.
    """
    if not (positive.any() and (~positive).any()):
        return None
    order = np.argsort(-scores, kind="stable")
    ordered, truth = scores[order], positive[order]
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))  # of equal scores
    hits = np.append(0, np.cumsum(truth)[last])
    alarms = np.append(0, np.cumsum(~truth)[last])
    sensitivity, specificity = hits / hits[-1], 1 - alarms / alarms[-1]
    if params.aim == "cost":
        cost = params.at_least * (hits[-1] - hits) + alarms
        place = int(np.argmin(cost))
    else:
        called = np.maximum(hits + alarms, 1)
        reached = {"sensitivity": sensitivity, "specificity": specificity, "precision": hits / called}[
            params.aim
        ]
        enough = np.flatnonzero(reached >= params.at_least - 1e-12)
        if not len(enough):
            return None
        # the fewest alarms that catch enough, else the most caught that alarm seldom enough
        place = int(enough[0] if params.aim == "sensitivity" else enough[-1])
    above = float(ordered[last[place - 1]]) if place else float(np.nextafter(1, 2))
    below = float(ordered[last[place]]) if place < len(last) else 0.0
    between = (above + below) / 2
    return between if between > below or place == len(last) else above


def measure_operating_point(
    validation: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    params: OperatingPointParams,
    confidence: float,
    seed: int,
    groups: np.ndarray | None = None,
    threshold: float | None = None,
) -> dict[str, Measurement]:
    """What two splits, each as `score` gives it, come to: `test.roc_auc`, `operating.threshold` and what holds there.

    groups: (N,) which group each test image is of; then sensitivity, specificity and `curve_measures` have intervals
    that know it, and the others have none. threshold: one that was chosen before, which stays. Nothing where a side has
    no image; no `operating.` where no threshold reaches the aim on validation.
    """
    positive, scores = test
    found: dict[str, Measurement] = {}
    curves: dict[str, Measurement] = {}
    if positive.any() and (~positive).any():
        curves = measure_curves(positive, scores, params.curve_levels, confidence, seed, groups)
        found["test.roc_auc"] = roc_auc(positive, scores, confidence)
        found["test.average_precision"] = average_precision(positive, scores, confidence)
    if threshold is None:
        threshold = choose_threshold(*validation, params)
    if threshold is None:
        return curves | (found if groups is None else {name: each.bare() for name, each in found.items()})
    chosen = Measurement(value=threshold, n=len(validation[0]), method=params.words, unit="probability")
    at = measure_counts(Counts.of(positive, scores >= threshold), threshold, params.prevalence, confidence)
    if groups is not None:
        found, at = ({name: each.bare() for name, each in some.items()} for some in (found, at))
        for name, side, wanted in (("sensitivity", positive, True), ("specificity", ~positive, False)):
            if side.any():
                at[name] = share_right((scores >= threshold)[side] == wanted, confidence, groups[side])
    return {
        **found,
        **curves,
        "operating.threshold": chosen,
        **{f"operating.{name}": each for name, each in at.items()},
    }


def curve(test: tuple[np.ndarray, np.ndarray], threshold: float | None) -> dict[str, Any]:
    """The ROC and precision-recall curve, and the counts at the threshold, for a file."""
    positive, scores = test
    thresholds = np.unique(scores)
    if len(thresholds) > POINTS:
        thresholds = thresholds[np.linspace(0, len(thresholds) - 1, POINTS).round().astype(int)]
    rows = [{"threshold": float(each), **asdict(Counts.of(positive, scores >= each))} for each in thresholds]
    at = None if threshold is None else asdict(Counts.of(positive, scores >= threshold))
    return {"threshold": threshold, "counts": at, "curve": rows}
