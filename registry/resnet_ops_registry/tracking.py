"""A training that can be watched in MLflow while it runs, and never depends on MLflow."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from resnet_ops.console import console
from resnet_ops.errors import ResnetOpsError
from resnet_ops.training.epoch import Epoch
from resnet_ops_registry import runs
from resnet_ops_registry.display import MEMBER_TAG, WEIGHTS_TAG
from resnet_ops_registry.mlflow_errors import cause
from resnet_ops_registry.settings import connect, ensure_experiment, mask_password, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["LiveRun"]

LIVE_METRICS = (
    "learning_rate",
    "train_loss",
    "train_top1",
    "validation_loss",
    "validation_top1",
    "images_per_second",
)


class LiveRun:
    """The MLflow run of one training; a context manager.

    When MLflow does not answer, it says so once and training goes on: publishing the model makes the run then,
    with the whole curve. A run that a killed process left behind on this host is closed as KILLED.
    """

    def __init__(self, experiment: str, member: str) -> None:
        self._experiment = experiment
        self._member = member
        self._client: MlflowClient | None = None
        self._run_id = ""

    def __enter__(self) -> "LiveRun":
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        with self._forgiving():
            client = connect()
            experiment = ensure_experiment(client, self._experiment)
            runs.close_abandoned(client, experiment)
            tags = {MEMBER_TAG: self._member, runs.PROCESS_TAG: runs.this_process()}
            self._run_id = client.create_run(experiment, run_name=self._member, tags=tags).info.run_id
            self._client = client
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._client:
            with self._forgiving():
                self._client.set_terminated(self._run_id, "FAILED")

    def log_epoch(self, epoch: Epoch) -> None:
        """Show one epoch; give it to `fit` as a callback."""
        if self._client is None:
            return
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        metrics = [Metric(name, getattr(epoch, name), now, epoch.epoch) for name in LIVE_METRICS]
        with self._forgiving():
            self._client.log_batch(self._run_id, metrics=metrics)

    def finish(self, weights_digest: str) -> None:
        """Say which weights came out, and end the run; publishing the weights completes it."""
        if self._client is not None:
            with self._forgiving():
                self._client.set_tag(self._run_id, WEIGHTS_TAG, weights_digest)
                self._client.set_terminated(self._run_id)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """A failure of MLflow is said once, in one line, and ends the live view, not the training."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except ResnetOpsError as error:
            problem = str(error)
        except MlflowException as error:
            place = mask_password(tracking_uri())
            problem = f"{place}: {cause(error)}. Registering the model makes up for it."
        else:
            return
        self._client = None
        console.print(f"Training goes on without a live view in MLflow. {problem}", style="yellow")
