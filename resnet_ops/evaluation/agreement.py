"""How far several people who labelled the same images agree: Krippendorff's alpha for classes.

Krippendorff 2011, Computing Krippendorff's Alpha-Reliability: 1 where all agree, 0 where they agree as by chance. Any
number of raters, and images that some did not rate.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from resnet_ops.data.listing.raters import rating_columns
from resnet_ops.evaluation.intervals import effective_groups
from resnet_ops.evaluation.metrics import FEWEST_GROUPS
from resnet_ops.measurement import Measurement

__all__ = ["krippendorff_alpha", "measure_agreement"]


def measure_agreement(
    columns: Mapping[str, np.ndarray], split: str, confidence: float, groups: np.ndarray | None = None
) -> dict[str, Measurement]:
    """`SPLIT.rater_alpha`, and `SPLIT.rater_agreement`: the share of pairs of ratings of an image that are equal.

    columns: of the manifest, (N,) texts each. groups: (N,) which group each image is of. n is how many images have two
    ratings or more; nothing is measured where there is none, or only one class among them.
    """
    counts = _counts([columns[name] for name in rating_columns(columns)])
    rated = counts.sum(axis=1) >= 2
    if np.count_nonzero(counts[rated].sum(axis=0)) < 2:
        return {}
    units = (np.arange(len(rated)) if groups is None else groups)[rated]
    return {
        f"{split}.rater_{name}": _measured(counts[rated], units, of, confidence)
        for name, of in (("alpha", _alpha), ("agreement", _agreement))
    }


def krippendorff_alpha(raters: Sequence[Sequence[str]]) -> float:
    """raters: a sequence for each, of its ratings of the images in order; "" where it gave none.

    Raises ValueError where no image has two ratings, or they are all of one class: alpha is not defined there.
    """
    counts = _counts([np.array(each) for each in raters])
    counts = counts[counts.sum(axis=1) >= 2]
    if np.count_nonzero(counts.sum(axis=0)) < 2:
        raise ValueError("alpha takes images with two ratings, and two classes")
    return float(_alpha(_differences(counts).sum(), counts.sum(axis=0)))


def _counts(raters: Sequence[np.ndarray]) -> np.ndarray:
    """(N, K) how many ratings of each class an image has."""
    values = np.array([each.astype(np.str_) for each in raters])
    classes = [name for name in np.unique(values).tolist() if name]
    if not classes:
        return np.zeros((0, 0))
    return np.stack([(values == name).sum(axis=0) for name in classes], axis=1).astype(np.float64)


def _differences(counts: np.ndarray) -> np.ndarray:
    """(N,) pairs of different ratings of an image, in both orders, so weighted that all its pairs are its ratings."""
    many = counts.sum(axis=1)
    return np.asarray((many**2 - (counts**2).sum(axis=1)) / (many - 1))


def _alpha(different: np.ndarray, of_class: np.ndarray) -> np.ndarray:
    """different: (...) sums of `_differences`; of_class: (..., K) sums of ratings."""
    n = of_class.sum(axis=-1)
    return np.asarray(1 - (n - 1) * different / (n**2 - (of_class**2).sum(axis=-1)))


def _agreement(different: np.ndarray, of_class: np.ndarray) -> np.ndarray:
    return np.asarray(1 - different / of_class.sum(axis=-1))


def _measured(
    counts: np.ndarray,
    units: np.ndarray,
    of: Callable[[np.ndarray, np.ndarray], np.ndarray],
    confidence: float,
) -> Measurement:
    """With an interval by the jackknife over groups, by Student's quantile for their effective number.

    For the spread, an image is added about which two raters disagree, on the two most frequent classes: raters who
    agreed about all of them are no certainty.
    """
    value = float(of(_differences(counts).sum(), counts.sum(axis=0)))
    found = Measurement(value=value, n=len(counts), unit="fraction")
    doubt = np.zeros((1, counts.shape[1]))
    doubt[0, np.argsort(counts.sum(axis=0))[-2:]] = 1
    more = np.concatenate([counts, doubt])
    of_unit = np.append(np.unique(units, return_inverse=True)[1] + 1, 0)
    many, effective = int(of_unit.max()) + 1, effective_groups(units)
    if effective < FEWEST_GROUPS:
        return found
    different = np.bincount(of_unit, weights=_differences(more))
    of_class = np.stack([np.bincount(of_unit, weights=column) for column in more.T], axis=1)
    with np.errstate(all="ignore"):
        without = of(different.sum() - different, of_class.sum(axis=0) - of_class)
    if not np.isfinite(without).all():  # a class that one group alone has
        return found
    from scipy.stats import t

    error = float(np.sqrt((many - 1) / many * np.square(without - without.mean()).sum()))
    half = float(t.ppf((1 + confidence) / 2, effective - 1)) * error
    low, high = max(value - half, -1.0), min(value + half, 1.0)
    return Measurement(
        value=value, n=len(counts), low=low, high=high, method=f"jackknife {confidence:g}", unit="fraction"
    )
