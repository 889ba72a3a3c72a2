"""A training that can be watched in MLflow while it runs, and never depends on MLflow."""

import logging
import math
import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from resnet_ops.console import console
from resnet_ops.errors import ResnetOpsError
from resnet_ops.training.epoch import Epoch
from resnet_ops_registry.client import runs
from resnet_ops_registry.client.sender import Sender
from resnet_ops_registry.client.system_metrics import SystemMetrics
from resnet_ops_registry.common.connection import connect, ensure_experiment
from resnet_ops_registry.common.mlflow_errors import cause
from resnet_ops_registry.common.settings import mask_password, prepare_environment, tracking_uri
from resnet_ops_registry.gate.display import MEMBER_TAG, WEIGHTS_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["LiveRun"]

LIVE_METRICS = (
    "learning_rate",
    "train_loss",
    "train_score",
    "validation_loss",
    "validation_score",
    "images_per_second",
)


class LiveRun:
    """The MLflow run of one training, with its curves and what the machine does; a context manager.

    Everything is sent by a thread, so that training does not wait. When MLflow does not answer, that is said once,
    training goes on, and what MLflow missed is sent, in order, when it answers again, or once more at the end. What is
    missing even then, publishing the model makes up for. A run that a killed process left behind on this host is closed
    as KILLED.
    """

    def __init__(self, experiment: str, member: str) -> None:
        self._experiment = experiment
        self._member = member
        self._client: MlflowClient
        self._run_id = ""
        self._system = SystemMetrics(self._log)

    def __enter__(self) -> "LiveRun":
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        prepare_environment()
        # it would say of every try that it failed
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        failures = (ResnetOpsError, MlflowException, RequestException, SQLAlchemyError, OSError)
        self._sender = Sender(failures, self._report)
        self._sender.put(self._begin)
        self._sender.start()
        self._system.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._system.close()
        if kind is not None:
            self._sender.put(lambda: self._client.set_terminated(self._run_id, "FAILED"))
        if self._sender.close():
            console.print(
                f"MLflow did not answer to the end ({self._place}). Registering the model makes up for it.",
                style="yellow",
            )

    def log_epoch(self, epoch: Epoch) -> None:
        """Show one epoch; give it to `fit` as a callback."""
        values = {name: getattr(epoch, name) for name in LIVE_METRICS}
        values = {name: value for name, value in values.items() if not math.isnan(value)}
        self._log(values, time.time_ns() // 1_000_000, epoch.epoch)

    def finish(self, weights_digest: str) -> None:
        """Say which weights came out, and end the run; publishing the weights completes it."""
        self._sender.put(lambda: self._client.set_tag(self._run_id, WEIGHTS_TAG, weights_digest))
        self._sender.put(lambda: self._client.set_terminated(self._run_id))

    def _begin(self) -> None:
        client = connect()
        experiment = ensure_experiment(client, self._experiment)
        runs.close_abandoned(client, experiment)
        tags = {MEMBER_TAG: self._member, runs.PROCESS_TAG: runs.this_process()}
        self._run_id = client.create_run(experiment, run_name=self._member, tags=tags).info.run_id
        self._client = client

    def _log(self, values: Mapping[str, float], milliseconds: int, step: int) -> None:
        """The same point sent twice is there once: MLflow tells points apart by time and step."""
        from mlflow.entities import Metric

        metrics = [Metric(name, value, milliseconds, step) for name, value in values.items()]
        self._sender.put(lambda: self._client.log_batch(self._run_id, metrics=metrics))

    @property
    def _place(self) -> str:
        return mask_password(tracking_uri())

    def _report(self, error: Exception | None) -> None:
        if error is None:
            console.print(f"MLflow answers again ({self._place}); what it missed is being sent.")
            return
        problem = str(error) if isinstance(error, ResnetOpsError) else f"{self._place}: {cause(error)}."
        console.print(f"Training goes on without a live view in MLflow. {problem}", style="yellow")
