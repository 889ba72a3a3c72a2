"""The interval of a paired difference holds what it promises."""

import math

import pytest

from resnet_ops.evaluation.paired_interval import paired_difference


def coverage(n: int, first_only: float, second_only: float) -> float:
    """How often the interval holds the true difference: the sum over every outcome."""
    both = 1 - first_only - second_only
    total = 0.0
    for won in range(n + 1):
        for lost in range(n + 1 - won):
            low, high = paired_difference(won, lost, n, 0.95)
            if low <= first_only - second_only <= high:
                ways = math.comb(n, won) * math.comb(n - won, lost)
                total += ways * first_only**won * second_only**lost * both ** (n - won - lost)
    return total


@pytest.mark.parametrize(("first_only", "second_only"), [(0.1, 0.05), (0.02, 0.02), (0.3, 0.1), (0.05, 0.01)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(
    first_only: float, second_only: float
) -> None:
    assert coverage(40, first_only, second_only) > 0.94


def test_models_that_never_differ_get_an_interval_all_the_same() -> None:
    low, high = paired_difference(0, 0, 360, 0.95)
    assert high == pytest.approx(1.96**2 / (360 + 1.96**2), abs=1e-5)
    assert low == -high


def test_swapping_the_models_turns_the_interval_around() -> None:
    low, high = paired_difference(9, 2, 100, 0.95)
    assert 0 < low < 0.07 < high
    assert paired_difference(2, 9, 100, 0.95) == pytest.approx((-high, -low))


@pytest.mark.parametrize("counts", [(5, 6, 10), (-1, 0, 10), (0, 0, 0)])
def test_counts_that_do_not_fit_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must fit the images"):
        paired_difference(*counts, 0.95)
