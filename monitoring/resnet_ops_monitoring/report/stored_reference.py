"""References in MLflow, beside the pages of the version that they belong to: stored once, verified when they are read.

Each counts by its digest in a signed statement, for as long as that is believed: the labelled one in the pipeline's, an
accepted one in a reviewer's.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from resnet_ops.errors import ConfigError, DataError, EvidenceError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.files import file_digest
from resnet_ops.tasks.watching.boxes import COUNTED
from resnet_ops_monitoring.drift.reference import Reference, load_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.report.publish import answering, monitoring_run
from resnet_ops_registry.attestations.keys import PrivateKey
from resnet_ops_registry.attestations.predicates import Baseline, spoken
from resnet_ops_registry.client.attesting import attest, find_model_version
from resnet_ops_registry.gate.display import WEIGHTS_TAG
from resnet_ops_registry.gate.reviews import accepted_reference, labelled_reference
from resnet_ops_registry.gate.signed_evidence import evidence_of

__all__ = [
    "check_decides_alike",
    "fetch_labelled",
    "fetch_reference",
    "registered_version",
    "store_reference",
]

_FILE = "reference.parquet"


def store_reference(client: MlflowClient, reference: Reference, key: PrivateKey | None = None) -> str:
    """Keep a reference in its version's monitoring run; gives the sha256 of its file.

    key: signs that a labelled one is the version's own; without, as for one that a reviewer has yet to accept, it does
    not count. A repeat changes nothing, but mends a stored file that is gone or damaged. Raises ServiceError when
    MLflow does not answer, EvidenceError when the registry does not trust the key.
    """
    with tempfile.TemporaryDirectory() as folder, answering(client, "take the reference"):
        path = Path(folder) / _FILE
        reference.save(path)
        digest = file_digest(path)
        run = monitoring_run(client, reference.identity)
        kept = _fetched(client, run.info.run_id, digest, Path(folder) / "kept")
        if kept is None or file_digest(kept) != digest:
            client.log_artifact(run.info.run_id, str(path), _place(digest))
    if key is not None:
        _sign(client, reference, digest, key)  # last: what is signed is there
    return digest


def _sign(client: MlflowClient, reference: Reference, digest: str, key: PrivateKey) -> None:
    version = registered_version(client, reference.identity)
    if labelled_reference(version) != digest:
        baseline = spoken(Baseline, reference=digest, images=reference.seen, created=datetime.now(UTC))
        attest(client, version.name, int(version.version), baseline, key)


def fetch_reference(client: MlflowClient, identity: ModelIdentity) -> Reference:
    """What a version's windows are judged against: the newest that a reviewer accepted, else the labelled one.

    Raises EvidenceError when the stored file is not the one that was signed, or the version decides elsewhere by now;
    DataError when none was signed, ConfigError when the registry has no such version.
    """
    version = registered_version(client, identity)
    accepted = accepted_reference(version)
    if accepted is None:
        return fetch_labelled(client, identity)
    remedy = "Accept a window again: resnet-ops drift accept WINDOW --why TEXT --key NAME"
    return _load(client, identity, accepted, remedy)


def fetch_labelled(client: MlflowClient, identity: ModelIdentity) -> Reference:
    """The labelled reference of a version, whatever was accepted since. Raises as `fetch_reference` does."""
    version = registered_version(client, identity)
    digest, remedy = (
        labelled_reference(version),
        f"resnet-ops drift reference {identity.name} {identity.version}",
    )
    if digest is None:
        raise DataError(f"MLflow keeps no signed reference of {identity}. Make it: {remedy}")
    return _load(client, identity, digest, f"Make it again: {remedy}")


def check_decides_alike(client: MlflowClient, reference: Reference) -> None:
    """Raise EvidenceError unless the reference was made where the version decides by its newest evidence.

    Else sensitivity, specificity and the share called positive would be those of a threshold that nobody uses.
    """
    identity = reference.identity
    with answering(client, "give the evidence"):
        evidence = evidence_of(client, registered_version(client, identity)).evidence
    before, counted = reference.schema.operating, reference.schema.score_threshold
    now, counts = evidence.operating_point, None if counted is None else evidence.score_threshold or COUNTED
    if (now, counts) != (before, counted):
        made = _words(before, counted)
        raise EvidenceError(
            f"{identity} decides at {_words(now, counts)} by its evidence, but its reference was made at {made}. "
            f"Nothing was judged by it. Make it again: resnet-ops drift reference {identity.name} {identity.version}"
            + ("; then accept a window again: resnet-ops drift accept" if reference.accepted else "")
        )


def _words(point: OperatingPoint | None, counted: float | None) -> str:
    if counted is not None:
        return f"a score of {counted:.6g}"
    if point is None:
        return "no operating point"
    return f"{point.threshold:.6g} for {', '.join(point.positive)}"


def registered_version(client: MlflowClient, identity: ModelIdentity) -> ModelVersion:
    """The version in the registry. Raises ConfigError when it is gone, or was made anew from other files."""
    if not identity.version.isdecimal():
        raise ConfigError(f"{identity} is not a version of a registered model.")
    version = find_model_version(client, identity.name, int(identity.version))
    if version.tags.get(WEIGHTS_TAG, identity.digest) != identity.digest:
        raise ConfigError(
            f"{identity} has other files in the registry than the ones that were monitored. Run: dvc repro"
        )
    return version


def _load(client: MlflowClient, identity: ModelIdentity, digest: str, remedy: str) -> Reference:
    with tempfile.TemporaryDirectory() as folder, answering(client, "give the reference"):
        path = _fetched(client, monitoring_run(client, identity).info.run_id, digest, Path(folder))
        if path is None:
            raise EvidenceError(f"The reference of {identity} is gone from MLflow. {remedy}")
        found = file_digest(path)
        if found != digest:
            raise EvidenceError(
                f"The reference of {identity} in MLflow was changed after it was stored: its sha256 is {found[:12]}, "
                f"not {digest[:12]}. Nothing was judged by it. {remedy}"
            )
        reference = load_reference(path)
    if reference.identity != identity:
        raise EvidenceError(
            f"The reference stored for {identity} is of {reference.identity} (other files). {remedy}"
        )
    check_decides_alike(client, reference)
    return reference


def _fetched(client: MlflowClient, run_id: str, digest: str, folder: Path) -> Path | None:
    """The file that is stored under `digest`, whatever is in it by now; None where there is none."""
    name = f"{_place(digest)}/{_FILE}"
    if name not in {item.path for item in client.list_artifacts(run_id, _place(digest))}:
        return None
    folder.mkdir(exist_ok=True)
    return Path(client.download_artifacts(run_id, name, str(folder)))


def _place(digest: str) -> str:
    return f"references/{digest}"
