"""Classification metrics with their intervals."""

import numpy as np

from resnet_ops.evaluation.intervals import bootstrap, wilson
from resnet_ops.measurement import Measurement

__all__ = ["confusion_matrix", "expected_calibration_error", "macro_f1", "measure_predictions"]

BOOTSTRAP_DRAWS = 1000


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) counts; rows are the true class, columns the predicted one."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def macro_f1(confusion: np.ndarray) -> float:
    """The mean over the classes of F1, a fraction; a class neither present nor predicted counts as 0."""
    hits = np.diag(confusion)
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(np.mean(np.divide(2 * hits, total, out=np.zeros(len(hits)), where=total > 0)))


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017), a fraction in [0, 1].

    probabilities: (N, C) softmax rows that sum to 1. labels: (N,) class indices. Equal-width bins on the top
    probability, closed on the right.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, bins - 1)
    weights = np.bincount(bin_of, minlength=bins)
    gap = np.abs(
        np.bincount(bin_of, weights=correct, minlength=bins)
        - np.bincount(bin_of, weights=confidence, minlength=bins)
    )
    return float(gap.sum() / max(weights.sum(), 1))


def measure_predictions(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    split: str,
    confidence: float,
    seed: int,
) -> dict[str, Measurement]:
    """Every metric of one split, named `<split>.<metric>`.

    probabilities: (N, C) softmax rows. labels: (N,) class indices. confidence: level of the intervals.
    """
    n, predicted = len(labels), probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, len(classes))

    def proportion(successes: int, trials: int) -> Measurement:
        low, high = wilson(successes, trials, confidence)
        value = successes / trials if trials else 0.0
        return Measurement(
            value=value, n=trials, low=low, high=high, method=f"wilson {confidence:g}", unit="fraction"
        )

    def resampled(statistic: "object") -> Measurement:
        assert callable(statistic)
        low, high = bootstrap(statistic, n, confidence, BOOTSTRAP_DRAWS, seed)
        value = float(statistic(np.arange(n)))
        method = f"bootstrap {confidence:g}"
        return Measurement(value=value, n=n, low=low, high=high, method=method, unit="fraction")

    recalls = {
        name: proportion(int(confusion[index, index]), int(confusion[index].sum()))
        for index, name in enumerate(classes)
    }
    measured = {
        "top1": proportion(int(np.trace(confusion)), n),
        "macro_f1": resampled(
            lambda rows: macro_f1(confusion_matrix(labels[rows], predicted[rows], len(classes)))
        ),
        "ece": resampled(lambda rows: expected_calibration_error(probabilities[rows], labels[rows])),
        "worst_class_recall": min(recalls.values(), key=lambda recall: recall.value),
        **{f"recall.{name}": recall for name, recall in recalls.items()},
    }
    return {f"{split}.{name}": measurement for name, measurement in measured.items()}
