"""Intervals against published values and by how often they cover the truth."""

import numpy as np
import pytest

from resnet_ops.evaluation import intervals
from resnet_ops.evaluation.intervals import (
    clustered,
    effective_groups,
    lowest_interval,
    mean_interval,
    order_statistic,
    studentised_bootstrap,
    wilson,
)
from resnet_ops.evaluation.metrics import FEWEST_GROUPS, share_right


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_values_that_newcombe_published(
    successes: int, n: int, low: float, high: float
) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3."""
    assert wilson(successes, n, 0.95) == pytest.approx((low, high), abs=5e-5)


def test_wilson_always_holds_the_observed_share_and_stays_within_0_and_1() -> None:
    wrong = [
        (successes, n)
        for n in range(1, 120)
        for successes in range(n + 1)
        if not 0 <= wilson(successes, n, 0.95)[0] <= successes / n <= wilson(successes, n, 0.95)[1] <= 1
    ]
    assert wrong == []


def test_wilson_is_symmetric_in_success_and_failure() -> None:
    low, high = wilson(13, 50, 0.9)
    assert wilson(37, 50, 0.9) == pytest.approx((1 - high, 1 - low))


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0, 0.95) == (0.0, 1.0)


def test_wilson_is_wider_when_surer() -> None:
    widths = [high - low for low, high in (wilson(30, 40, confidence) for confidence in (0.8, 0.95, 0.99))]
    assert widths == sorted(widths)
    assert widths[0] < widths[2] / 1.5


@pytest.mark.parametrize(("successes", "n"), [(-1, 10), (11, 10)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"successes is {successes}, but must be .* n = 10"):
        wilson(successes, n, 0.95)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("truth", [0.5, 0.9, 0.97])
def test_wilson_covers_the_true_share_as_often_as_it_says(truth: float, confidence: float) -> None:
    drawn = np.random.default_rng(0).binomial(360, truth, size=4000)
    covered = [low <= truth <= high for low, high in (wilson(int(k), 360, confidence) for k in drawn)]
    assert np.mean(covered) == pytest.approx(confidence, abs=0.02)


def test_the_bootstrap_of_a_mean_agrees_with_normal_theory() -> None:
    values = np.random.default_rng(0).normal(10, 2, 400)
    low, high = studentised_bootstrap(values, 0.95, draws=4000, seed=0)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


@pytest.mark.slow
def test_the_studentised_bootstrap_covers_a_skewed_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(1000):
        low, high = studentised_bootstrap(rng.exponential(1, 60), 0.95, draws=200, seed=seed)
        covered += low <= 1 <= high
    assert 0.925 <= covered / 1000 <= 0.975


def test_the_bootstrap_is_decided_by_its_seed_and_not_by_the_size_of_its_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).random(50)
    first = studentised_bootstrap(values, 0.95, 200, seed=3)
    assert first == studentised_bootstrap(values, 0.95, 200, seed=3)
    assert first != studentised_bootstrap(values, 0.95, 200, seed=4)
    monkeypatch.setattr(intervals, "BLOCK", 50 * 7)
    assert first == pytest.approx(studentised_bootstrap(values, 0.95, 200, seed=3))


def test_the_interval_of_a_mean_of_successes_is_about_wilsons_and_never_certain() -> None:
    tosses = np.repeat([1.0, 0.0], [340, 20])
    assert mean_interval(tosses, 0.95) == pytest.approx(wilson(340, 360, 0.95), abs=0.002)
    low, high = mean_interval(np.ones(360), 0.95)
    assert low == pytest.approx(wilson(360, 360, 0.95)[0], abs=0.001)
    assert high == 1


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 1000])
@pytest.mark.parametrize("shape", [(0.05, 1.0), (2.0, 0.1), (3.0, 3.0)])
def test_the_interval_of_a_mean_covers_it_as_often_as_it_says(shape: tuple[float, float], n: int) -> None:
    """Scores that are mostly tiny, mostly near 1, and in between (beta distributions)."""
    drawn = np.random.default_rng(0).beta(*shape, size=(2000, n))
    truth = shape[0] / sum(shape)
    covered = [low <= truth <= high for low, high in (mean_interval(row, 0.95) for row in drawn)]
    assert 0.935 <= np.mean(covered) <= 0.985


def test_the_lowest_of_many_proportions_is_covered_where_the_interval_of_the_lowest_one_is_not() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.binomial(60, 0.9, size=(1000, 20)).tolist()
    sound = [lowest_interval([(k, 60) for k in row], 0.95) for row in drawn]
    naive = [wilson(min(row), 60, 0.95) for row in drawn]
    covered, wrongly = (np.mean([low <= 0.9 <= high for low, high in each]) for each in (sound, naive))
    assert covered >= 0.95
    assert wrongly < 0.85


@pytest.mark.parametrize(
    ("n", "low_rank", "high_rank"), [(6, 1, 6), (10, 2, 9), (15, 4, 12), (20, 6, 15), (25, 8, 18)]
)
def test_the_median_lies_between_the_ranks_of_the_sign_test(n: int, low_rank: int, high_rank: int) -> None:
    """The ranks of the 95 % interval in any table of the sign test, such as Conover 1999, table A3."""
    values = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert order_statistic(values, 0.5, 0.95) == (low_rank, high_rank)


@pytest.mark.parametrize(("quantile", "n"), [(0.5, 40), (0.95, 100), (0.95, 400), (0.99, 400), (0.99, 1000)])
def test_order_statistics_cover_the_true_quantile_as_often_as_they_say(quantile: float, n: int) -> None:
    drawn = np.random.default_rng(0).random((2000, n))
    intervals = [order_statistic(row, quantile, 0.95) for row in drawn]
    covered = [interval is not None and interval[0] <= quantile <= interval[1] for interval in intervals]
    assert 0.94 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize(("quantile", "needed"), [(0.5, 6), (0.95, 72), (0.99, 368)])
def test_too_few_observations_give_no_interval_rather_than_a_false_one(quantile: float, needed: int) -> None:
    assert order_statistic(np.arange(needed - 1), quantile, 0.95) is None
    assert order_statistic(np.arange(needed), quantile, 0.95) is not None
    assert order_statistic(np.empty(0), quantile, 0.95) is None


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
@pytest.mark.slow
def test_an_interval_of_images_in_groups_holds_where_one_of_single_images_does_not(alike: float) -> None:
    """20 groups of 50 images; alike: how often an image only repeats what its group is. True share: 0.8."""
    rng, held = np.random.default_rng(11), {"groups": 0, "images": 0}
    groups = np.repeat(np.arange(20), 50)
    for _ in range(1000):
        of_group, own = rng.random(20) < 0.8, rng.random(1000) < 0.8
        right = np.where(rng.random(1000) < alike, of_group[groups], own)
        ends = {"groups": clustered(right, groups, 0.95), "images": wilson(int(right.sum()), 1000, 0.95)}
        for name, (low, high) in ends.items():
            held[name] += low <= 0.8 <= high
    assert held["groups"] >= 930
    if alike:
        assert held["images"] < 600


@pytest.mark.parametrize(
    "sizes",
    [
        [50] * 20,
        [20] * 8,
        [10, 20, 40, 80] * 5,
        [100] * 6 + [1] * 100,
        [100] * 7 + [1] * 300,
        [300, *[60] * 20],
    ],
)
@pytest.mark.parametrize("shares", [(9.0, 1.0), (0.5, 0.5), (1.8, 0.2), (2.0, 2.0)])
@pytest.mark.slow
def test_an_interval_holds_for_groups_of_all_sizes(sizes: list[int], shares: tuple[float, float]) -> None:
    """Each group has a share of right images of its own, drawn from a beta distribution."""
    rng, held = np.random.default_rng(5), 0
    groups = np.repeat(np.arange(len(sizes)), sizes)
    assert effective_groups(groups) >= FEWEST_GROUPS
    truth = shares[0] / sum(shares)
    for _ in range(1000):
        right = rng.random(len(groups)) < rng.beta(*shares, len(sizes))[groups]
        low, high = clustered(right, groups, 0.95)
        held += low <= truth <= high
    assert held / 1000 >= 0.92


@pytest.mark.parametrize(("rare", "failing"), [(0.05, 0.2), (0.1, 0.0)])
@pytest.mark.slow
def test_an_interval_holds_where_a_few_groups_fail_together(rare: float, failing: float) -> None:
    rng, held = np.random.default_rng(6), 0
    groups = np.repeat(np.arange(20), 50)
    truth = rare * failing + (1 - rare) * 0.995
    for _ in range(1000):
        share = np.where(rng.random(20) < rare, failing, 0.995)
        low, high = clustered(rng.random(1000) < share[groups], groups, 0.95)
        held += low <= truth <= high
    assert held >= 900


def test_more_mistakes_never_raise_the_lower_end() -> None:
    groups = np.repeat(np.arange(20), 50)
    right = np.ones(1000, bool)
    ends = []
    for wrong in range(0, 1000, 10):
        right[:wrong] = False
        ends.append(clustered(right, groups, 0.95)[0])
    assert ends == sorted(ends, reverse=True)
    one = np.ones(1000, bool)
    one[0] = False
    assert clustered(one, groups, 0.95)[0] <= ends[0]


def test_an_interval_of_single_images_is_wilsons_or_wider() -> None:
    right = np.arange(200) % 10 > 0
    low, high = clustered(right, np.arange(200), 0.95)
    plain = wilson(180, 200, 0.95)
    assert (low, high) == pytest.approx(plain, abs=0.005)
    assert low <= plain[0]
    assert high >= plain[1]


def test_where_all_are_right_groups_are_counted_and_not_images() -> None:
    low, high = clustered(np.ones(1000, bool), np.repeat(np.arange(20), 50), 0.95)
    assert high == 1
    assert low == pytest.approx(wilson(20, 20, 0.95)[0], abs=0.02)


@pytest.mark.parametrize("sizes", [[1], [50] * 7, [500, *[1] * 100], [200, 200, *[1] * 50]])
def test_fewer_than_eight_groups_worth_have_no_interval(sizes: list[int]) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    found = share_right(np.arange(len(groups)) % 3 > 0, 0.95, groups)
    assert (found.low, found.high, found.method) == (None, None, None)
    assert found.n == len(groups)
