"""Measures of a decision: equal to scikit-learn's and to published examples, with intervals that hold."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as reference

from resnet_ops.evaluation.binary import Counts, average_precision, measure_counts, roc_auc

DRAWS, LEVEL = 1000, 0.95


def drawn(
    rng: np.random.Generator, positives: int, negatives: int, shift: float
) -> tuple[np.ndarray, np.ndarray]:
    positive = np.arange(positives + negatives) < positives
    return positive, norm.cdf(rng.normal(np.where(positive, shift, 0.0), 1.0))


@pytest.mark.parametrize("seed", range(5))
def test_values_are_those_of_scikit_learn(seed: int) -> None:
    positive, scores = drawn(np.random.default_rng(seed), 40, 160, 1.0)
    decided = scores >= 0.7
    assert roc_auc(positive, scores, LEVEL).value == pytest.approx(reference.roc_auc_score(positive, scores))
    found = average_precision(positive, scores, LEVEL)
    assert found.value == pytest.approx(reference.average_precision_score(positive, scores))
    at = measure_counts(Counts.of(positive, decided), 0.7, None, LEVEL)
    expected = {
        "sensitivity": reference.recall_score(positive, decided),
        "specificity": reference.recall_score(~positive, ~decided),
        "ppv": reference.precision_score(positive, decided),
        "npv": reference.precision_score(~positive, ~decided),
        "balanced_accuracy": reference.balanced_accuracy_score(positive, decided),
        "kappa": reference.cohen_kappa_score(positive, decided),
        "mcc": reference.matthews_corrcoef(positive, decided),
    }
    for name, value in expected.items():
        assert at[name].value == pytest.approx(value), name
    for each in [*at.values(), found]:
        assert each.low is not None
        assert each.high is not None
        assert each.low <= each.value <= each.high


def test_predictive_values_are_those_of_the_published_example() -> None:
    """Mercaldo, Lau and Zhou 2007, table 4: an ApoE test for Alzheimer's, sensitivity .655, specificity .682."""
    counts = Counts(hits=240, misses=127, alarms=115, passes=247)
    at = measure_counts(counts, 0.5, 0.03, LEVEL)
    sensitivity, specificity = 240 / 367, 247 / 362
    odds = 0.03 * sensitivity / (0.03 * sensitivity + 0.97 * (1 - specificity))
    assert at["ppv"].value == pytest.approx(odds)
    assert at["ppv"].value == pytest.approx(0.060, abs=0.001)
    assert at["npv"].value == pytest.approx(0.985, abs=0.001)
    assert at["ppv"].low == pytest.approx(0.051, abs=0.002)
    assert at["ppv"].high == pytest.approx(0.070, abs=0.002)


@pytest.mark.parametrize("n", [1, 5, 50, 1000])
def test_a_perfect_area_is_not_certain(n: int) -> None:
    truth = np.arange(2 * n) < n
    perfect, reversed_ = roc_auc(truth, truth.astype(float), LEVEL), roc_auc(truth, 1.0 - truth, LEVEL)
    assert (perfect.high, reversed_.low) == (1.0, 0.0)
    assert perfect.low is not None
    assert reversed_.high is not None
    assert 0 < perfect.low < 1 - 1 / (2 * n)
    assert reversed_.high == pytest.approx(1 - perfect.low, abs=1e-6)


def test_net_benefit_weighs_false_alarms_by_the_threshold() -> None:
    at = measure_counts(Counts(hits=30, misses=10, alarms=20, passes=140), 0.2, None, LEVEL)
    assert at["net_benefit"].value == pytest.approx((30 - 20 * 0.25) / 200)


def test_a_coefficient_of_few_mistakes_has_no_interval() -> None:
    at = measure_counts(Counts(hits=50, misses=4, alarms=30, passes=900), 0.5, None, LEVEL)
    assert (at["kappa"].low, at["mcc"].high) == (None, None)
    assert at["balanced_accuracy"].low is not None


def test_what_rests_on_no_image_is_left_out() -> None:
    assert set(measure_counts(Counts(0, 0, 1, 9), 0.5, None, LEVEL)) == {"specificity", "ppv", "npv"}
    assert set(measure_counts(Counts(3, 1, 0, 0), 0.5, 0.1, LEVEL)) == {"sensitivity"}
    assert "ppv" not in measure_counts(Counts(0, 4, 0, 9), 0.5, None, LEVEL), "nothing was decided positive"


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5, 4.5])
@pytest.mark.parametrize("positives", [15, 100])
@pytest.mark.slow
def test_intervals_of_areas_hold_the_truth_as_often_as_they_say(shift: float, positives: int) -> None:
    rng = np.random.default_rng(7)
    area = float(norm.cdf(shift / 2**0.5))
    large = drawn(np.random.default_rng(1), positives * 1000, positives * 4000, shift)
    precision = float(reference.average_precision_score(*large))
    held = {"area": 0, "precision": 0}
    for _ in range(DRAWS):
        positive, scores = drawn(rng, positives, positives * 4, shift)
        found = roc_auc(positive, scores, LEVEL), average_precision(positive, scores, LEVEL)
        for name, each, truth in zip(held, found, (area, precision), strict=True):
            assert each.low is not None
            assert each.high is not None
            held[name] += each.low <= truth <= each.high
    assert held["area"] / DRAWS >= 0.93
    assert held["precision"] / DRAWS >= 0.90


@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.8, 0.9), (0.98, 0.99), (0.6, 0.6)])
@pytest.mark.parametrize("n", [(20, 100), (200, 200)])
@pytest.mark.slow
def test_intervals_of_counts_hold_the_truth_as_often_as_they_say(
    sensitivity: float, specificity: float, n: tuple[int, int]
) -> None:
    """At stated prevalence too. Images of each side are fixed in number, as in a set that somebody gathered."""
    rng, prevalence, threshold = np.random.default_rng(3), 0.05, 0.4
    shares = np.array(
        [n[0] * sensitivity, n[0] * (1 - sensitivity), n[1] * (1 - specificity), n[1] * specificity]
    )
    exact = measure_counts(Counts(*(int(each) for each in shares * 1_000_000)), threshold, prevalence, LEVEL)
    held = dict.fromkeys(exact, 0)
    for _ in range(DRAWS):
        hits, passes = rng.binomial(n[0], sensitivity), rng.binomial(n[1], specificity)
        at = measure_counts(Counts(hits, n[0] - hits, n[1] - passes, passes), threshold, prevalence, LEVEL)
        for name, each in at.items():
            # a coefficient of too few mistakes has none; Wilson itself holds .92 near 1 (Brown, Cai, DasGupta 2001)
            held[name] += each.low is None or each.high is None or each.low <= exact[name].value <= each.high
    assert {name: times for name, times in held.items() if times < 0.91 * DRAWS} == {}
