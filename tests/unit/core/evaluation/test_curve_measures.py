"""Measures at stated levels of the curves: equal to scikit-learn's, with intervals that hold, for groups too."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as reference

from resnet_ops.evaluation import intervals
from resnet_ops.evaluation.curve_measures import measure_curves
from resnet_ops.measurement import Measurement

DRAWS, LEVEL = 1000, 0.95
LEVELS = {"partial_auc": (0.1, 0.3), "precision_at_recall": (0.8, 0.95), "recall_at_precision": (0.5, 0.9)}


def drawn(
    rng: np.random.Generator, positives: int, negatives: int, shift: float
) -> tuple[np.ndarray, np.ndarray]:
    positive = np.arange(positives + negatives) < positives
    return positive, norm.cdf(rng.normal(np.where(positive, shift, 0.0), 1.0))


def measured(positive: np.ndarray, scores: np.ndarray, **more: Any) -> dict[str, Measurement]:
    return measure_curves(positive, scores, LEVELS, LEVEL, 0, **more)


def exact(positive: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """By scikit-learn."""
    precision, recall, _ = reference.precision_recall_curve(positive, scores)
    found = {
        f"test.partial_auc.{level:g}": reference.roc_auc_score(positive, scores, max_fpr=level)
        for level in LEVELS["partial_auc"]
    }
    for level in LEVELS["precision_at_recall"]:
        found[f"test.precision_at_recall.{level:g}"] = precision[recall >= level].max()
    for level in LEVELS["recall_at_precision"]:
        found[f"test.recall_at_precision.{level:g}"] = recall[precision >= level].max()
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize("seed", range(8))
def test_values_are_those_of_scikit_learn_also_where_scores_are_equal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive, scores = drawn(rng, 40, 160, (0.0, 0.7, 1.5, 4.0)[seed % 4])
    if seed >= 4:
        scores = np.round(scores, 1)
    found = measured(positive, scores)
    assert {name: each.value for name, each in found.items()} == pytest.approx(exact(positive, scores))
    for name, each in found.items():
        if each.low is not None and each.high is not None:
            assert each.low <= each.value <= each.high, name


def test_the_worst_and_the_best_order_are_the_ends_of_the_scale() -> None:
    truth = np.arange(200) < 100
    best, worst = measured(truth, truth.astype(float)), measured(truth, 1.0 - truth)
    assert {each.value for each in best.values()} == {1.0}
    assert all(each.low is not None and 0.3 < each.low < 0.99 and each.high == 1 for each in best.values())
    assert worst["test.recall_at_precision.0.9"].value == 0
    assert worst["test.recall_at_precision.0.9"].low is None, "nothing was found, so nothing tells how often"
    # McClish's scale: 0.5 for chance, below it for worse
    assert worst["test.partial_auc.0.3"].value == pytest.approx((1 - 0.3 / 1.7) / 2)
    assert worst["test.partial_auc.0.1"].low is not None
    fewer = measured(truth[:180], truth[:180].astype(float))
    assert fewer["test.partial_auc.0.1"].low is None, "only eight negatives lie in that part of the curve"


def test_without_levels_nothing_is_measured_and_few_images_have_no_interval() -> None:
    positive, scores = drawn(np.random.default_rng(0), 9, 200, 2.0)
    assert measure_curves(positive, scores, dict.fromkeys(LEVELS, ()), LEVEL, 0) == {}
    assert {each.low for each in measured(positive, scores).values()} == {None}


def test_the_seed_decides_the_interval_and_the_size_of_blocks_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    positive, scores = drawn(np.random.default_rng(0), 40, 100, 1.0)
    first = measured(positive, scores)
    assert measured(positive, scores) == first
    assert measure_curves(positive, scores, LEVELS, LEVEL, 1) != first
    monkeypatch.setattr("resnet_ops.evaluation.curve_measures.BLOCK", intervals.BLOCK // 500)
    again = measured(positive, scores)
    assert {name: each.low for name, each in again.items()} == pytest.approx(
        {name: each.low for name, each in first.items()}
    )


def test_groups_widen_the_interval_and_few_of_them_have_none() -> None:
    rng = np.random.default_rng(0)
    positive, scores = drawn(rng, 20, 40, 1.5)
    alike = np.repeat(positive, 10), np.repeat(scores, 10) + rng.normal(0, 1e-4, 600)
    groups = np.repeat(np.arange(60), 10)
    single, grouped = measured(*alike), measured(*alike, groups=groups)
    for name in ("test.partial_auc.0.3", "test.precision_at_recall.0.8"):
        widths = [(each.high or 0) - (each.low or 0) for each in (single[name], grouped[name])]
        assert grouped[name].value == single[name].value
        assert widths[1] > 1.8 * widths[0]
        assert "60 groups" in str(grouped[name].method)
    # ten groups of which four are positive
    few = measured(*alike, groups=np.where(alike[0], groups % 4, groups))
    assert {each.low for each in few.values()} == {None}


def held(truth: dict[str, float], found: list[dict[str, Measurement]]) -> dict[str, float]:
    """How often each interval that there is holds the truth; of a measure that has one in a tenth of sets or more."""
    shares = {}
    for name, true in truth.items():
        ends = [(each[name].low, each[name].high) for each in found if each[name].low is not None]
        if len(ends) >= len(found) / 10:
            shares[name] = float(np.mean([low <= true <= high for low, high in ends]))  # type: ignore[operator]
    return shares


@pytest.mark.parametrize("shift", [1.0, 2.5, 4.5])
@pytest.mark.parametrize("positives", [25, 100])
@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(
    shift: float, positives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_ops.evaluation.curve_measures.DRAWS", 100)
    rng = np.random.default_rng(7)
    truth = exact(*drawn(np.random.default_rng(1), 200_000, 800_000, shift))
    shares = held(truth, [measured(*drawn(rng, positives, positives * 4, shift)) for _ in range(DRAWS)])
    assert {name: share for name, share in shares.items() if share < 0.92} == {}
    assert len(shares) >= 4


@pytest.mark.parametrize("shift", [1.0, 2.5])
@pytest.mark.slow
def test_intervals_of_groups_hold_the_truth_where_those_of_single_images_do_not(
    shift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 parts of 15 images, a third of them positive, as alike within a part as between (a correlation of 0.5)."""
    parts, images = 60, 15
    groups = np.repeat(np.arange(parts), images)

    def sample(rng: np.random.Generator, many: int = parts) -> tuple[np.ndarray, np.ndarray]:
        positive = np.repeat(np.arange(many) < many // 3, images)
        shared = np.repeat(rng.normal(0, 0.5**0.5, many), images)
        return positive, norm.cdf(
            np.where(positive, shift, 0.0) + shared + rng.normal(0, 0.5**0.5, len(positive))
        )

    monkeypatch.setattr("resnet_ops.evaluation.curve_measures.DRAWS", 100)
    truth = exact(*sample(np.random.default_rng(1), 60_000))
    rng = np.random.default_rng(11)
    samples = [sample(rng) for _ in range(DRAWS)]
    aware = held(truth, [measured(*each, groups=groups) for each in samples])
    naive = held(truth, [measured(*each) for each in samples[:200]])
    assert {name: share for name, share in aware.items() if share < 0.92} == {}
    assert len(aware) >= 4
    assert min(naive.values()) < 0.75
