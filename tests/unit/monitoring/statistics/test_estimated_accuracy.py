"""Accuracy without labels: the estimate, and an interval that holds the truth."""

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.statistics.accuracy import accuracy_threshold, estimated_accuracy, negative_entropy


def rows(rng: np.random.Generator, n: int, hardness: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Softmax rows of four classes and whether they are right: answers are drawn from the rows themselves."""
    logits = rng.normal(0, 3 / hardness, (n, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (probabilities.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return probabilities, np.asarray(probabilities.argmax(axis=1) == truth)


def test_the_threshold_gives_the_reference_its_own_accuracy() -> None:
    probabilities, right = rows(np.random.default_rng(0), 500, 1.0)
    scores = negative_entropy(probabilities)
    assert (scores >= accuracy_threshold(scores, right)).sum() == right.sum()


def test_a_reference_without_a_right_answer_has_no_threshold() -> None:
    assert accuracy_threshold(np.array([-1.0, -0.5]), np.array([False, False])) == float("inf")
    assert accuracy_threshold(np.array([-1.0, -0.5]), np.array([True, True])) == -1.0


def test_the_interval_holds_the_truth_without_a_shift_and_is_not_idle() -> None:
    rng = np.random.default_rng(1)
    held, widths = [], []
    for _ in range(300):
        before, right = rows(rng, 600, 1.0)
        now, truth = rows(rng, 300, 1.0)
        scores = negative_entropy(before)
        confident = int((negative_entropy(now) >= accuracy_threshold(scores, right)).sum())
        guess = estimated_accuracy(confident, 300, int(right.sum()), 600, 0.0, 0.9)
        held.append(guess.low <= truth.mean() <= guess.high)
        widths.append(guess.high - guess.low)
    assert 0.85 <= np.mean(held) <= 0.99
    assert np.mean(widths) < 0.12


def test_harder_images_lower_the_estimate() -> None:
    rng = np.random.default_rng(2)
    before, right = rows(rng, 2000, 1.0)
    threshold = accuracy_threshold(negative_entropy(before), right)
    now, truth = rows(rng, 2000, 1.2)
    confident = int((negative_entropy(now) >= threshold).sum())
    guess = estimated_accuracy(confident, 2000, int(right.sum()), 2000, 0.2, 0.95)
    assert guess.value < right.mean() - 0.05
    assert truth.mean() < right.mean() - 0.02
    assert guess.low <= truth.mean() <= guess.high


def test_the_interval_grows_with_the_drift_that_the_model_sees() -> None:
    guesses = [estimated_accuracy(800, 1000, 1800, 2000, shifted, 0.95) for shifted in (0.0, 0.2, 0.8)]
    widths = [guess.high - guess.low for guess in guesses]
    assert widths == sorted(widths)
    assert widths[0] < 0.06
    assert widths[2] > 0.5


def test_the_interval_stays_within_zero_and_one() -> None:
    for confident in (0, 50):
        guess = estimated_accuracy(confident, 50, 100, 100, 0.1, 0.95)
        assert 0 <= guess.low < guess.high <= 1
