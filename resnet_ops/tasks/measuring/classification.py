"""How classification is measured: by `resnet_ops.evaluation`."""

from dataclasses import dataclass
from pathlib import Path

from resnet_ops.data import PreparedData
from resnet_ops.evaluation.evaluate import Evaluation, evaluate, save_evaluation
from resnet_ops.evaluation.params import EvaluateParams
from resnet_ops.measurement import Measurement
from resnet_ops.messages import Progress
from resnet_ops.predictions import DeployedModel

__all__ = ["ClassificationMeasuring"]


@dataclass(frozen=True)
class _Findings:
    """See `resnet_ops.tasks.measuring.measuring.Findings`."""

    evaluation: Evaluation

    @property
    def measured(self) -> dict[str, Measurement]:
        return self.evaluation.measured

    def save(self, name: str, params: EvaluateParams, folder: Path) -> None:
        save_evaluation(self.evaluation, name, params, folder)


class ClassificationMeasuring:
    """See `resnet_ops.tasks.measuring.measuring.Measuring`."""

    shown: tuple[str, ...] = ("test.top1", "test.worst_slice", "calibrated.ece", "robustness.mean_accuracy")

    def evaluate(
        self,
        model: DeployedModel,
        data: PreparedData,
        params: EvaluateParams,
        seed: int,
        progress: Progress,
        group: str | None,
    ) -> _Findings:
        return _Findings(evaluate(model, data, params, seed, progress, group))
