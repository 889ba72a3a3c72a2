"""Load a model version by name and alias, verified, without pickles, from a cache where it is there."""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_ops.data.trained_on import read_trained_on
from resnet_ops.errors import ConfigError, EvidenceError, StorageError
from resnet_ops.export.exported import load_deployed
from resnet_ops.model_files import DESCRIPTION, model_digest
from resnet_ops.predictions import DeployedModel
from resnet_ops.preprocessing import Preprocessing, read_preprocessing
from resnet_ops_registry.attestations.digest import folder_digest, local_folder
from resnet_ops_registry.client.attesting import version_with_alias
from resnet_ops_registry.client.packaging import ARTIFACTS
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import asked, reported
from resnet_ops_registry.common.settings import STATE, is_direct
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.display import FILES_TAG
from resnet_ops_registry.gate.signed_evidence import accepted_evidence

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["LoadedModel", "load"]


@dataclass(frozen=True)
class LoadedModel:
    """A verified model and which one it is. `creation_time`: of the version, in milliseconds since 1970."""

    name: str
    version: int
    creation_time: int
    weights_digest: str
    member: str
    model: DeployedModel
    folder: Path
    """Of the model's files, in the cache."""
    files_digest: str
    """Of all files of the version, as its evidence says it and as they were hashed now."""
    trained_on: frozenset[str] | None
    """Images that it has seen, as `resnet_ops.data.trained_on` knows them; None where its files do not say."""
    preprocessing: Preprocessing | None
    """How image files are read for it; None where its files do not say, of releases before they did."""
    verified_by: str
    """What the files were compared with: `evidence signed by pipeline 3fa2…`, or `the server`."""


def load(uri: str, version: int | None = None, threads: int = 0, device: str = "cpu") -> LoadedModel:
    """Load `models:/name@alias`, `models:/name/3`, or a name with `version`. threads, device: as in `load_deployed`.

    What is guaranteed: no pickle is read, and the model is made from exactly the files that were hashed.
    Reached as a database, the files' digest equals the one in evidence signed by a key that is trusted now, of a
    role that the policy names. Over http the server's gate reads it from that evidence when it is asked: the server
    itself is believed, what others write into its database is not.

    Raises EvidenceError when the files are not those, or there is no evidence; ConfigError for a bad URI, an alias
    that is not set, and a model of another kind; ServiceError when MLflow fails.
    """
    client = connect()
    with asked(f"Loading {uri}"):
        found = _resolve(client, uri, version)
    with reported(f"Loading {uri}"):
        expected, verified_by = _expected_digest(found)
        folder = _cached(client, found, expected)
    if not (folder / ARTIFACTS / DESCRIPTION).is_file():
        raise ConfigError(
            f"{found.name} v{found.version} is no network of resnet-ops: its files hold no {ARTIFACTS}/{DESCRIPTION}. "
            f"Load it with MLflow: mlflow.pyfunc.load_model('models:/{found.name}/{found.version}')"
        )
    model = load_deployed(folder / ARTIFACTS, threads, device)
    return LoadedModel(
        name=found.name,
        version=int(found.version),
        creation_time=int(found.creation_timestamp),
        weights_digest=model_digest(folder / ARTIFACTS),
        member=model.name,
        model=model,
        folder=folder / ARTIFACTS,
        files_digest=expected,
        trained_on=read_trained_on(folder / ARTIFACTS),
        preprocessing=read_preprocessing(folder / ARTIFACTS),
        verified_by=verified_by,
    )


def _resolve(client: "MlflowClient", uri: str, version: int | None) -> "ModelVersion":
    name = uri.removeprefix("models:/")
    if version is None and "@" in name:
        name, _, alias = name.rpartition("@")
        return version_with_alias(client, name, alias)
    if version is None and "/" in name:
        name, _, number = name.rpartition("/")
        version = int(number) if re.fullmatch("[0-9]{1,9}", number) else None
    if version is None or not name.strip():
        raise ConfigError(f"{uri!r} names no model version. Write models:/name@alias or models:/name/3.")
    return client.get_model_version(name, str(version))


def _expected_digest(found: "ModelVersion") -> tuple[str, str]:
    label = f"{found.name} v{found.version}"
    if not is_direct():
        digest = found.tags.get(FILES_TAG)
        if digest is None:
            raise EvidenceError(f"{label} has no accepted evidence, so its files cannot be verified.")
        # it names a folder of the cache, and a folder of other files is removed
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise EvidenceError(
                f"What the server gives as the digest of {label}'s files is none, so they cannot be verified. "
                "Start the server with the gate: resnet-ops ui"
            )
        return digest, "the server"
    with open_database() as connection:
        accepted = accepted_evidence(connection, found)
    if accepted is None:
        raise EvidenceError(f"{label} has no evidence from a trusted key. Publish it again: dvc repro")
    return accepted.subject.digest, f"evidence signed by {accepted.key.name} {accepted.key.id[:8]}"


def _cached(client: "MlflowClient", found: "ModelVersion", expected: str) -> Path:
    """A folder whose files have the expected digest, hashed now; fetched when the cache has none."""
    folder = STATE / "cache" / "models" / expected
    if folder.is_dir():
        if folder_digest(folder) == expected:
            return folder
        shutil.rmtree(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as temporary:
            copy = _fetch(client, found, Path(temporary))
            if folder_digest(copy) != expected:
                raise EvidenceError(
                    f"The files of {found.name} v{found.version} were changed after they were published. "
                    f"Do not use it; see who changed what: resnet-ops ledger show --model {found.name}"
                )
            try:
                copy.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
    except OSError as error:
        raise StorageError(
            f"Cannot write the model cache {folder.parent}: {error.strerror or error}."
        ) from error
    return folder


def _fetch(client: "MlflowClient", found: "ModelVersion", temporary: Path) -> Path:
    copy = temporary / "model"
    if is_direct():
        location = client.get_model_version_download_uri(found.name, found.version)
        local = local_folder(location)
        if local is not None:
            if not local.is_dir():
                raise EvidenceError(f"The files of {found.name} v{found.version} are missing at {local}.")
            shutil.copytree(local, copy, symlinks=True)
            return copy
    else:
        location = f"models:/{found.name}/{found.version}"
    from mlflow.artifacts import download_artifacts

    copy.mkdir()
    fetched = Path(download_artifacts(artifact_uri=location, dst_path=str(copy)))
    (fetched / "registered_model_meta").unlink(missing_ok=True)
    return fetched
