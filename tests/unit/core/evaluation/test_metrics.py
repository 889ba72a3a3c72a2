"""Metrics against scikit-learn and against examples worked out by hand."""

import numpy as np
import pytest
from sklearn import metrics as reference

from resnet_ops.evaluation.intervals import lowest_interval, wilson
from resnet_ops.evaluation.metrics import (
    confusion_matrix,
    lowest_of,
    macro_f1,
    measure_predictions,
    top_k_hits,
)

CLASSES = ("cat", "dog", "emu", "fox")


def make_predictions(
    n: int = 300, classes: int = 4, seed: int = 0, signal: float = 1.5
) -> tuple[np.ndarray, np.ndarray]:
    """Softmax rows (n, classes) that are right more often than not, and labels of unequal frequency."""
    rng = np.random.default_rng(seed)
    share = np.arange(classes, 0, -1) / (classes * (classes + 1) / 2)
    labels = rng.choice(classes, n, p=share)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), labels] += signal
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("seed", range(3))
def test_confusion_and_macro_f1_are_those_of_scikit_learn(seed: int) -> None:
    probabilities, labels = make_predictions(seed=seed)
    predicted = probabilities.argmax(1)
    confusion = confusion_matrix(labels, predicted, 4)
    assert np.array_equal(confusion, reference.confusion_matrix(labels, predicted))
    assert macro_f1(confusion) == pytest.approx(reference.f1_score(labels, predicted, average="macro"))


def test_a_class_that_is_neither_present_nor_predicted_counts_as_zero() -> None:
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    expected = reference.f1_score(labels, predicted, labels=[0, 1, 2], average="macro", zero_division=0)
    assert macro_f1(confusion_matrix(labels, predicted, 3)) == pytest.approx(expected)


def test_the_confusion_of_nothing_is_zero() -> None:
    empty = np.empty(0, np.int64)
    assert confusion_matrix(empty, empty, 3).tolist() == [[0, 0, 0]] * 3


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_is_that_of_scikit_learn(k: int) -> None:
    probabilities, labels = make_predictions(classes=8, signal=0.5)
    expected = reference.top_k_accuracy_score(labels, probabilities, k=k, normalize=False)
    assert top_k_hits(probabilities, labels, k) == expected


def test_of_equal_probabilities_the_first_classes_count() -> None:
    assert top_k_hits(np.full((6, 6), 1 / 6), np.arange(6), 5) == 5


def test_every_metric_is_measured_with_its_number_interval_and_method() -> None:
    probabilities, labels = make_predictions()
    predicted = probabilities.argmax(1)
    measured = measure_predictions(probabilities, labels, CLASSES, "test", 0.95)
    by_class = [f"test.{kind}.{name}" for kind in ("recall", "precision") for name in CLASSES]
    assert set(measured) == {"test.top1", "test.macro_f1", "test.worst_class_recall", *by_class}
    top1 = measured["test.top1"]
    hits = int((predicted == labels).sum())
    assert (top1.value, top1.n, top1.method) == (hits / 300, 300, "wilson 0.95")
    assert (top1.low, top1.high) == wilson(hits, 300, 0.95)
    for kind, score, counted in (
        ("recall", reference.recall_score, labels),
        ("precision", reference.precision_score, predicted),
    ):
        expected = score(labels, predicted, average=None)
        for name, value, count in zip(CLASSES, expected, np.bincount(counted), strict=True):
            assert measured[f"test.{kind}.{name}"].value == pytest.approx(value)
            assert measured[f"test.{kind}.{name}"].n == count
    f1 = measured["test.macro_f1"]
    assert f1.value == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert f1.low is not None
    assert f1.high is not None
    assert f1.low < f1.value < f1.high


def test_the_worst_class_has_its_own_number_of_images_and_an_interval_that_knows_it_was_picked() -> None:
    probabilities, labels = make_predictions()
    predicted = probabilities.argmax(1)
    worst = measure_predictions(probabilities, labels, CLASSES, "test", 0.95)["test.worst_class_recall"]
    recalls, counts = reference.recall_score(labels, predicted, average=None), np.bincount(labels)
    assert worst.value == pytest.approx(recalls.min())
    assert worst.n == counts[recalls.argmin()]
    hits = [(round(recall * n), int(n)) for recall, n in zip(recalls, counts, strict=True)]
    assert (worst.low, worst.high) == lowest_interval(hits, 0.95)


def test_top_five_is_measured_where_there_are_more_than_five_classes() -> None:
    probabilities, labels = make_predictions(classes=6)
    measured = measure_predictions(probabilities, labels, tuple("abcdef"), "test", 0.95)
    expected = reference.top_k_accuracy_score(labels, probabilities, k=5)
    assert measured["test.top5"].value == pytest.approx(expected)


def test_nothing_is_said_of_a_class_without_images_so_that_a_rule_on_it_refuses() -> None:
    probabilities, labels = make_predictions(80)
    keep = labels != 2
    measured = measure_predictions(probabilities[keep], labels[keep], CLASSES, "test", 0.95)
    assert "test.recall.emu" not in measured
    assert "test.worst_class_recall" not in measured
    assert measured["test.precision.emu"].value == 0
    assert measured["test.macro_f1"].low is None


@pytest.mark.slow
@pytest.mark.parametrize(("n", "signal"), [(120, 1.5), (360, 5.0)])
def test_the_interval_of_macro_f1_covers_it_as_often_as_it_says(n: int, signal: float) -> None:
    everything, truth = make_predictions(100_000, seed=1, signal=signal)
    predicted = everything.argmax(1)
    expected = macro_f1(confusion_matrix(truth, predicted, 4))
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(1000):
        rows = rng.integers(0, len(truth), n)
        f1 = measure_predictions(everything[rows], truth[rows], CLASSES, "test", 0.95)["test.macro_f1"]
        if f1.low is not None and f1.high is not None:
            covered.append(f1.low <= expected <= f1.high)
    assert len(covered) > 950
    assert 0.93 <= np.mean(covered) <= 0.985


def test_images_in_groups_widen_the_intervals_of_shares() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    truth = rng.integers(0, 2, 200)
    right = (rng.random(20) < 0.8)[groups]
    probabilities = np.eye(2)[np.where(right, truth, 1 - truth)] * 0.8 + 0.1
    plain = measure_predictions(probabilities, truth, ("a", "b"), "test", 0.95)
    grouped = measure_predictions(probabilities, truth, ("a", "b"), "test", 0.95, groups)
    for name in ("test.top1", "test.recall.a", "test.precision.b", "test.worst_class_recall"):
        narrow, wide = plain[name], grouped[name]
        assert (narrow.value, narrow.n) == (wide.value, wide.n)
        assert None not in (narrow.low, narrow.high, wide.low, wide.high)
        assert wide.low < narrow.low  # type: ignore[operator]
        assert "groups" in str(wide.method)
    assert grouped["test.macro_f1"].low is None


@pytest.mark.slow
def test_the_lowest_of_sites_whose_patients_have_several_images_is_covered_at_the_stated_level() -> None:
    """4 sites of 25 patients with 8 images, of which a patient's are right or wrong together, .85 at each site."""
    rng, groups, draws = np.random.default_rng(4), np.repeat(np.arange(100), 8), 1000
    sites = np.split(np.arange(800), 4)
    held = {"groups": 0, "images": 0}
    for _ in range(draws):
        right = (rng.random(100) < 0.85)[groups]
        for name, of in (("groups", groups), ("images", None)):
            found = lowest_of(sites, right, of, 0.9)
            assert found.low is not None
            assert found.high is not None
            held[name] += found.low <= 0.85 <= found.high
    assert held["groups"] >= 0.9 * draws
    assert held["images"] < 0.7 * draws, "which is why groups are named"


def test_the_lowest_of_parts_with_too_few_groups_has_no_interval() -> None:
    groups = np.repeat(np.arange(20), 5)
    right = np.ones(100, dtype=bool)
    many, few = np.arange(100), np.arange(20)
    assert lowest_of([many], right, groups, 0.95).low is not None
    assert lowest_of([many, few], right, groups, 0.95).low is None
