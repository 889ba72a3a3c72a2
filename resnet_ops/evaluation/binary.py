"""Measures of a decision between two sides, each with an interval that its simulation holds."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from resnet_ops.evaluation.intervals import score_interval, wilson
from resnet_ops.measurement import Measurement

__all__ = ["Counts", "average_precision", "measure_counts", "roc_auc"]

_EDGE = 1e-12
FEWEST = 5
"""Images in each cell of the table that an interval of a coefficient takes."""


@dataclass(frozen=True)
class Counts:
    """Images by truth and decision. `hits` and `misses` are positive, `alarms` (false ones) and `passes` are not."""

    hits: int
    misses: int
    alarms: int
    passes: int

    @classmethod
    def of(cls, positive: np.ndarray, decided: np.ndarray) -> "Counts":
        """positive, decided: (N,) bool, what is true and what was said."""
        pairs = [(positive & decided), (positive & ~decided), (~positive & decided), (~positive & ~decided)]
        return cls(*(int(each.sum()) for each in pairs))

    @property
    def n(self) -> int:
        return self.hits + self.misses + self.alarms + self.passes

    @property
    def positives(self) -> int:
        return self.hits + self.misses

    @property
    def negatives(self) -> int:
        return self.alarms + self.passes


def roc_auc(positive: np.ndarray, scores: np.ndarray, confidence: float) -> Measurement:
    """Area under the ROC curve, its interval by the score method of Newcombe 2006 (part 2, method 5).

    positive: (N,) bool, both sides present. scores: (N,) higher for positive. It holds near 1 too, where DeLong's
    variance is 0.
    """
    from scipy.optimize import brentq
    from sklearn.metrics import roc_auc_score

    value = float(roc_auc_score(positive, scores))
    first, second = int(positive.sum()), int((~positive).sum())
    z, half = _z(confidence), (first + second) / 2

    def distance(area: float) -> float:
        spread = area * (1 - area) * (1 + (half - 1) * ((1 - area) / (2 - area) + area / (1 + area)))
        return (value - area) ** 2 - z * z * spread / (first * second)

    inside = min(max(value, _EDGE), 1 - _EDGE)  # 0 and 1 themselves solve it where they are the value
    low = 0.0 if value == 0 else brentq(distance, 0.0, inside)
    high = 1.0 if value == 1 else brentq(distance, inside, 1.0)
    return _measured(value, len(positive), (low, high), f"Newcombe 2006 {confidence:g}")


def average_precision(positive: np.ndarray, scores: np.ndarray, confidence: float) -> Measurement:
    """Area under the precision-recall curve, its interval by the variance of Boyd, Eng and Page 2013, as Wilson inverts
    it.

    positive: (N,) bool, some true. scores: (N,) higher for positive. It is as uncertain as a share of the positives.
    """
    from sklearn.metrics import average_precision_score

    value = float(average_precision_score(positive, scores))
    n = int(positive.sum())
    return _measured(
        value, n, score_interval(value, n, confidence), f"wilson of the positives {confidence:g}"
    )


def measure_counts(
    counts: Counts, threshold: float, prevalence: float | None, confidence: float
) -> dict[str, Measurement]:
    """What a decision comes to; what rests on no image is left out.

    threshold: the score at which it was made, which weighs false alarms in the net benefit (Vickers and Elkin 2006).
    prevalence: share of positives where the model will work, for the predictive values; None: that of these images.
    """
    found: dict[str, Measurement] = {}
    sides = {
        "sensitivity": (counts.hits, counts.positives),
        "specificity": (counts.passes, counts.negatives),
    }
    if prevalence is None:
        sides["ppv"] = (counts.hits, counts.hits + counts.alarms)
        sides["npv"] = (counts.passes, counts.passes + counts.misses)
    for name, (right, n) in sides.items():
        if n:
            found[name] = _measured(right / n, n, wilson(right, n, confidence), f"wilson {confidence:g}")
    if not (counts.positives and counts.negatives):
        return found
    if prevalence is not None:
        found |= _predictive_values(counts, prevalence, confidence)
    found["balanced_accuracy"] = _balanced_accuracy(found["sensitivity"], found["specificity"], counts.n)
    found["kappa"] = _of_table(counts, _kappa, confidence)
    found["mcc"] = _of_table(counts, _mcc, confidence)
    if 0 < threshold < 1:
        found["net_benefit"] = _net_benefit(counts, threshold, confidence)
    return found


def _balanced_accuracy(sensitivity: Measurement, specificity: Measurement, n: int) -> Measurement:
    """The mean of two independent proportions, by their own intervals (MOVER; Newcombe 1998)."""
    sides = (sensitivity, specificity)
    value = sum(each.value for each in sides) / 2
    below = sum((each.value - (each.low or 0.0)) ** 2 for each in sides) ** 0.5 / 2
    above = sum(((1.0 if each.high is None else each.high) - each.value) ** 2 for each in sides) ** 0.5 / 2
    return _measured(value, n, (value - below, value + above), f"MOVER of {sensitivity.method}")


def _predictive_values(counts: Counts, prevalence: float, confidence: float) -> dict[str, Measurement]:
    """At a stated prevalence (Mercaldo, Lau and Zhou 2007), by the ratio of wrong to right on which each depends.

    The ratio of two independent proportions has its interval by theirs (MOVER-R; Donner and Zou 2012), so that no
    mistake is not taken for certainty.
    """
    odds, found = prevalence / (1 - prevalence), {}
    positive, negative = (counts.hits, counts.positives), (counts.passes, counts.negatives)
    missed, alarmed = (counts.misses, counts.positives), (counts.alarms, counts.negatives)
    for name, right, wrong, share in (("ppv", positive, alarmed, odds), ("npv", negative, missed, 1 / odds)):
        if not right[0] + wrong[0]:
            continue
        value = right[0] / right[1] * share / (right[0] / right[1] * share + wrong[0] / wrong[1])
        low, high = (1 / (1 + ratio / share) for ratio in reversed(_ratio_interval(wrong, right, confidence)))
        method = f"MOVER-R at prevalence {prevalence:g}, {confidence:g}"
        found[name] = _measured(value, counts.n, (low, high), method)
    return found


def _ratio_interval(above: tuple[int, int], below: tuple[int, int], confidence: float) -> tuple[float, float]:
    """Of one proportion over another, each (successes, n); the upper end may be infinite."""
    (p, q), (low_p, high_p), (low_q, high_q) = (
        (above[0] / above[1], below[0] / below[1]),
        wilson(*above, confidence),
        wilson(*below, confidence),
    )
    bottom_low, bottom_high = high_q * (2 * q - high_q), low_q * (2 * q - low_q)
    inner_low = (p * q) ** 2 - low_p * (2 * p - low_p) * bottom_low
    inner_high = (p * q) ** 2 - high_p * (2 * p - high_p) * bottom_high
    low = (p * q - max(inner_low, 0.0) ** 0.5) / bottom_low if bottom_low > 0 else 0.0
    high = (p * q + max(inner_high, 0.0) ** 0.5) / bottom_high if bottom_high > 0 else math.inf
    return max(low, 0.0), high


def _net_benefit(counts: Counts, threshold: float, confidence: float) -> Measurement:
    """True alarms less false ones by their weight, an image. One of each is added to estimate the spread."""
    weight = threshold / (1 - threshold)
    value = (counts.hits - weight * counts.alarms) / counts.n
    n = counts.n + 2
    mean = (counts.hits + 1 - weight * (counts.alarms + 1)) / n
    square = (counts.hits + 1 + weight**2 * (counts.alarms + 1)) / n
    half = _z(confidence) * ((square - mean**2) / n) ** 0.5
    return _measured(value, counts.n, (value - half, value + half), f"normal {confidence:g}")


def _of_table(counts: Counts, function: Callable[[np.ndarray], float], confidence: float) -> Measurement:
    """A coefficient within -1 and 1 of the four shares: the delta method on Fisher's z scale.

    Half an image is added to each cell for the interval (Haldane 1956). None where a cell has fewer than FEWEST: too
    few mistakes to say how many there would be.
    """
    cells = np.array([counts.hits, counts.misses, counts.alarms, counts.passes], dtype=float)
    value = function(cells / cells.sum())
    if cells.min() < FEWEST:
        return Measurement(value=value, n=counts.n)
    n = cells.sum() + 2
    shares = (cells + 0.5) / n
    slope = np.empty(4)
    for place in range(4):
        step = np.zeros(4)
        step[place] = 1e-6
        slope[place] = (function(shares + step) - function(shares - step)) / 2e-6
    smooth = function(shares)
    spread = float(shares @ slope**2 - (shares @ slope) ** 2) / n
    centre, half = np.arctanh(smooth), _z(confidence) * spread**0.5 / (1 - smooth**2)
    low, high = float(np.tanh(centre - half)), float(np.tanh(centre + half))
    return _measured(value, counts.n, (min(low, value), max(high, value)), f"delta method {confidence:g}")


def _kappa(shares: np.ndarray) -> float:
    """Cohen 1960. shares: (4,) hits, misses, false alarms, passes."""
    hits, misses, alarms, passes = shares
    total = shares.sum()
    by_chance = ((hits + misses) * (hits + alarms) + (alarms + passes) * (misses + passes)) / total**2
    agreed = (hits + passes) / total
    return float((agreed - by_chance) / (1 - by_chance)) if by_chance < 1 else 0.0


def _mcc(shares: np.ndarray) -> float:
    """Matthews 1975; 0 where one side is never said or never true."""
    hits, misses, alarms, passes = shares
    scale = (hits + misses) * (hits + alarms) * (alarms + passes) * (misses + passes)
    return float((hits * passes - misses * alarms) / scale**0.5) if scale > 0 else 0.0


def _measured(value: float, n: int, ends: tuple[float, float], method: str) -> Measurement:
    return Measurement(value=value, n=n, low=float(ends[0]), high=float(ends[1]), method=method)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
