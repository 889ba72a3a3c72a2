"""Measures of overlap from confusion matrices of images, with intervals over images."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from resnet_ops.measurement import Measurement
from resnet_ops.tasks.task import IGNORED

__all__ = [
    "FEWEST_IMAGES",
    "MEASURES",
    "confusions",
    "image_scores",
    "mean_of_ratios",
    "measure",
    "measure_overlap",
]

FEWEST_IMAGES = 8
"""Images with a class, below which its measures have no interval: so few tell hardly anything of others."""
DRAWS = 2000
BLOCK = 1 << 24
"""Numbers that a block of draws may hold."""


def confusions(predicted: np.ndarray, masks: np.ndarray, classes: int) -> np.ndarray:
    """(N, K, K) counts of pixels for (N, H, W) answers and masks; rows are the true class, IGNORED do not count."""
    found = np.empty((len(masks), classes, classes), np.int64)
    for place, (answer, mask) in enumerate(zip(predicted, masks, strict=True)):
        counted = mask != IGNORED
        cells = mask[counted].astype(np.int64) * classes + answer[counted]
        found[place] = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    return found


def image_scores(confusion: np.ndarray) -> np.ndarray:
    """(N,) fractions: of each image its IoU, averaged over the classes that are in its mask or in the answer.

    An image of which nothing is asked has 1.
    """
    both, either = _both(confusion), _either(confusion)
    there = either > 0
    shares = np.divide(both, either, out=np.zeros(both.shape), where=there)
    return np.where(there.any(axis=1), shares.sum(axis=1) / np.maximum(there.sum(axis=1), 1), 1.0)


def _both(confusion: np.ndarray) -> np.ndarray:
    return np.asarray(np.diagonal(confusion, axis1=-2, axis2=-1))


def _either(confusion: np.ndarray) -> np.ndarray:
    return np.asarray(confusion.sum(axis=-1) + confusion.sum(axis=-2) - _both(confusion))


def _iou(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _both(confusion), _either(confusion)


def _dice(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 2 * _both(confusion), np.asarray(confusion.sum(axis=-1) + confusion.sum(axis=-2))


def _right(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _both(confusion).sum(axis=-1)[..., None], confusion.sum(axis=(-2, -1))[..., None]


Counts = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(..., K, K) -> numerators and denominators, (..., K) or (..., 1), whose ratios are averaged."""

MEASURES: dict[str, Counts] = {"iou": _iou, "dice": _dice, "pixel_accuracy": _right}
"""Intersection over union (Jaccard 1901), 2 TP / (2 TP + FP + FN) (Dice 1945), and the share of right pixels."""


def measure(
    confusion: np.ndarray, counts: Counts, confidence: float, seed: int, place: int | None = None
) -> Measurement:
    """A mean over classes of ratios of sums over images, such as mIoU, with the interval of `mean_of_ratios`.

    confusion: (N, K, K). place: of the one class that is measured.
    """
    above, below = (each.astype(float) for each in counts(confusion))
    return mean_of_ratios(above, below, (confusion.sum(axis=2) > 0).sum(axis=0), confidence, seed, place)


def mean_of_ratios(
    above: np.ndarray,
    below: np.ndarray,
    seen: np.ndarray,
    confidence: float,
    seed: int,
    place: int | None = None,
) -> Measurement:
    """The mean over classes of sum(above) / sum(below), with a bootstrap-t interval over the images.

    above, below: (N, K) floats, or (N, 1). seen: (K,) images in whose masks each class is. place: of the one class that
    is measured. A class of which nothing is below, as one that is in no mask and no answer, is left out of the mean.
    Bootstrap-t (Efron 1982; Hall 1988) of the logit, with the linearised deviation of a ratio. Where every image is
    flawless, or none has anything right, the exact end (Clopper & Pearson 1934) for images that count as right or wrong
    as a whole, of those with the rarest class. No interval where a class is in fewer than FEWEST_IMAGES masks, or where
    all images are alike otherwise.
    """
    there = below.sum(axis=0) > 0
    if place is not None:
        there, seen = np.arange(len(there)) == place, seen[place : place + 1]
    above, below = above[:, there], below[:, there]
    value = float((above.sum(axis=0) / below.sum(axis=0)).mean())
    found = Measurement(value=value, n=len(above), unit="fraction")
    fewest = int(seen[seen > 0].min(initial=len(above)))
    if fewest < FEWEST_IMAGES:
        return found
    error = float(_deviation(above, below, np.ones((1, len(above))))[0])
    if error == 0 and 0 < value < 1:
        return found
    if not 0 < value < 1:
        end = ((1 - confidence) / 2) ** (1 / fewest)
        low, high = (end, 1.0) if value == 1 else (0.0, 1 - end)
        return replace(found, low=low, high=high, method=f"Clopper-Pearson {confidence:g} of whole images")
    low, high = _interval(above, below, value, error, confidence, seed)
    method = f"bootstrap-t {confidence:g}, {DRAWS} draws of images"
    return replace(found, low=low, high=high, method=method)


def _interval(
    above: np.ndarray, below: np.ndarray, value: float, error: float, confidence: float, seed: int
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    n = len(above)
    distances: list[np.ndarray] = []
    per_block = max(1, BLOCK // (n + above.shape[1] ** 2))
    for start in range(0, DRAWS, per_block):
        weights = rng.multinomial(n, np.full(n, 1 / n), size=min(per_block, DRAWS - start)).astype(float)
        drawn, spread = _means(above, below, weights), _deviation(above, below, weights)
        usable = (spread > 0) & (drawn > 0) & (drawn < 1)
        drawn, spread = drawn[usable], spread[usable]
        distances.append((_logit(drawn) - _logit(value)) * drawn * (1 - drawn) / spread)
    tail = (1 - confidence) / 2
    smallest, largest = np.quantile(np.concatenate(distances), [tail, 1 - tail])
    step = error / (value * (1 - value))
    low, high = (1 / (1 + np.exp(-(_logit(value) - end * step))) for end in (largest, smallest))
    return float(low), float(high)


def _logit(share: np.ndarray | float) -> np.ndarray:
    return np.asarray(np.log(share) - np.log1p(-np.asarray(share)))


def _means(above: np.ndarray, below: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,) the mean of ratios for each row of (B, N) weights of images."""
    sums = weights @ below
    ratios = np.divide(weights @ above, sums, out=np.zeros_like(sums), where=sums > 0)
    return np.asarray(ratios.sum(axis=1) / np.maximum((sums > 0).sum(axis=1), 1))


def _deviation(above: np.ndarray, below: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,) the standard deviation of `_means`, linearised: an image adds (above - ratio * below) / sum of below."""
    n, sums = len(above), weights @ below
    safe = np.where(sums > 0, sums, np.inf)
    ratios, classes = (weights @ above) / safe, np.maximum((sums > 0).sum(axis=1), 1)
    added = sum(
        (above[None, :, k] - ratios[:, k, None] * below[None, :, k]) / safe[:, k, None]
        for k in range(above.shape[1])
    )
    return np.asarray(np.sqrt((weights * np.square(added)).sum(axis=1) * n / (n - 1)) / classes)


def measure_overlap(
    confusion: np.ndarray, classes: tuple[str, ...], split: str, confidence: float, seed: int
) -> dict[str, Measurement]:
    """`<split>.miou`, `.dice`, `.pixel_accuracy`, `.worst_class_iou`, and `.iou.<class>`, `.dice.<class>`.

    confusion: (N, K, K). What rests on no pixel, such as the IoU of a class that is nowhere, is left out.
    """
    names = {"iou": "miou", "dice": "dice", "pixel_accuracy": "pixel_accuracy"}
    found = {names[name]: measure(confusion, counts, confidence, seed) for name, counts in MEASURES.items()}
    for name in ("iou", "dice"):
        for place, class_name in enumerate(classes):
            if MEASURES[name](confusion)[1][:, place].any():
                found[f"{name}.{class_name}"] = measure(confusion, MEASURES[name], confidence, seed, place)
    return {f"{split}.{name}": each for name, each in found.items()}
