"""Calibration: can the stated probabilities be believed?"""

from dataclasses import dataclass

import numpy as np

from resnet_ops.evaluation.intervals import studentised_bootstrap
from resnet_ops.evaluation.metrics import mean_of
from resnet_ops.measurement import Measurement

__all__ = [
    "Reliability",
    "brier_scores",
    "expected_calibration_error",
    "log_losses",
    "measure_calibration",
    "reliability",
]

DRAWS = 1000
FEWEST_MISTAKES = 6
"""With fewer mistakes the log loss's tail has not been seen, and no interval of its mean is given."""
PSEUDO = 2
"""Right and wrong answers that are added to each bin before resampling (Agresti and Coull 1998)."""


@dataclass(frozen=True)
class Reliability:
    """What a reliability diagram shows: B equal-width bins of the top probability, closed on the right."""

    count: np.ndarray
    """(B,) images."""
    confidence: np.ndarray
    """(B,) mean top probability; 0 in an empty bin."""
    accuracy: np.ndarray
    """(B,) share of right answers; 0 in an empty bin."""
    spread: np.ndarray
    """(B,) standard deviation of the top probability."""

    @property
    def error(self) -> float:
        """The expected calibration error (Guo et al. 2017), a fraction in [0, 1]."""
        gaps = np.abs(self.confidence - self.accuracy)
        return float(self.count @ gaps / max(self.count.sum(), 1))


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> Reliability:
    """Bin N images by their top probability.

    probabilities: (N, C) rows that sum to 1. labels: (N,) class indices.
    """
    top = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.digitize(top, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    count = np.bincount(bin_of, minlength=bins)
    means = [np.bincount(bin_of, weights=each, minlength=bins) for each in (top, right, top * top)]
    confidence, accuracy, square = (total / np.maximum(count, 1) for total in means)
    return Reliability(count, confidence, accuracy, np.sqrt(np.maximum(square - confidence**2, 0)))


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017), a fraction in [0, 1].

    probabilities: (N, C) softmax rows that sum to 1. labels: (N,) class indices. Equal-width bins on the top
    probability, closed on the right.
    """
    return reliability(probabilities, labels, bins).error


def brier_scores(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) squared distance from the truth, over all classes (Brier 1950), in [0, 2]."""
    of_label = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    return np.asarray((probabilities**2).sum(axis=1) - 2 * of_label + 1)


def log_losses(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) negative log-likelihood of the true class, in nats."""
    return -np.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0]


def measure_calibration(
    log_probabilities: np.ndarray, labels: np.ndarray, prefix: str, bins: int, confidence: float, seed: int
) -> dict[str, Measurement]:
    """Calibration error, Brier score and negative log-likelihood, named `<prefix>.ece`, `.brier`, `.nll`.

    log_probabilities: (N, C) float64. labels: (N,) class indices. bins: of the calibration error.
    """
    probabilities = np.exp(log_probabilities)
    brier, losses = brier_scores(probabilities, labels), log_losses(log_probabilities, labels)
    mistakes = int((probabilities.argmax(axis=1) != labels).sum())
    measured = {
        "ece": _measure_error(reliability(probabilities, labels, bins), confidence, seed),
        "brier": mean_of(brier, confidence, (0, 2), "score of 0 to 2"),
        "nll": _measure_log_loss(losses, mistakes, confidence, seed),
    }
    return {f"{prefix}.{name}": measurement for name, measurement in measured.items()}


def _measure_log_loss(losses: np.ndarray, mistakes: int, confidence: float, seed: int) -> Measurement:
    value, n = float(losses.mean()), len(losses)
    if mistakes < FEWEST_MISTAKES:
        return Measurement(value=value, n=n, unit="nat")
    low, high = studentised_bootstrap(losses, confidence, DRAWS, seed)
    method = f"studentised bootstrap {confidence:g}"
    return Measurement(value=value, n=n, low=max(0.0, low), high=high, method=method, unit="nat")


def _measure_error(bins: Reliability, confidence: float, seed: int) -> Measurement:
    """The calibration error with an interval that holds wherever the truth lies.

    The error is the length, in the sum of absolute values, of the vector of the bins' mean gaps g. Sampling adds
    noise to g, and noise makes a vector longer: a well calibrated model's estimate lies above its true error, the plain
    bootstrap's interval lies higher still, and hardly ever holds the truth. But |length(g') - length(g)| is at most
    length(g' - g), so the estimate minus and plus the `confidence` quantile of the noise's length is an interval, if
    a wide one. The noise is drawn bin by bin: counts, right answers, and probabilities.

    The truth meant is that of these bins; a calibration error within bins is not seen (Kumar et al. 2019).
    """
    rng = np.random.default_rng(seed)
    used = bins.count > 0
    count, stated, spread = bins.count[used], bins.confidence[used], bins.spread[used]
    n = int(count.sum())
    chance = (bins.accuracy[used] * count + PSEUDO) / (count + 2 * PSEUDO)
    drawn = rng.multinomial(n, count / n, DRAWS)
    right = rng.binomial(drawn, chance)
    claimed = drawn * stated + np.sqrt(drawn) * spread * rng.normal(size=drawn.shape)
    noise = np.abs((claimed - right) / n - count / n * (stated - chance)).sum(axis=1)
    reach = float(np.quantile(noise, confidence))
    low, high = max(0.0, bins.error - reach), min(1.0, bins.error + reach)
    method = f"length of the noise {confidence:g}"
    return Measurement(value=bins.error, n=n, low=low, high=high, method=method, unit="fraction")
