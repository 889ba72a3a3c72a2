"""The tests behind the verdict, against scipy and against simulation."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from resnet_ops_monitoring.statistics.two_sample import (
    Whitening,
    centre_shift,
    class_shift,
    embedding_distances,
    kolmogorov_smirnov,
    probability_shift,
)


def test_kolmogorov_smirnov_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.1, 0.3):
        reference, window = rng.normal(0, 1, 400), rng.normal(shift, 1, 250)
        distance, p_value = kolmogorov_smirnov(reference, window)
        exact = stats.ks_2samp(reference, window)
        assert abs(distance - exact.statistic) < 1e-12
        assert abs(p_value - exact.pvalue) < 0.02


def test_kolmogorov_smirnov_of_constant_columns() -> None:
    same, other = np.zeros(50), np.ones(60)
    assert kolmogorov_smirnov(same, np.zeros(60)) == (0.0, 1.0)
    distance, p_value = kolmogorov_smirnov(same, other)
    assert distance == 1
    assert p_value < 1e-6


def test_class_counts_hold_their_level_where_classes_are_rare() -> None:
    rng = np.random.default_rng(1)
    shares = np.array([0.9, 0.05, 0.02, 0.01, 0.01, 0.005, 0.005])
    fired = sum(
        class_shift(rng.multinomial(300, shares), rng.multinomial(60, shares), 199, rng)[1] <= 0.05
        for _ in range(400)
    )
    assert fired <= stats.binom.ppf(0.999, 400, 0.05)


def test_a_class_that_is_gone_is_found() -> None:
    rng = np.random.default_rng(2)
    reference = np.full(10, 50)
    window = np.array([0, *[44] * 9])
    _, p_value, shift = class_shift(reference, window, 999, rng)
    assert p_value == 0.001
    assert abs(shift - 0.1) < 1e-9


def test_class_counts_that_do_not_move_have_p_one() -> None:
    _, p_value, shift = class_shift(
        np.array([50, 50, 0]), np.array([20, 20, 0]), 199, np.random.default_rng(0)
    )
    assert (p_value, shift) == (1.0, 0.0)


def _softmax(rng: np.random.Generator, rows: int, lift: float = 0.0) -> NDArray[np.float64]:
    """Rows of a model that is mostly sure. lift: added to the first class' logit."""
    logits = rng.normal(0, 1, (rows, 5))
    logits[np.arange(rows), rng.integers(0, 5, rows)] += 5
    logits[:, 0] += lift
    return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.slow
def test_probabilities_hold_their_level() -> None:
    rng = np.random.default_rng(3)
    p_values = [probability_shift(_softmax(rng, 200), _softmax(rng, 60), 199, rng)[1] for _ in range(200)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_probabilities_that_move_are_found_and_measured() -> None:
    rng = np.random.default_rng(4)
    _, p_value, shift = probability_shift(_softmax(rng, 1000), _softmax(rng, 300, lift=4), 999, rng)
    assert p_value == 0.001
    assert 0.1 < shift < 0.6


def test_tiny_probabilities_that_change_no_answer_are_no_shift() -> None:
    """Each is three times as large as before: every rank moves, no answer does."""
    rng = np.random.default_rng(5)
    before, now = _softmax(rng, 1000), _softmax(rng, 300)
    now[:, 4] = 0.0003 * rng.random(300)
    before[:, 4] = 0.0001 * rng.random(1000)
    now, before = (rows / rows.sum(axis=1, keepdims=True) for rows in (now, before))
    assert kolmogorov_smirnov(before[:, 4], now[:, 4])[1] < 1e-6
    assert probability_shift(before, now, 199, rng)[1] > 0.01


def test_constant_probabilities_are_silent() -> None:
    rows = np.full((60, 4), 0.25)
    statistic, p_value, shift = probability_shift(rows, rows, 99, np.random.default_rng(0))
    assert (round(statistic, 6), p_value, shift) == (0.0, 1.0, 0.0)


@pytest.mark.slow
def test_more_classes_than_rows_are_tested_all_the_same() -> None:
    rng = np.random.default_rng(6)
    before, now = rng.dirichlet(np.full(300, 0.05), 150), rng.dirichlet(np.full(300, 0.05), 60)
    assert probability_shift(before, now, 99, rng)[1] > 0.01
    now[:, 0] += 1
    assert probability_shift(before, now / 2, 99, rng)[1] == 0.01


def test_the_distance_of_the_means_is_mahalanobis() -> None:
    """With many rows the shrinkage is next to none: three standard deviations along a narrow axis."""
    rng = np.random.default_rng(7)
    scale = np.array([1.0, 5.0, 0.2])
    known, now = rng.normal(0, scale, (8000, 3)), rng.normal((0, 0, 0.6), scale, (4000, 3))
    squared, p_value, effect = centre_shift(known[:4000], now, Whitening.of(known[4000:]), 199, rng)
    assert abs(squared - 9) < 1
    assert p_value == 0.005
    assert abs(effect - (2 * stats.norm.cdf(1.5) - 1)) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "features"), [(60, 6), (60, 200)])
def test_the_distance_of_the_means_holds_its_level(rows: int, features: int) -> None:
    rng = np.random.default_rng(8)
    p_values = []
    for _ in range(200):
        known, now = rng.exponential(size=(120, features)), rng.exponential(size=(rows, features))
        p_values.append(centre_shift(known[:60], now, Whitening.of(known[60:]), 99, rng)[1])
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_embeddings_that_never_vary_are_silent_until_they_do() -> None:
    known, rng = np.ones((50, 4), dtype=np.float32), np.random.default_rng(9)
    now = known[:30].copy()
    now[:, 1] += 0.1
    assert centre_shift(known, known[:30], Whitening.of(known), 99, rng) == (0.0, 1.0, 0.0)
    _, p_value, effect = centre_shift(known, now, Whitening.of(known), 99, rng)
    assert (p_value, effect) == (0.01, 1.0)


def test_the_tests_of_a_window_are_fast() -> None:
    rng = np.random.default_rng(9)
    before, now = _softmax(rng, 2000), _softmax(rng, 350)
    probability_shift(before, now, 999, rng)
    begin = time.process_time()
    probability_shift(before, now, 999, rng)
    assert time.process_time() - begin < 0.5  # 0.02 s on a quiet core; the bound is for crowded ones


def test_new_kinds_of_rows_are_farthest_from_the_reference() -> None:
    rng = np.random.default_rng(7)
    window = np.concatenate([rng.normal(size=(20, 4)), rng.normal(8, 1, size=(3, 4))])
    distance = embedding_distances(rng.normal(size=(200, 4)), window)
    assert set(np.argsort(-distance)[:3]) == {20, 21, 22}
