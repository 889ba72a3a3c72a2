"""What the models of all folds come to together, each asked about images that it has never seen."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from resnet_ops.cross_validation.answers import FoldAnswers
from resnet_ops.cross_validation.words import CROSS
from resnet_ops.data import PreparedData
from resnet_ops.evaluation.metrics import measure_predictions, share_right
from resnet_ops.evaluation.operating_point import OperatingPointParams, choose_threshold, score
from resnet_ops.measurement import Measurement

__all__ = ["measure_folds", "thresholds_of"]


def measure_folds(
    folds: Sequence[FoldAnswers],
    data: PreparedData,
    operating: OperatingPointParams | None,
    confidence: float,
    group: str | None,
) -> dict[str, Measurement]:
    """Accuracy in all and by class, and with an operating point sensitivity and specificity, `cross_validated.<name>`.

    Images of all folds are pooled. An interval is for the mean of these models on new images (new groups, where there
    are any), and counts the errors of two folds as independent; they are not quite, since trainings share images
    (Bengio and Grandvalet 2004). Simulations hold it. Each fold has a threshold of its own, chosen on the fold that its
    model was validated on; without sensitivity and specificity where one of them reaches the aim nowhere.
    """
    order = np.concatenate([each.held_out for each in folds])
    labels, probabilities = data.labels[order], np.concatenate([each.of_held_out for each in folds])
    names = data.groups(group)
    groups = None if names is None else names[order]
    found = measure_predictions(probabilities, labels, data.classes, CROSS, confidence, groups)
    thresholds = thresholds_of(folds, data, operating)
    if operating is not None and all(each is not None for each in thresholds):
        positive, scores = score(probabilities, labels, data.classes, operating.positive)
        at = np.repeat(np.array(thresholds, float), [len(each.held_out) for each in folds])
        for name, side, wanted in (("sensitivity", positive, True), ("specificity", ~positive, False)):
            right = (scores >= at)[side] == wanted
            some = None if groups is None else groups[side]
            found[f"{CROSS}.{name}"] = share_right(right, confidence, some)
    said = {
        name: replace(each, method=each.method and f"{each.method}, {len(folds)} folds pooled")
        for name, each in found.items()
    }
    return said | {f"{CROSS}.models": Measurement(value=len(folds), n=len(order), unit="models")}


def thresholds_of(
    folds: Sequence[FoldAnswers], data: PreparedData, operating: OperatingPointParams | None
) -> list[float | None]:
    """Where the model of each fold decides; None where there is no operating point, or it reaches the aim nowhere."""
    if operating is None:
        return [None] * len(folds)
    return [
        choose_threshold(
            *score(each.of_watched, data.labels[each.watched], data.classes, operating.positive), operating
        )
        for each in folds
    ]
