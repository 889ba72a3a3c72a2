"""Where a version comes from: digests of its data, the stages and the code that made it, images that it has seen."""

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from resnet_ops.data.trained_on import NOTED_IN, parse_trained_on
from resnet_ops.errors import DataError, EvidenceError
from resnet_ops.files import canonical_json, file_digest
from resnet_ops_registry.evidence import Source
from resnet_ops_registry.mlflow_errors import reported
from resnet_ops_registry.signed_evidence import evidence_of
from resnet_ops_registry.speaking import find_model_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["TRAINED_ON", "data_digests", "source_of", "trained_on", "trained_on_digest"]

TRAINED_ON = f"lineage/{NOTED_IN}"
"""Where a run keeps the list of images that its version has seen; also the name of its digest in `Evidence.data`."""


def data_digests(lock: Path, stage: str) -> dict[str, str]:
    """The digest that DVC recorded of each output of one stage, as `md5:<hexadecimal>`, by path."""
    return {out["path"]: f"md5:{out['md5']}" for out in _stages(lock, [stage])[stage].get("outs", [])}


def source_of(lock: Path, stages: Iterable[str], state: Mapping[str, Any]) -> Source:
    """The code that trained a version, and the sha256 of what DVC recorded of these stages.

    Only these: the rest of dvc.lock changes for reasons that are not this version's. state: what `git_state` gave when
    the training began; by now the project may be at another commit.
    """
    recorded = hashlib.sha256(canonical_json(_stages(lock, stages))).hexdigest()
    return Source(commit=state["commit"] or "", dirty=state["dirty"], dvc_lock=recorded)


def trained_on_digest(folder: Path) -> dict[str, str]:
    """The digest of the list of images that a model has seen, as `Evidence.data` holds it; none where none is noted."""
    noted = folder / NOTED_IN
    return {TRAINED_ON: f"sha256:{file_digest(noted)}"} if noted.exists() else {}


def trained_on(client: "MlflowClient", model: str, version: int) -> frozenset[str] | None:
    """The images that a registered version was trained on, and those that it started from.

    The list lies among the artifacts of the version's run, and counts where its digest is the one in the evidence.
    None where the evidence names none: an earlier release published it. Raises EvidenceError when the list is gone or
    was changed, ServiceError when MLflow fails.
    """
    found = find_model_version(client, model, version)
    expected = evidence_of(client, found).evidence.data.get(TRAINED_ON)
    if expected is None:
        return None
    again = f"Restore it, or publish the version again: dvc repro ({model} v{version})"
    with reported(f"Reading what {model} v{version} was trained on"), tempfile.TemporaryDirectory() as folder:
        place = TRAINED_ON.rpartition("/")[0]
        if TRAINED_ON not in {each.path for each in client.list_artifacts(str(found.run_id), place)}:
            raise EvidenceError(f"The list of images that it was trained on is gone from its run. {again}")
        path = Path(client.download_artifacts(str(found.run_id), TRAINED_ON, folder))
        if f"sha256:{file_digest(path)}" != expected:
            raise EvidenceError(f"The list of images that it was trained on was changed in its run. {again}")
        return parse_trained_on(path.read_text(encoding="ascii"))


def _stages(lock: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    try:
        recorded = yaml.safe_load(lock.read_text())["stages"]
        return {name: recorded[name] for name in names}
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise DataError(
            f"{lock} does not tell of the stages behind this version ({error!r}). Run: dvc repro"
        ) from error
