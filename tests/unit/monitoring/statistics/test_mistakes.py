"""Proof of mistakes: right at any number of looks, and quick where a version is truly worse."""

import math
from typing import Any

import numpy as np
import pytest

from resnet_ops_monitoring.statistics.accuracy import counted_accuracy
from resnet_ops_monitoring.statistics.mistakes import proof_of_mistakes, proof_since

FLOOR, DOUBT = 0.9, 0.025


@pytest.mark.slow
def test_a_version_that_keeps_the_floor_is_hardly_ever_taken_for_worse_over_hourly_looks() -> None:
    """A label an hour for 60 days, of which those of the last 7 days are looked at four times a day."""
    rng, falsely, by_interval = np.random.default_rng(0), 0, 0
    lives, days, hourly = 40, 60, 1
    for _ in range(lives):
        right = rng.binomial(hourly, FLOOR, (days, 24))
        proven = interval = False
        for day in range(1, days):
            begin = max(0, day - 6)
            whole = [(int(row.sum()), int(24 * hourly - row.sum())) for row in right[begin:day]]
            for hour in range(5, 24, 6):
                so_far = int(right[day, : hour + 1].sum())
                today = (so_far, (hour + 1) * hourly - so_far)
                counted = [*whole, today]
                proven |= proof_of_mistakes(counted, begin + 1, FLOOR) >= -math.log(DOUBT)
                total = np.sum(counted, axis=0)
                found = counted_accuracy(int(total[0]), int(total.sum()), 1 - 2 * DOUBT)
                interval |= total.sum() >= 100 and found is not None and found.high < FLOOR
        falsely, by_interval = falsely + proven, by_interval + interval
    assert falsely <= 2  # expected at most 1
    assert by_interval > 5  # an interval at each look, as it was


@pytest.mark.parametrize(("accuracy", "needed"), [(0.6, 120), (0.75, 400)])
def test_a_worse_version_is_proven_with_few_labels_even_after_a_year(accuracy: float, needed: int) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        right = int(rng.binomial(needed, accuracy))
        days = [(15, 1), (15, 2), (right, needed - right)]
        assert proof_of_mistakes(days, 365, FLOOR) >= -math.log(DOUBT)


def test_the_proof_is_a_fair_game_at_the_floor() -> None:
    n = 30
    expected = sum(
        math.comb(n, k) * FLOOR**k * (1 - FLOOR) ** (n - k) * math.exp(proof_since(k, n - k, FLOOR))
        for k in range(n + 1)
    )
    assert expected == pytest.approx(1, rel=1e-9)


def test_no_labels_prove_nothing() -> None:
    assert proof_since(0, 0, FLOOR) == 0
    assert proof_of_mistakes([(0, 0)] * 7, 1, FLOOR) < 0
    assert proof_of_mistakes([], 1, FLOOR) == -math.inf
    assert proof_since(10**6, 0, FLOOR) < -100


def _proven_at_an_hour(right: "np.ndarray[Any, np.dtype[np.int64]]", hourly: int) -> bool:
    """Whether a look after any hour proves it; right: (24 hours a day,) right answers of so many labels an hour."""
    days = list[tuple[int, int]]()
    for day in right.reshape(-1, 24):
        for hour in range(1, 25):
            so_far = int(day[:hour].sum())
            today = (so_far, hour * hourly - so_far)
            if proof_of_mistakes([*days, today], 1, FLOOR) >= -math.log(DOUBT):
                return True
        days.append(today)
    return False


@pytest.mark.slow
def test_hourly_looks_roll_an_unchanged_version_back_in_at_most_alpha_of_500_lives_and_a_bad_one_always() -> (
    None
):
    rng, lives, hourly, hours = np.random.default_rng(2), 500, 4, 24 * 4
    unchanged = rng.binomial(hourly, FLOOR, (lives, hours))
    assert sum(_proven_at_an_hour(life, hourly) for life in unchanged) <= DOUBT * lives
    bad = rng.binomial(hourly, 0.75, (50, hours))
    assert all(_proven_at_an_hour(life, hourly) for life in bad)
