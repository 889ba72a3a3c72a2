"""How far an export of a classifier is from the original: answers and logits of an image."""

from resnet_ops.data import PreparedData
from resnet_ops.export.parity import measure_parity
from resnet_ops.measurement import Measurement
from resnet_ops.predictions import DeployedModel

__all__ = ["ClassificationParity"]


class ClassificationParity:
    """See `resnet_ops.tasks.parity.parity.Parity`. The headline metric is `top1`."""

    def __init__(self, original: DeployedModel, test: PreparedData) -> None:
        self._test = test
        self._original = original.predict(test.images)

    def measure(self, exported: DeployedModel, confidence: float) -> dict[str, Measurement]:
        answers = exported.predict(self._test.images)
        return measure_parity(self._original, answers, self._test.labels, confidence)
