"""A judged window in MLflow: pages and numbers in one run for each monitored model version, and curves over time."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, ViewType
from mlflow.exceptions import MlflowException

from resnet_ops.errors import ServiceError
from resnet_ops.files import canonical_json, file_digest
from resnet_ops_monitoring.drift.verdict import SideVerdict, Verdict, check_window_name, load_verdict
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.report.report import EVIDENTLY, PAGE, VERDICT
from resnet_ops_monitoring.statistics.operating_estimate import SIDES
from resnet_ops_registry.client.runs import is_there
from resnet_ops_registry.common.connection import ensure_experiment
from resnet_ops_registry.common.settings import mask_password
from resnet_ops_registry.operations.server import TRAINING_VIEW

__all__ = ["answering", "monitoring_run", "publish_window"]

_DIGEST_TAG = "resnet_ops.monitored_digest"
_WINDOW_TAG = "resnet_ops.window."
_WINDOW = re.compile(r"(?P<number>[0-9]{1,9}):(?P<content>.*)")


def publish_window(client: MlflowClient, folder: Path) -> str:
    """Log a window's `folder` (review.html, verdict.json, evidently.html if there is one) into MLflow.

    It goes into experiment "<registered model>/monitoring", one run for each model version, artifacts under
    `windows/<window>`, metrics with the window's number as step and its last row's time as timestamp. Returns where
    the page opens in the UI, `#/experiments/E/runs/R/artifacts/PATH`. A repeat with the same content adds nothing; a
    publication that was cut off is completed by the next call. Raises ServiceError when MLflow does not answer,
    DataError for a name that is no path segment.
    """
    verdict = load_verdict(folder / VERDICT)
    check_window_name(verdict.window)
    with answering(client, "take the window"):
        run = monitoring_run(client, verdict.identity)
        place = f"windows/{verdict.window}"
        link = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/{place}/{PAGE}?{TRAINING_VIEW}"
        tag, content = f"{_WINDOW_TAG}{verdict.window}", _content(folder)
        step, published = _step(run, tag)
        if published == content:
            return link
        client.set_tag(run.info.run_id, tag, f"{step}:unfinished")
        for name in (VERDICT, EVIDENTLY, PAGE):
            if (folder / name).exists():
                client.log_artifact(run.info.run_id, str(folder / name), place)
        client.log_batch(run.info.run_id, metrics=_metrics(verdict, step))
        client.set_tag(run.info.run_id, "resnet_ops.last_verdict", f"{verdict.window}: {verdict.headline}")
        client.set_terminated(run.info.run_id)
        client.set_tag(run.info.run_id, tag, f"{step}:{content}")  # last: a repeat then has nothing to do
        return link


def _content(folder: Path) -> str:
    """Digest of verdict and page; Evidently's file differs each time it is drawn and says nothing more."""
    present = {name: file_digest(folder / name) for name in (VERDICT, PAGE)}
    return hashlib.sha256(canonical_json(present)).hexdigest()


def _step(run: Run, tag: str) -> tuple[int, str]:
    """The window's number in this run, and the digest it was published with ("" before)."""
    windows = {
        name: (int(said["number"]), said["content"])
        for name, text in run.data.tags.items()
        # anybody with an account can write a tag
        if name.startswith(_WINDOW_TAG) and (said := _WINDOW.fullmatch(text))
    }
    return windows.get(tag, (1 + max((number for number, _ in windows.values()), default=-1), ""))


def monitoring_run(client: MlflowClient, identity: ModelIdentity) -> Run:
    """The run that keeps all about one monitored version: restored if it was deleted in the UI, made where missing."""
    experiment = ensure_experiment(client, f"{identity.name}/monitoring")
    query = f"tags.`{_DIGEST_TAG}` = '{identity.digest}' and tags.`resnet_ops.version` = '{identity.version}'"
    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY):
        found = client.search_runs([experiment], query, view, 1, ["attributes.start_time ASC"])
        if found:
            is_there(client, found[0].info.run_id)
            return found[0]
    tags = {
        _DIGEST_TAG: identity.digest,
        "resnet_ops.model": identity.name,
        "resnet_ops.version": identity.version,
    }
    return client.create_run(experiment, tags=tags, run_name=f"monitoring of {identity}")


def _metrics(verdict: Verdict, step: int) -> list[Metric]:
    values: dict[str, float] = {
        "alarm": float(verdict.status == "alarm"),
        "insufficient_data": float(verdict.status == "insufficient data"),
        "input_drift": float(verdict.input_drift),
        "rows": float(verdict.rows),
        "reference_accuracy": verdict.reference_accuracy.value,
    }
    if verdict.estimated_accuracy is not None:
        values["estimated_accuracy"] = verdict.estimated_accuracy
    if verdict.real_accuracy is not None:
        values["real_accuracy"] = verdict.real_accuracy.value
    if verdict.operating is not None:
        values["called_positive"] = verdict.operating.called
        for name in SIDES:
            side: SideVerdict = getattr(verdict.operating, name)
            values[f"estimated_{name}"] = side.estimated.value
            if side.real is not None:
                values[f"real_{name}"] = side.real.value
    for finding in verdict.findings:
        if finding.signal in ("softmax", "scalars"):
            name = f"drift.{finding.signal}"
            values[name] = max(values.get(name, 0.0), finding.statistic)
        elif finding.signal == "image":
            values[f"drift.image.{finding.column}"] = finding.statistic
        else:
            values[f"drift.{finding.signal}"] = finding.effect
    moment = int(verdict.end.timestamp() * 1000) if verdict.end else 0
    return [Metric(key, value, moment, step) for key, value in values.items()]


@contextmanager
def answering(client: MlflowClient, what: str) -> Iterator[None]:
    """Turn MLflow's errors into a ServiceError that says what it did not do."""
    try:
        yield
    except MlflowException as error:
        place = mask_password(str(client.tracking_uri))
        cause = mask_password(str(error).splitlines()[0])[:300]
        raise ServiceError(
            f"MLflow at {place} did not {what}: {cause}. Start it (make ui) or correct "
            "MLFLOW_TRACKING_URI, then run the same command again; it completes what is missing."
        ) from error
