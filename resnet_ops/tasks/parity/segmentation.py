"""How far an export is from the original in its masks."""

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.evaluation.intervals import mean_interval
from resnet_ops.measurement import Measurement
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.measuring.overlap import MEASURES, confusions, image_scores, measure
from resnet_ops.tasks.task import images_at_once

__all__ = ["SegmentationParity"]

AT_ONCE = 64
"""Images that are asked about together: their logits fill memory."""


class SegmentationParity:
    """See `resnet_ops.tasks.parity.parity.Parity`. The headline metric is `miou`.

    `equal_predictions` is a share of pixels; `accuracy_loss` the mean over images of the original's score less the
    export's, with Wilson's interval at the effective n of the differences (`intervals.mean_interval`).
    """

    def __init__(self, original: DeployedModel, test: PreparedData) -> None:
        self._original, self._test = original, test

    def measure(self, exported: DeployedModel, confidence: float) -> dict[str, Measurement]:
        test, classes = self._test, len(self._test.classes)
        largest, equal = 0.0, 0
        before: list[np.ndarray] = []
        after: list[np.ndarray] = []
        count = images_at_once(test.task, test.images.shape[1], AT_ONCE)
        for start in range(0, len(test), count):
            images = np.asarray(test.images[start : start + count])
            was, now = self._original.predict(images), exported.predict(images)
            with np.errstate(invalid="ignore"):
                difference = float(np.abs(now.logits - was.logits).max())
            largest = max(largest, difference if np.isfinite(difference) else float(np.finfo(np.float64).max))
            equal += int((now.predicted == was.predicted).sum())
            for found, answers in ((before, was), (after, now)):
                found.append(confusions(answers.predicted, test.asked[start : start + count], classes))
        confusion = np.concatenate(after)
        lost = image_scores(np.concatenate(before)) - image_scores(confusion)
        low, high = mean_interval((1 + lost) / 2, confidence)
        n = len(test)
        return {
            "max_logit_difference": Measurement(value=largest, n=n, unit="logit"),
            "equal_predictions": Measurement(value=equal / test.asked.size, n=n, unit="fraction"),
            "miou": measure(confusion, MEASURES["iou"], confidence, 0),
            "accuracy_loss": Measurement(
                value=float(lost.mean()),
                n=n,
                low=2 * low - 1,
                high=2 * high - 1,
                method=f"wilson at the effective n {confidence:g}",
                unit="fraction",
            ),
        }
