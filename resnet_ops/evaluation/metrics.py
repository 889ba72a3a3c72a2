"""Classification metrics with their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from resnet_ops.evaluation.intervals import (
    clustered,
    effective_groups,
    lowest_interval,
    mean_interval,
    wilson,
)
from resnet_ops.measurement import Measurement

__all__ = [
    "confusion_matrix",
    "lowest",
    "lowest_of",
    "macro_f1",
    "mean_of",
    "measure_answers",
    "measure_predictions",
    "measure_top5",
    "proportion",
    "share_right",
    "top_k_hits",
]

TOP_K = 5
FEWEST_GROUPS = 8
"""Effective number of groups that an interval takes; a single image is a group."""
FEWEST_CLASS_IMAGES = 5
"""Below so many images of a class the interval of macro F1 is too short, and none is given."""


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) counts; rows are the true class, columns the predicted one."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def top_k_hits(probabilities: np.ndarray, labels: np.ndarray, k: int) -> int:
    """Images whose class is among the k most probable; of equal ones the first classes count."""
    of_label = np.take_along_axis(probabilities, labels[:, None], axis=1)
    earlier = np.arange(probabilities.shape[1])[None, :] < labels[:, None]
    above = (probabilities > of_label) | ((probabilities == of_label) & earlier)
    return int((above.sum(axis=1) < k).sum())


def macro_f1(confusion: np.ndarray) -> float:
    """The mean over the classes of F1, a fraction; a class neither present nor predicted counts as 0."""
    return float(_class_f1(confusion).mean())


def _class_f1(confusion: np.ndarray) -> np.ndarray:
    hits = np.diag(confusion)
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    return np.asarray(np.divide(2 * hits, total, out=np.zeros(len(hits)), where=total > 0))


def share_right(right: np.ndarray, confidence: float, groups: np.ndarray | None = None) -> Measurement:
    """A share of images, (n,) bool. groups: (n,) which group each is of, where they come in groups.

    Without an interval where they are worth fewer than FEWEST_GROUPS: so few tell hardly anything of others.
    """
    found = proportion(int(right.sum()), len(right), confidence)
    if groups is None:
        return found
    many = len(np.unique(groups))
    if effective_groups(groups) < FEWEST_GROUPS:
        return found.bare()
    if many == len(right):
        return found
    low, high = clustered(right, groups, confidence)
    return replace(found, low=low, high=high, method=f"wilson {confidence:g}, {many} groups")


def proportion(successes: int, n: int, confidence: float) -> Measurement:
    """successes of n images, n above 0, with Wilson's interval."""
    low, high = wilson(successes, n, confidence)
    method = f"wilson {confidence:g}"
    return Measurement(value=successes / n, n=n, low=low, high=high, method=method, unit="fraction")


def lowest(counts: Mapping[str, tuple[int, int]], confidence: float) -> Measurement:
    """The lowest of several proportions with the n of that one; counts: (successes, n) by name, n above 0."""
    low, high = lowest_interval(list(counts.values()), confidence)
    successes, n = min(counts.values(), key=lambda count: count[0] / count[1])
    method = f"simultaneous wilson {confidence:g}, lowest of {len(counts)}"
    return Measurement(value=successes / n, n=n, low=low, high=high, method=method, unit="fraction")


def lowest_of(
    parts: Sequence[np.ndarray], right: np.ndarray, groups: np.ndarray | None, confidence: float
) -> Measurement:
    """The lowest share right among several parts of N images, which may overlap, with the n of that one.

    parts: (n,) places of each part's images. right: (N,) bool. groups: (N,) which group each image is of; without an
    interval then where a part is worth fewer than FEWEST_GROUPS.
    """
    each = 1 - (1 - confidence) / len(parts)  # holds for all at once (Bonferroni), as in `lowest_interval`
    shares = [share_right(right[rows], each, None if groups is None else groups[rows]) for rows in parts]
    worst = min(shares, key=lambda share: share.value)
    lows, highs = (
        [end for end in ends if end is not None]
        for ends in zip(*((s.low, s.high) for s in shares), strict=True)
    )
    if len(lows) < len(parts):
        return worst.bare()
    counted = "" if groups is None else ", by groups"
    method = f"simultaneous wilson {confidence:g}, lowest of {len(parts)}{counted}"
    return replace(worst, low=min(lows), high=min(highs), method=method)


def measure_predictions(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    split: str,
    confidence: float,
    groups: np.ndarray | None = None,
) -> dict[str, Measurement]:
    """Accuracy of one split in all and by class, where the most probable class is the answer, and top-5.

    probabilities: (N, C) rows that sum to 1. All else as in `measure_answers`.
    """
    answers = measure_answers(probabilities.argmax(axis=1), labels, classes, split, confidence, groups)
    return answers | measure_top5(probabilities, labels, split, confidence, groups)


def measure_answers(
    predicted: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    split: str,
    confidence: float,
    groups: np.ndarray | None = None,
) -> dict[str, Measurement]:
    """Accuracy of one split in all and by class, named `<split>.<metric>`.

    predicted, labels: (N,) class indices. confidence: level of the intervals. groups: (N,) which group each image is
    of, which widens the intervals of top-1, recall and precision; macro F1 has none then. What rests on no image, such
    as the recall of a class without images, is left out: nothing is known about it.
    """
    confusion = confusion_matrix(labels, predicted, len(classes))
    present, claimed = confusion.sum(axis=1), confusion.sum(axis=0)
    measured = {"top1": share_right(predicted == labels, confidence, groups)}
    mean_f1 = _measure_macro_f1(confusion, labels, predicted, confidence)
    measured["macro_f1"] = mean_f1 if groups is None else mean_f1.bare()
    if present.all():
        of_class = [np.flatnonzero(labels == place) for place in range(len(classes))]
        measured["worst_class_recall"] = lowest_of(of_class, predicted == labels, groups, confidence)
    for kind, of, counted in (("recall", labels, present), ("precision", predicted, claimed)):
        for place in np.flatnonzero(counted):
            chosen = of == place
            some = None if groups is None else groups[chosen]
            right = (predicted == labels)[chosen]
            measured[f"{kind}.{classes[place]}"] = share_right(right, confidence, some)
    return {f"{split}.{name}": measurement for name, measurement in measured.items()}


def mean_of(
    values: np.ndarray, confidence: float, bounds: tuple[float, float] = (0, 1), unit: str = "fraction"
) -> Measurement:
    """The mean of one number an image, (N,) within the bounds: images are what was drawn, so n is theirs."""
    least, width = bounds[0], bounds[1] - bounds[0]
    low, high = (least + width * end for end in mean_interval((values - least) / width, confidence))
    method = f"wilson at the effective n {confidence:g}"
    return Measurement(
        value=float(values.mean()), n=len(values), low=low, high=high, method=method, unit=unit
    )


def measure_top5(
    probabilities: np.ndarray,
    labels: np.ndarray,
    split: str,
    confidence: float,
    groups: np.ndarray | None = None,
) -> dict[str, Measurement]:
    """`<split>.top5`, without an interval where images come in groups; nothing of five classes or fewer.

    Arguments as in `measure_predictions`.
    """
    n, classes = probabilities.shape
    if classes <= TOP_K:
        return {}
    found = proportion(top_k_hits(probabilities, labels, TOP_K), n, confidence)
    return {f"{split}.top5": found if groups is None else found.bare()}


def _measure_macro_f1(
    confusion: np.ndarray, labels: np.ndarray, predicted: np.ndarray, confidence: float
) -> Measurement:
    """Macro F1, its interval from the share that each image has in it (the delta method; Takahashi et al. 2022)."""
    n, f1 = len(labels), _class_f1(confusion)
    value = float(f1.mean())
    if confusion.sum(axis=1).min() < FEWEST_CLASS_IMAGES:
        return Measurement(value=value, n=n, unit="fraction")
    weight = n / (confusion.sum(axis=0) + confusion.sum(axis=1)) / len(f1)
    gained = 2 * (labels == predicted) * weight[labels]
    values = value + gained - f1[labels] * weight[labels] - f1[predicted] * weight[predicted]
    mistake = value - np.sort(f1 * weight)[-2:].sum()  # the costliest: two rare classes taken for each other
    low, high = mean_interval(values, confidence, min(mistake, 0.0))
    method = f"wilson at the effective n {confidence:g}"
    return Measurement(value=value, n=n, low=low, high=high, method=method, unit="fraction")
