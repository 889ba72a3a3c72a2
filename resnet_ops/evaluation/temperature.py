"""Temperature scaling (Guo et al. 2017): one number that makes a model's probabilities believable."""

from statistics import NormalDist

import numpy as np

from resnet_ops.measurement import Measurement

__all__ = ["fit_temperature", "log_softmax"]

LOWEST, HIGHEST = 0.05, 20.0
STEPS = 40


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(N, C) float64 log-probabilities of logits at a temperature; 1 leaves them as they are."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))


def fit_temperature(logits: np.ndarray, labels: np.ndarray, confidence: float) -> Measurement:
    """The temperature whose softmax makes the labels most likely, from 0.05 to 20; 1 changes nothing.

    logits: (N, C) on images that were not trained on. labels: (N,) class indices. Golden section search on the
    logarithm of the temperature, whose prior is a standard normal. The prior weighs about as much as one image, so it
    matters only where hardly one is classified wrong: without a mistake the likelihood alone has no maximum. The
    interval is Laplace's.
    """

    def badness(log_temperature: float) -> float:
        of_label = np.take_along_axis(log_softmax(logits, np.exp(log_temperature)), labels[:, None], axis=1)
        return float(log_temperature**2 / 2 - of_label.sum())

    low, high = np.log(LOWEST), np.log(HIGHEST)
    golden = (5**0.5 - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = badness(left), badness(right)
    for _ in range(STEPS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = badness(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = badness(right)
    best = (low + high) / 2
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * _deviation(logits, np.exp(best))
    return Measurement(
        value=float(np.exp(best)),
        n=len(labels),
        low=float(np.exp(best - reach)),
        high=float(np.exp(best + reach)),
        method=f"laplace {confidence:g}",
    )


def _deviation(logits: np.ndarray, temperature: float) -> float:
    """Standard deviation of the logarithm of the temperature, from the curvature at its best value."""
    probabilities, scaled = np.exp(log_softmax(logits, temperature)), logits / temperature
    mean = (probabilities * scaled).sum(axis=1)
    curvature = ((probabilities * scaled**2).sum(axis=1) - mean**2).sum()
    return float(1 / np.sqrt(1 + curvature))
