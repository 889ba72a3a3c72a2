"""The comparison keeps its word: a candidate that is too bad passes with at most the chance alpha."""

import math
from functools import cache

import numpy as np
import pytest
from scipy.special import gammaln, xlogy
from scipy.stats import binom, binomtest

from resnet_ops_registry.rules.paired import (
    bootstrap_p,
    exact_p,
    mcnemar_p,
    single_images,
    student_p,
    unconditional_p,
)

ALPHA = 0.05
DRAWS = 2000


@cache
def p_value(method: str, won: int, lost: int, n: int, difference: float) -> float:
    if method == "bootstrap":
        return bootstrap_p(won, lost, n, difference)
    return exact_p(won, lost, n, difference, ALPHA)


def pass_rate(method: str, n: int, difference: float, disagreement: float, true: float) -> float:
    """Share of simulated pairs of models that pass; `true` is their real difference of accuracies."""
    rng = np.random.default_rng(7)
    chances = [(disagreement + true) / 2, (disagreement - true) / 2, 1 - disagreement]
    drawn = rng.multinomial(n, chances, size=DRAWS)
    pairs, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    passed = [p_value(method, int(won), int(lost), n, difference) <= ALPHA for won, lost in pairs]
    return float(counts[passed].sum() / DRAWS)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mcnemar", "bootstrap"])
@pytest.mark.parametrize("n", [100, 360])
@pytest.mark.parametrize(("margin", "times"), [(0.01, 1.001), (0.01, 3), (0.02, 1.001), (0.02, 3), (0.05, 2)])
def test_a_candidate_worse_by_just_the_margin_passes_at_most_alpha_of_the_time(
    method: str, n: int, margin: float, times: float
) -> None:
    rate = pass_rate(method, n, -margin, margin * times, -margin)
    assert rate <= ALPHA + 2.6 * math.sqrt(ALPHA * (1 - ALPHA) / DRAWS)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mcnemar", "bootstrap"])
@pytest.mark.parametrize(("margin", "disagreement"), [(0.0, 0.02), (0.0, 0.1), (0.01, 0.05)])
def test_a_candidate_better_by_no_more_than_the_margin_passes_as_better_at_most_alpha_of_the_time(
    method: str, margin: float, disagreement: float
) -> None:
    rate = pass_rate(method, 360, margin, disagreement, margin)
    assert rate <= ALPHA + 2.6 * math.sqrt(ALPHA * (1 - ALPHA) / DRAWS)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mcnemar", "bootstrap"])
def test_a_candidate_as_good_as_the_champion_passes_and_one_much_worse_does_not(method: str) -> None:
    assert pass_rate(method, 360, -0.02, 0.02, 0.0) > 0.7
    assert pass_rate(method, 360, 0.0, 0.06, 0.05) > 0.9
    assert pass_rate(method, 360, -0.02, 0.08, -0.06) == 0


def rejection_rate(n: int, difference: float, disagreement: float) -> float:
    """Exact chance of passing at the boundary: every outcome with its chance."""
    most = int(n * disagreement + 8 * math.sqrt(n * disagreement) + 4)
    won, lost = np.meshgrid(np.arange(most), np.arange(most), indexing="ij")
    rest = np.maximum(n - won - lost, 0)
    chances = ((disagreement + difference) / 2, (disagreement - difference) / 2, 1 - disagreement)
    logs = gammaln(n + 1) - sum(gammaln(each + 1) for each in (won, lost, rest))
    logs = logs + sum(xlogy(each, p) for each, p in zip((won, lost, rest), chances, strict=True))
    likely = np.where(won + lost <= n, np.exp(logs), 0)
    return float(
        sum(
            likely[w, x]
            for w, x in zip(*np.nonzero(likely > 1e-7), strict=True)
            if p_value("mcnemar", int(w), int(x), n, difference) <= ALPHA
        )
    )


@pytest.mark.parametrize(
    ("n", "difference", "disagreement"),
    [(50, -0.05, 0.05), (50, -0.05, 0.1), (120, -0.02, 0.04), (360, -0.01, 0.015), (60, 0.03, 0.06)],
)
def test_the_exact_test_is_exact(n: int, difference: float, disagreement: float) -> None:
    assert rejection_rate(n, difference, disagreement) <= ALPHA + 1e-4


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (5, 5), (8, 1), (1, 8), (40, 20), (0, 9)])
def test_mcnemar_is_the_binomial_test_of_the_disagreements(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost, alternative="greater").pvalue if won + lost else 1.0
    assert mcnemar_p(won, lost) == pytest.approx(expected)


def test_the_unconditional_p_value_is_the_sum_over_all_outcomes_at_least_as_far() -> None:
    """Against a sum over every pair (won, lost), at the worst rate of disagreement."""
    from resnet_ops_registry.rules.paired import GRID, NUISANCE_SHARE, _disagreement, _score

    n, won, lost, difference = 40, 2, 1, -0.08
    w, x = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    rest = n - w - x
    inside = rest >= 0
    as_far = inside & (
        _score(w, x, n, difference) >= _score(np.array(won), np.array(lost), n, difference) - 1e-9
    )
    low, high = _disagreement(won + lost, n, -difference, NUISANCE_SHARE * ALPHA)
    worst = 0.0
    for rate in np.linspace(low, high, GRID):
        logs = gammaln(n + 1) - gammaln(w + 1) - gammaln(x + 1) - gammaln(np.where(inside, rest, 0) + 1)
        logs += xlogy(w, (rate + difference) / 2) + xlogy(x, (rate - difference) / 2)
        logs += xlogy(np.where(inside, rest, 0), 1 - rate)
        worst = max(worst, float(np.exp(logs)[as_far].sum()))
    assert unconditional_p(won, lost, n, difference, ALPHA) == pytest.approx(worst + NUISANCE_SHARE * ALPHA)


@pytest.mark.parametrize("won", [0, 1, 20])
@pytest.mark.parametrize("lost", [0, 1, 20])
@pytest.mark.parametrize("n", [40, 1_000_000])
@pytest.mark.parametrize("difference", [-0.3, -0.01, 0.0, 0.01])
def test_every_p_value_is_a_chance(won: int, lost: int, n: int, difference: float) -> None:
    for p in (exact_p(won, lost, n, difference, ALPHA), bootstrap_p(won, lost, n, difference)):
        assert 0 <= p <= 1


def test_the_bootstrap_gives_the_same_answer_every_time() -> None:
    assert bootstrap_p(3, 5, 360, -0.02) == bootstrap_p(3, 5, 360, -0.02)


def test_groups_of_one_image_count_as_single_images() -> None:
    differences = np.array([1] * 5 + [-1] * 3 + [0] * 92)
    assert single_images(differences, np.arange(100), 0.05) == (5, 3, 100)


def test_equal_images_of_a_patient_count_as_one_and_few_patients_for_less() -> None:
    """20 patients of 10 equal images, 2 won and 4 lost; t(19) at 5 % is 1.729 where the normal is 1.645."""
    totals = np.array([10] * 2 + [-10] * 4 + [0] * 14)
    won, lost, n = single_images(np.sign(np.repeat(totals, 10)), np.repeat(np.arange(20), 10), 0.05)
    effect = (6 * 100 + 100) / 70 * (1.7291 / 1.6449) ** 2
    assert (won, lost, n) == (int(20 / effect), math.ceil(40 / effect), int(200 / effect)) == (1, 4, 18)


def test_a_single_group_shows_nothing() -> None:
    won, lost, n = single_images(np.ones(50, dtype=int), np.zeros(50, dtype=int), 0.05)
    assert (won, lost, n) == (0, 0, 1)
    assert exact_p(won, lost, n, -0.05, 0.05) > 0.9


@pytest.mark.parametrize("size", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("margin", [0.01, 0.03, 0.1])
def test_scores_worse_by_just_the_margin_pass_in_at_most_alpha_of_samples(size: float, margin: float) -> None:
    for n in (30, 45, 70, 100, 145, 195, 265, 400):
        losses = np.arange(n + 1)
        chances = binom.pmf(losses, n, margin / size)
        likely = losses[chances > 1e-6]
        scores = [np.concatenate([np.full(lost, -size), np.zeros(n - lost)]) for lost in likely]
        passed = [student_p(each, -margin) <= ALPHA for each in scores]
        assert chances[likely][passed].sum() <= ALPHA, n


def test_scores_that_move_both_ways_hold_their_error_and_have_power() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.2, (DRAWS, 72)).clip(-1, 1)
    rate = np.mean([student_p(each - 0.03, -0.03) <= ALPHA for each in noise])
    assert rate <= ALPHA + 2.6 * math.sqrt(ALPHA * (1 - ALPHA) / DRAWS)
    assert np.mean([student_p(each + 0.06, -0.03) <= ALPHA for each in noise[:200]]) > 0.5
    assert student_p(np.full(50, -1.0), -0.03) == 1
