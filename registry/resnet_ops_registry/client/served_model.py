"""The model as MLflow runs it ("models from code"): this file is copied beside the weights, no pickle is made.

Takes uint8 images (N, H, W, C), gives probabilities (N, K) in the order of the model's classes.
"""

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedModel(PythonModel):
    """Loads trained weights or an export, and member.json, through the core."""

    def load_context(self, context: PythonModelContext) -> None:
        from resnet_ops.export.exported import load_deployed

        self.model = load_deployed(Path(context.artifacts["weights"]).parent)

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        return self.model.predict(np.asarray(model_input, dtype=np.uint8)).probabilities


set_model(ServedModel())
