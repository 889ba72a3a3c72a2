"""Measures of the ROC and precision-recall curves at stated levels; the bootstrap draws images or whole groups."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from resnet_ops.evaluation.intervals import BLOCK, effective_groups, score_interval
from resnet_ops.evaluation.metrics import FEWEST_GROUPS
from resnet_ops.measurement import Measurement

__all__ = ["measure_curves", "partial_auc", "precision_at_recall", "recall_at_precision"]

DRAWS = 1000
FEWEST = 10
"""Positives that are found, and negatives in the part of the ROC curve that is looked at, which an interval takes."""
_ALMOST = 1e-12


@dataclass(frozen=True)
class _Ranked:
    """N images by their scores, the highest first."""

    positive: np.ndarray
    """(N,) bool."""
    unit: np.ndarray
    """(N,) which image or group each belongs to, 0 to units - 1."""
    weight: np.ndarray
    """(N,) how many images each stands for."""
    last: np.ndarray
    """(L,) places of the last image of each different score."""

    @classmethod
    def of(cls, positive: np.ndarray, scores: np.ndarray, unit: np.ndarray, weight: np.ndarray) -> "_Ranked":
        order = np.argsort(-scores, kind="stable")
        last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        return cls(positive[order], unit[order], weight[order], last)

    def counts(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(D, L) hits and false alarms at each score; times: (D, units) how often each unit was drawn."""
        drawn = times[:, self.unit] * self.weight
        hits = np.cumsum(drawn * self.positive, axis=1)[:, self.last]
        return hits, np.cumsum(drawn, axis=1)[:, self.last] - hits


def partial_auc(hits: np.ndarray, alarms: np.ndarray, max_fpr: float) -> np.ndarray:
    """(D,) areas under D ROC curves up to a false alarm rate, standardised: 0.5 for chance, 1 at best (McClish 1989).

    hits, alarms: (D, L) at each score from the highest on; the last column holds all positives, and all negatives.
    """
    start = np.zeros((len(hits), 1))
    found = np.hstack([start, hits / hits[:, -1:]])
    rate = np.hstack([start, alarms / alarms[:, -1:]])
    steps, inside = np.diff(rate, axis=1), np.diff(np.minimum(rate, max_fpr), axis=1)
    slope = np.divide(np.diff(found, axis=1), steps, out=np.zeros_like(steps), where=steps > 0)
    area = (inside * (found[:, :-1] + slope * inside / 2)).sum(axis=1)
    chance = max_fpr**2 / 2
    return np.asarray((1 + (area - chance) / (max_fpr - chance)) / 2)


def precision_at_recall(hits: np.ndarray, alarms: np.ndarray, recall: float) -> np.ndarray:
    """(D,) highest precision of the scores that find so many of the positives. Arguments as in `partial_auc`."""
    precision = hits / np.maximum(hits + alarms, _ALMOST)
    return np.asarray(np.where(hits / hits[:, -1:] >= recall - _ALMOST, precision, 0).max(axis=1))


def recall_at_precision(hits: np.ndarray, alarms: np.ndarray, precision: float) -> np.ndarray:
    """(D,) highest recall of the scores with such a precision, 0 where none has. Arguments as in `partial_auc`."""
    reached = hits / np.maximum(hits + alarms, _ALMOST) >= precision - _ALMOST
    return np.asarray(np.where(reached, hits / hits[:, -1:], 0).max(axis=1))


_MEASURES: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "partial_auc": partial_auc,
    "precision_at_recall": precision_at_recall,
    "recall_at_precision": recall_at_precision,
}


def measure_curves(
    positive: np.ndarray,
    scores: np.ndarray,
    levels: Mapping[str, tuple[float, ...]],
    confidence: float,
    seed: int,
    groups: np.ndarray | None = None,
) -> dict[str, Measurement]:
    """`test.<measure>.<level>` at each level of `partial_auc`, `precision_at_recall` and `recall_at_precision`.

    positive: (N,) bool, both sides present. scores: (N,) higher for positive. groups: (N,) which group each image is
    of; the bootstrap draws whole groups then. The interval is Wilson's for as many images as would be as uncertain as
    its draws are; there is none where too few images, or groups, stand behind it to hold.
    """
    chosen = [(name, level) for name, some in levels.items() for level in some]
    if not chosen:
        return {}
    units = np.unique(np.arange(len(positive)) if groups is None else groups, return_inverse=True)[1]
    many = int(units.max()) + 1
    ranked = _Ranked.of(positive, scores, units, np.ones(len(positive)))
    counts = ranked.counts(np.ones((1, many)))
    drawn = _draw(_with_mistakes(positive, scores, units), chosen, seed)
    effective = min(effective_groups(units[side]) for side in (positive, ~positive))
    of = "" if groups is None else f", {many} groups"
    found = {}
    for (name, level), draws in zip(chosen, drawn, strict=True):
        value = float(_MEASURES[name](*counts, level)[0])
        measured = Measurement(value=value, n=len(positive), unit="fraction")
        if effective >= FEWEST_GROUPS and _images_behind(value, name, level, positive) >= FEWEST:
            low, high = _interval(value, draws, name, level, effective, confidence)
            measured = replace(measured, low=low, high=high, method=f"wilson by bootstrap {confidence:g}{of}")
        found[f"test.{name}.{level:g}"] = measured
    return found


def _images_behind(value: float, name: str, level: float, positive: np.ndarray) -> float:
    """On how many images a measure rests: those found, or the fewer of both sides that the part of a curve has."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if name == "partial_auc":
        return min(positives, negatives * level)
    return min(positives * (value if name == "recall_at_precision" else level), negatives)


def _with_mistakes(positive: np.ndarray, scores: np.ndarray, units: np.ndarray) -> _Ranked:
    """With a positive that scores lowest and a negative that scores highest, each as large as a usual group's share.

    A curve without a mistake would otherwise be drawn without one each time, and be taken for certain.
    """
    usual = [side.sum() / effective_groups(units[side]) for side in (positive, ~positive)]
    return _Ranked.of(
        np.append(positive, [True, False]),
        np.append(scores, [scores.min(), scores.max()]),
        np.append(units, units.max() + np.array([1, 2])),
        np.append(np.ones(len(positive)), usual),
    )


def _draw(ranked: _Ranked, chosen: list[tuple[str, float]], seed: int) -> list[np.ndarray]:
    """(D,) replicates of each measure, D at most DRAWS: what has lost a whole side is left out."""
    many, rng = int(ranked.unit.max()) + 1, np.random.default_rng(seed)
    shares = np.full(many, 1 / many)

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        per_block = max(1, BLOCK // len(ranked.unit))
        for start in range(0, DRAWS, per_block):
            hits, alarms = ranked.counts(rng.multinomial(many, shares, min(per_block, DRAWS - start)))
            both = (hits[:, -1] > 0) & (alarms[:, -1] > 0)
            yield hits[both], alarms[both]

    drawn = [[_MEASURES[name](*counts, level) for name, level in chosen] for counts in blocks()]
    return [np.concatenate(each) for each in zip(*drawn, strict=True)]


def _interval(
    value: float, draws: np.ndarray, name: str, level: float, effective: float, confidence: float
) -> tuple[float, float]:
    """Wilson's, of a measure that lies between its worst and 1, by Student's quantile for the effective groups.

    The recall at a precision is that of the luckiest threshold, and jumps; what the draws of it show counts where that
    reaches lower.
    """
    from scipy.stats import t

    worst = (1 - level / (2 - level)) / 2 if name == "partial_auc" else 0.0
    share, drawn = (value - worst) / (1 - worst), (draws - worst) / (1 - worst)
    middle = float(np.clip(drawn.mean(), 1e-9, 1 - 1e-9))
    tail = (1 + confidence) / 2
    shorter = NormalDist().inv_cdf(tail) / float(t.ppf(tail, effective - 1))
    images = middle * (1 - middle) / max(float(drawn.var()), _ALMOST)
    low, high = score_interval(min(max(share, 0.0), 1.0), images * shorter**2, confidence)
    if name == "recall_at_precision":
        low = min(low, float(np.quantile(draws, 1 - tail)))
    return worst + low * (1 - worst), worst + high * (1 - worst)
