"""How right the model is: counted where labels are known, estimated where they are not."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from resnet_ops.evaluation.intervals import score_interval
from resnet_ops.tasks.task import CONFIDENCE

__all__ = [
    "ACCURACY",
    "BLIND_SPOT",
    "BLIND_SPOT_OF_SCORES",
    "Accuracy",
    "Estimate",
    "accuracy_threshold",
    "certainty",
    "chance_of",
    "confidence",
    "counted_accuracy",
    "estimated_accuracy",
    "negative_entropy",
]

ACCURACY = "accuracy"
"""What is measured where an image is right or wrong: the share of right ones."""
BLIND_SPOT_OF_SCORES = (
    "a guess without labels, learned from how the version did on its held-out images when they were perturbed on "
    "purpose. Its interval grows with the distance from all that was tried. It is blind to kinds of images that the "
    "model never learned: where 30 % of inputs were such, it was 12 to 15 points too high."
)
BLIND_SPOT = f"{BLIND_SPOT_OF_SCORES} Labels settle it."


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers among n labelled rows, with Wilson's interval: of fewer rows where these are alike."""

    value: float
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """An estimated share of right answers, with the interval that holds the truth unless images are of new kinds."""

    value: float
    low: float
    high: float


MODEL_ERROR = 0.3
"""Standard error of the method, beside chance, for each unit of drift that the model sees. Calibrated on 69 shifts of
three data sets (docs/drift-measured.md): the least, in steps of .05, whose intervals hold the truth in 90 % on each."""


def counted_accuracy(right: float, n: int, confidence: float, worth: float = 1.0) -> Accuracy | None:
    """Accuracy of n labelled rows, of which `right` were predicted right; None when there are none.

    right: may be a sum of scores in [0, 1], whose variance is no larger than that of bits with the same mean, so that
    the interval is rather too wide. worth: how many independent rows each is worth, in (0, 1].
    """
    if n == 0:
        return None
    low, high = score_interval(right / n, n * worth, confidence)
    return Accuracy(value=right / n, n=n, low=low, high=high)


def negative_entropy(probabilities: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) in [-log K, 0] of (n, K) softmax rows: how sure the model is."""
    logs = np.log(np.maximum(probabilities, probabilities.dtype.type(1e-30)))
    return np.asarray(np.einsum("ij,ij->i", probabilities, logs), dtype=np.float64)


def certainty(
    numbers: NDArray[np.float32] | NDArray[np.float64], scalars: tuple[str, ...] = ()
) -> NDArray[np.float64]:
    """(n,) how sure the model is, by which rows are counted as right: of (n, K) softmax rows the negative entropy.

    scalars: names of (n, M) numbers that stand in their place; of these it is the confidence.
    """
    return confidence(numbers, scalars).astype(np.float64) if scalars else negative_entropy(numbers)


def confidence(
    numbers: NDArray[np.float32] | NDArray[np.float64], scalars: tuple[str, ...] = ()
) -> NDArray[np.float32] | NDArray[np.float64]:
    """(n,) the same for people, in [0, 1]: of softmax rows the highest probability."""
    return numbers[:, scalars.index(CONFIDENCE)] if scalars else numbers.max(axis=1)


def accuracy_threshold(
    reference: NDArray[np.float64], right: NDArray[np.bool_] | NDArray[np.float64]
) -> float:
    """Where the reference's share of rows below it equals its error rate; infinite when no row is right.

    reference: (m,) certainties; right: (m,), or scores in [0, 1], whose mean is the share that is right.
    """
    wrong = round(len(right) - float(right.sum()))
    return float(np.sort(reference)[wrong]) if wrong < len(right) else float("inf")


def chance_of(right: float, n: float) -> float:
    """Variance of a share by chance: `right` of n, drawn a little towards one half, so that it is never none."""
    share = (right + 1) / (n + 2)
    return share * (1 - share) / n


def estimated_accuracy(
    confident: float, n: float, right: float, reference_rows: float, shifted: float, confidence: float
) -> Estimate:
    """Average thresholded confidence with negative entropy: the share of right answers among a window's n rows.

    confident: rows of the window at or above `accuracy_threshold`. right: right answers among the reference's rows.
    shifted: in [0, 1], the larger effect of the softmax and embedding tests: the farther a window is from what the
    method was set on, the less it knows. Variances of the window, of the threshold and of the method add up.
    """
    chance = chance_of(confident, n) + chance_of(right, reference_rows)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(chance + (MODEL_ERROR * shifted) ** 2)
    value = confident / n
    return Estimate(value=value, low=max(0.0, value - half), high=min(1.0, value + half))
