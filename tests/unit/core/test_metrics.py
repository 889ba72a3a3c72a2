"""Metrics against scikit-learn and against examples worked out by hand."""

import numpy as np
import pytest
from sklearn import metrics as reference

from resnet_ops.evaluation.intervals import wilson
from resnet_ops.evaluation.metrics import (
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
    measure_predictions,
)

CLASSES = ("cat", "dog", "emu", "fox")


def make_predictions(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Softmax rows (n, 4) that are right more often than not, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    logits = rng.normal(size=(n, 4))
    logits[np.arange(n), labels] += 1.5
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


def two_class(confidences: list[float]) -> np.ndarray:
    """Rows that predict class 0 with these probabilities."""
    return np.array([[value, 1 - value] for value in confidences])


def test_calibration_error_of_an_example_worked_out_by_hand() -> None:
    probabilities = two_class([0.95, 0.95, 0.65, 0.55])
    labels = np.array([0, 1, 0, 1])
    # bin (.9, 1]: 2 of 4, gap |.5 - .95|; bin (.6, .7]: 1 of 4, gap |1 - .65|; bin (.5, .6]: 1 of 4, gap |0 - .55|
    expected = 2 / 4 * 0.45 + 1 / 4 * 0.35 + 1 / 4 * 0.55
    assert expected_calibration_error(probabilities, labels, bins=10) == pytest.approx(expected)


def test_a_bin_holds_its_right_edge() -> None:
    probabilities, labels = two_class([0.5, 0.75]), np.array([0, 1])
    # .5 lies in (0, .5] and .75 in (.5, 1]; in one bin their errors would cancel out to .125
    assert expected_calibration_error(probabilities, labels, bins=2) == pytest.approx((0.5 + 0.75) / 2)


def test_calibration_error_is_zero_when_certain_and_right_and_one_when_certain_and_wrong() -> None:
    probabilities = two_class([1.0] * 10)
    assert expected_calibration_error(probabilities, np.zeros(10, int)) == 0
    assert expected_calibration_error(probabilities, np.ones(10, int)) == 1


def test_every_metric_is_measured_with_its_number_interval_and_method() -> None:
    probabilities, labels = make_predictions()
    predicted = probabilities.argmax(1)
    measured = measure_predictions(probabilities, labels, CLASSES, "test", 0.95, seed=0)
    assert set(measured) == {
        "test.top1",
        "test.macro_f1",
        "test.ece",
        "test.worst_class_recall",
        *(f"test.recall.{name}" for name in CLASSES),
    }
    top1 = measured["test.top1"]
    hits = int((predicted == labels).sum())
    assert (top1.value, top1.n, top1.method) == (hits / 300, 300, "wilson 0.95")
    assert (top1.low, top1.high) == wilson(hits, 300, 0.95)
    recalls = reference.recall_score(labels, predicted, average=None)
    for name, recall, count in zip(CLASSES, recalls, np.bincount(labels), strict=True):
        assert measured[f"test.recall.{name}"].value == pytest.approx(recall)
        assert measured[f"test.recall.{name}"].n == count
    assert measured["test.worst_class_recall"] == measured[f"test.recall.{CLASSES[recalls.argmin()]}"]
    f1 = measured["test.macro_f1"]
    assert f1.value == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert f1.low is not None
    assert f1.high is not None
    assert f1.low < f1.value < f1.high
    assert (f1.n, f1.method) == (300, "bootstrap 0.95")
    assert measured["test.ece"].value == pytest.approx(expected_calibration_error(probabilities, labels))


def test_measuring_twice_gives_the_same_numbers() -> None:
    probabilities, labels = make_predictions(60)
    first, again, other = (
        measure_predictions(probabilities, labels, CLASSES, "test", 0.95, seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first["test.macro_f1"].low != other["test.macro_f1"].low


def test_a_class_without_images_is_the_worst_and_says_that_nothing_is_known() -> None:
    probabilities, labels = make_predictions(80)
    keep = labels != 2
    worst = measure_predictions(probabilities[keep], labels[keep], CLASSES, "test", 0.95, 0)[
        "test.worst_class_recall"
    ]
    assert (worst.value, worst.n, worst.low, worst.high) == (0.0, 0, 0.0, 1.0)
