"""A version as MLflow runs it, whose answers come into the inference log ("models from code": this file is copied).

It answers as the version's own model does, and holds no weights: they are loaded, verified and judged by the gate when
a server starts.
"""

import os
import time
import uuid

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModelContext

from resnet_ops.data.depth import dtype_of
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.predictions import Predictions
from resnet_ops_monitoring.serving.scorer import score_batch
from resnet_ops_monitoring.serving.source import version_of
from resnet_ops_monitoring.serving.version import Version
from resnet_ops_registry.client.served_model import ServedModel

_LOG = "RESNET_OPS_INFERENCE_LOG"


class _Recorded:
    """The version's model, whose every prediction is recorded; requests with many images are `ID#0`, `ID#1` ..."""

    def __init__(self, version: Version) -> None:
        self._version, model = version, version.model
        self.name, self.classes, self.task = model.name, model.classes, model.task
        self.image_size, self.channels, self.depth = model.image_size, model.channels, model.depth

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        if not len(images):
            return self._version.model.predict(images, batch_size)
        begin, request_id = time.perf_counter(), uuid.uuid4().hex
        try:
            scored = score_batch(self._version.model, images, batch_size)
        except DataError:  # what is no image was never a request to the model
            raise
        except Exception:
            milliseconds = 1000 * (time.perf_counter() - begin)
            self._version.record_unanswered("failed", request_id, None, milliseconds)
            raise
        self._version.record(scored, request_id, None, 1000 * (time.perf_counter() - begin))
        return scored.predictions


class LoggedModel(ServedModel):
    """Each process that loads it has a writer of its own, which closes itself when the process ends."""

    def load_context(self, context: PythonModelContext) -> None:
        url, settings = os.environ.get(_LOG), context.model_config
        if not url:
            raise ConfigError(f"Set {_LOG} to the inference log's URL, such as sqlite:////srv/inference.db.")
        version = version_of(settings["uri"], settings["ungated"], settings["threads"])
        version.open_log(url)
        self.model, self.point = _Recorded(version), version.operating
        self.kind = dtype_of(version.model.depth)


set_model(LoggedModel())
