"""The tests behind the verdict, against scipy and against simulation."""

import time

import numpy as np
from scipy import stats

from resnet_ops_monitoring.two_sample import (
    class_shift,
    embedding_distances,
    kolmogorov_smirnov,
    mean_discrepancy,
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


def test_mmd_p_values_are_uniform_without_a_shift() -> None:
    rng = np.random.default_rng(3)
    p_values = [
        mean_discrepancy(rng.normal(size=(80, 6)), rng.normal(size=(50, 6)), 199, rng)[1] for _ in range(200)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_mmd_equals_its_definition() -> None:
    rng = np.random.default_rng(4)
    reference, window = rng.normal(size=(30, 3)), rng.normal(0.5, 1, size=(20, 3))
    rows = np.concatenate([window, reference])
    squares = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    kernel = np.exp(-squares / np.median(squares[np.triu_indices(50, k=1)]))
    within = [(k.sum() - len(k)) / len(k) / (len(k) - 1) for k in (kernel[:20, :20], kernel[20:, 20:])]
    expected = sum(within) - 2 * kernel[:20, 20:].mean()
    assert abs(mean_discrepancy(reference, window, 99, rng)[0] - expected) < 1e-5


def test_mmd_finds_a_change_of_spread_that_leaves_the_mean() -> None:
    rng = np.random.default_rng(5)
    found = mean_discrepancy(rng.normal(size=(300, 8)), rng.normal(0, 1.5, size=(200, 8)), 999, rng)
    assert found[0] > 0.005
    assert found[1] == 0.001


def test_mmd_of_constant_embeddings_is_silent() -> None:
    discrepancy, p_value = mean_discrepancy(np.ones((60, 4)), np.ones((60, 4)), 99, np.random.default_rng(0))
    assert abs(discrepancy) < 1e-6
    assert p_value == 1.0


def test_mmd_of_500_rows_is_fast() -> None:
    rng = np.random.default_rng(6)
    reference, window = rng.normal(size=(500, 64)), rng.normal(size=(500, 64))
    mean_discrepancy(reference, window, 999, rng)
    begin = time.process_time()
    mean_discrepancy(reference, window, 999, rng)
    assert time.process_time() - begin < 1.0  # 0.1 s on a quiet core; the bound is for crowded ones


def test_new_kinds_of_rows_are_farthest_from_the_reference() -> None:
    rng = np.random.default_rng(7)
    window = np.concatenate([rng.normal(size=(20, 4)), rng.normal(8, 1, size=(3, 4))])
    distance = embedding_distances(rng.normal(size=(200, 4)), window)
    assert set(np.argsort(-distance)[:3]) == {20, 21, 22}
