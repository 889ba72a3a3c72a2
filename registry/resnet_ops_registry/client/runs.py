"""The training run in MLflow that belongs to a model, found or made, and completed once."""

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.common.distinct import distinct
from resnet_ops_registry.common.mlflow_errors import is_unknown
from resnet_ops_registry.gate.display import MEMBER_TAG, WEIGHTS_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.entities.model_registry import ModelVersion

__all__ = [
    "PROCESS_TAG",
    "close_abandoned",
    "complete",
    "find_or_create",
    "is_there",
    "model_id_of",
    "this_process",
]

COMPLETED_TAG = "resnet_ops.completed"
PROCESS_TAG = "resnet_ops.process"
PARENT_TAG = "mlflow.parentRunId"
STEP = "epoch"  # the column of a history that counts, as the live view does, from 1
BATCH = 500
_PROCESS = re.compile(r"(?P<host>\S+) (?P<number>[0-9]{1,9}) (?P<started>[0-9]{1,12})")
CLOCK_SECONDS = 5  # by which setting the clock may move a start time


def find_or_create(
    client: "MlflowClient", experiment_id: str, member: str, digest: str, exported_from: str | None
) -> str:
    """The id of the oldest run whose weights have this digest; a new one where there is none.

    exported_from: the digest of the trained weights, whose run a new run of an export is shown under.
    """
    if known := _find(client, experiment_id, digest):
        return known
    tags = {WEIGHTS_TAG: digest, MEMBER_TAG: member}
    if exported_from and (parent := _find(client, experiment_id, exported_from)):
        tags[PARENT_TAG] = parent
    return str(client.create_run(experiment_id, run_name=member, tags=tags).info.run_id)


def _find(client: "MlflowClient", experiment_id: str, digest: str) -> str | None:
    found = client.search_runs(
        [experiment_id],
        f"tags.`{WEIGHTS_TAG}` = '{digest}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    return str(found[0].info.run_id) if found else None


def is_there(client: "MlflowClient", run_id: str | None) -> bool:
    """Whether a version's run is there for us, where its card and evidence lie; one deleted in the UI is restored.

    Whoever may make versions can name a run that only they may see.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id) if run_id else None
        if run is not None and run.info.lifecycle_stage == "deleted":
            client.restore_run(run.info.run_id)
    except MlflowException as error:
        if not is_unknown(error) and error.error_code != "PERMISSION_DENIED":
            raise
        return False
    return run is not None


def this_process() -> str:
    """This process, as `PROCESS_TAG` names it: host, number, and start, because numbers are used again."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.0f}"


def close_abandoned(client: "MlflowClient", experiment_id: str) -> None:
    """End the runs whose training was killed on this host: FINISHED where its weights are known, else KILLED."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        if _is_gone(run.data.tags.get(PROCESS_TAG, "")):
            client.set_terminated(run.info.run_id, "FINISHED" if WEIGHTS_TAG in run.data.tags else "KILLED")


def _is_gone(process: str) -> bool:
    """Whether this is a process of this host that has ended; the text of a tag that anybody may write is none."""
    named = _PROCESS.fullmatch(process)
    if named is None or named["host"] != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(int(named["number"])).create_time() - int(named["started"])) > CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OSError):
        return False


def model_id_of(version: "ModelVersion") -> str | None:
    """The logged model that a version was made from: MLflow's SQL store keeps it in the source only."""
    match = re.fullmatch(r"models:/(m-[0-9a-f]+)", version.source or "")
    return match[1] if match else None


def complete(
    client: "MlflowClient",
    run_id: str,
    evidence: Evidence,
    history: Sequence[Mapping[str, float]],
    params: Mapping[str, Any],
    artifacts: Mapping[str, Path],
    model_id: str | None,
) -> None:
    """Log what the run lacks, then mark it with the evidence's digest; a marked run is left alone.

    Metrics of the evidence are logged with the model's id too, so that MLflow's model page shows them.
    """
    run = client.get_run(run_id)
    digest = evidence.digest()
    if run.data.tags.get(COMPLETED_TAG) == digest:
        return
    _log_params(client, run_id, params, run.data.params)
    metrics = [*_missing_history(client, run, history), *_final_metrics(evidence, model_id)]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    _log_artifacts(client, run_id, artifacts)
    if run.info.status != "FINISHED":
        client.set_terminated(run_id)
    client.set_tag(run_id, COMPLETED_TAG, digest)  # last: a run with this tag is left alone from now on


def _log_params(
    client: "MlflowClient", run_id: str, params: Mapping[str, Any], known: Mapping[str, str]
) -> None:
    from mlflow.entities import Param

    missing = [
        Param(_key(name), str(value)[:6000]) for name, value in params.items() if _key(name) not in known
    ]
    for start in range(0, len(missing), 100):
        client.log_batch(run_id, params=missing[start : start + 100])


def _missing_history(
    client: "MlflowClient", run: Any, history: Sequence[Mapping[str, float]]
) -> Iterable["Metric"]:
    from mlflow.entities import Metric

    """Points of the learning curve that are not in the run: all of them, or those a live view did not send."""
    names = {_key(name) for epoch in history for name in epoch if name != STEP}
    known = {
        (name, metric.step)
        for name in names & set(run.data.metrics)
        for metric in client.get_metric_history(run.info.run_id, name)
    }
    for index, epoch in enumerate(history):
        step = int(epoch.get(STEP, index))
        for name, value in epoch.items():
            if name != STEP and (_key(name), step) not in known:
                yield Metric(_key(name), float(value), run.info.start_time + step, step)


def _final_metrics(evidence: Evidence, model_id: str | None) -> Iterable["Metric"]:
    from mlflow.entities import Metric

    logged = int(evidence.created.timestamp() * 1000)
    for name, metric in evidence.metrics.items():
        yield Metric(_key(name), metric.value, logged, 0, model_id=model_id)


def _log_artifacts(client: "MlflowClient", run_id: str, artifacts: Mapping[str, Path]) -> None:
    for name, path in artifacts.items():
        if path.is_dir():
            client.log_artifacts(run_id, str(path), name)
            continue
        folder, _, file = name.rpartition("/")
        with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
            copy = shutil.copyfile(path, Path(temporary) / file)
            client.log_artifact(run_id, str(copy), folder or None)


def _key(name: str) -> str:
    """A name that MLflow takes for a metric or parameter."""
    return distinct(name, 250)
