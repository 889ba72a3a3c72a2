"""How far an export is from the original in its boxes."""

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.evaluation.metrics import mean_of
from resnet_ops.measurement import Measurement
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.detection.matching import match
from resnet_ops.tasks.detection.measured import answered, as_detections, as_labels
from resnet_ops.tasks.detection.measures import measure_detections
from resnet_ops.tasks.detection.pairing import image_precision, overlaps, pair

__all__ = ["DetectionParity"]

SAME = 0.9
"""Intersection over union from which on two boxes are the same: rounding moves them by far less."""


class DetectionParity:
    """See `resnet_ops.tasks.parity.parity.Parity`. The headline metric is `ap`.

    Boxes of both are paired that are of one class and overlap by SAME. `max_logit_difference` is the largest difference
    of the scores of a pair; a box without a counterpart counts with its score. `equal_predictions` is the share of
    boxes, of both, that have one. `accuracy_loss` is the mean over images of the original's average precision at 0.5
    less the export's, with Wilson's interval at the effective n of the differences.
    """

    def __init__(self, original: DeployedModel, test: PreparedData) -> None:
        self._test, self._rows = test, answered(original, test)

    def measure(self, exported: DeployedModel, confidence: float) -> dict[str, Measurement]:
        test, rows = self._test, answered(exported, self._test)
        targets, n = np.asarray(test.asked), len(test)
        differences, paired, boxes = [0.0], 0, 0
        for was, now in zip(self._rows, rows, strict=True):
            was, now = was[was[:, 5] > 0], now[now[:, 5] > 0]
            same = was[:, 5, None] == now[None, :, 5]
            found = pair(np.where(same, overlaps(was[:, :4], now[:, :4]), 0), SAME)
            hit = found >= 0
            alone = np.setdiff1d(np.arange(len(now)), found)
            differences += [*np.abs(was[hit, 4] - now[found[hit], 4]), *was[~hit, 4], *now[alone, 4]]
            paired, boxes = paired + 2 * int(hit.sum()), boxes + len(was) + len(now)
        lost = np.array(
            [
                _kept(image_precision(was, target)) - _kept(image_precision(now, target))
                for was, now, target in zip(self._rows, rows, targets, strict=True)
            ]
        )
        labels = as_labels(test)
        matches = match(labels, as_detections(rows))
        largest = float(np.max(differences))
        return {
            "max_logit_difference": Measurement(
                value=largest if np.isfinite(largest) else float(np.finfo(np.float64).max), n=n, unit="score"
            ),
            "equal_predictions": Measurement(value=paired / boxes if boxes else 1.0, n=n, unit="fraction"),
            "ap": measure_detections(matches, labels.classes, n, 0.5, "test", confidence, 1000, 0)["test.ap"],
            "accuracy_loss": mean_of(lost, confidence, (-1, 1)),
        }


def _kept(score: float) -> float:
    """A score as evidence keeps it, in 16 bits: the last digits of floats are the processor's."""
    return round(score * 65535) / 65535
