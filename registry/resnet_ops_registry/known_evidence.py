"""The evidence of a version as somebody reads it who only wants to know: from the database, or over http.

Over http the signed envelope cannot be read. The run holds what was signed as a plain file, which is taken only where
its digest is the one that the gate wrote on the version's page; nobody but the gate can write there.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_ops.errors import DataError, EvidenceError
from resnet_ops.files import read_json
from resnet_ops_registry.database import open_database
from resnet_ops_registry.display import EVIDENCE_TAG
from resnet_ops_registry.evidence import Evidence, read_evidence
from resnet_ops_registry.mlflow_errors import asked
from resnet_ops_registry.policies import policy_for
from resnet_ops_registry.runs import EVIDENCE_FILE
from resnet_ops_registry.settings import is_direct
from resnet_ops_registry.statements import find_version, latest_evidence

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["known_evidence"]


def known_evidence(client: "MlflowClient", model: str, version: int) -> Evidence:
    """What is believed of a version. Raises EvidenceError that says why there is nothing to believe."""
    with asked(f"Reading {model} v{version}"):
        found = client.get_model_version(model, str(version))
        return _from_database(found) if is_direct() else _from_run(client, found)


def _from_database(version: "ModelVersion") -> Evidence:
    workspace = getattr(version, "workspace", None) or "default"
    with open_database() as connection:
        found = find_version(connection, workspace, version.name, int(version.version))
        applied = policy_for(connection, version.name)
        roles = applied.policy.evidence_roles if applied else None
        accepted = latest_evidence(connection, found, roles) if found else None
    if accepted is None:
        raise EvidenceError("there is no evidence signed by a trusted key")
    return accepted.said


def _from_run(client: "MlflowClient", version: "ModelVersion") -> Evidence:
    believed, run_id = version.tags.get(EVIDENCE_TAG), version.run_id
    if believed is None or not run_id:
        raise EvidenceError("there is no evidence signed by a trusted key")
    if EVIDENCE_FILE not in [each.path for each in client.list_artifacts(run_id)]:
        raise EvidenceError(f"its run holds no {EVIDENCE_FILE}; ask on the server")
    with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
        path = client.download_artifacts(run_id, EVIDENCE_FILE, temporary)
        try:
            evidence = read_evidence(read_json(Path(path)))
        except DataError as error:
            raise EvidenceError(f"its run's {EVIDENCE_FILE} is not JSON") from error
    if evidence.digest() != believed:
        raise EvidenceError(f"its run's {EVIDENCE_FILE} is not what the gate believes")
    return evidence
