"""The model as MLflow runs it ("models from code"): this file is copied beside the weights, no pickle is made.

Takes images (N, H, W, C) of the type that its signature names, gives probabilities (N, K) in the order of the model's
classes. A version of a registry that has an operating point gives `probabilities`, `score` (N,) and `decision` (N,)
bool, by its signed threshold. A detector gives `boxes` (N, D, 4) in pixels, `scores` and `classes` (N, D), of which
class 0 stands for no box.
"""

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedModel(PythonModel):
    """Loads trained weights or an export, and member.json, through the core; the threshold through the registry."""

    def load_context(self, context: PythonModelContext) -> None:
        from resnet_ops.data.depth import dtype_of
        from resnet_ops.export.exported import load_deployed
        from resnet_ops_registry.client.operating_point import served_operating_point

        folder = Path(context.artifacts["weights"]).parent
        self.model, self.point = load_deployed(folder), served_operating_point(folder)
        self.kind = dtype_of(self.model.depth)

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray | dict[str, np.ndarray]:
        found = self.model.predict(np.asarray(model_input, dtype=self.kind))
        if found.boxes is not None:
            return {"boxes": found.boxes, "scores": found.probabilities, "classes": found.predicted}
        probabilities = found.probabilities
        if self.point is None:
            return probabilities
        return {
            "probabilities": probabilities,
            "score": self.point.scores(probabilities, self.model.classes),
            "decision": self.point.called(probabilities, self.model.classes),
        }


set_model(ServedModel())
