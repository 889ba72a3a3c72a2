"""The signed evidence of a version, for whoever reads it: from the database, or over HTTP a copy with the run.

The gate itself never looks at the copy. A reader believes it where the gate, asked for the version, names its key, its
findings and its files.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.envelope import Statement, Subject, sign
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.attestations.keys import PrivateKey, PublicKey, read_public_key
from resnet_ops_registry.attestations.signed import read_signed
from resnet_ops_registry.attestations.statements import Accepted, known_version, latest_evidence
from resnet_ops_registry.common.settings import is_direct
from resnet_ops_registry.database import tables
from resnet_ops_registry.gate.display import EVIDENCE_TAG, FILES_TAG, KEY_TAG
from resnet_ops_registry.gate.policies import evidence_roles

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["FOLDER", "SignedEvidence", "accepted_evidence", "evidence_of", "keep_copy", "signed_now"]

FOLDER, STATEMENT, KEY = "evidence", "statement.json", "key.pub.pem"
AGAIN = "Publish it again: dvc repro; of a model of another kind, sign it again: resnet-ops attest evidence"


@dataclass(frozen=True)
class SignedEvidence:
    """Signed evidence as a text, and the key that verifies it. Not believed before somebody says so of the key."""

    text: str
    key: PublicKey

    @property
    def evidence(self) -> Evidence:
        """What was said. Raises EvidenceError when the signature is not the key's, or it is no evidence."""
        found = read_signed(self.text, self.key).predicate
        if not isinstance(found, Evidence):
            raise EvidenceError("The statement is not evidence.")
        return found


def signed_now(version: "ModelVersion", evidence: Evidence, key: PrivateKey) -> SignedEvidence:
    """The evidence signed about a version's files, as the registry accepted it."""
    return SignedEvidence(
        sign(Statement(_subject(version), evidence.statement_type, evidence.as_signed()), key).text,
        key.public,
    )


def evidence_of(client: "MlflowClient", version: "ModelVersion") -> SignedEvidence:
    """The newest evidence about a version that the registry believes. Raises EvidenceError when there is none.

    Reached as a database, it is the statement that was kept. Over HTTP it is the copy with the version's run, which
    counts only where its signature, its findings, its files and its key are those that the gate's own tags name.
    """
    return _kept(version) if is_direct() else _copied(client, version)


def accepted_evidence(connection: Connection, version: "ModelVersion") -> Accepted[Evidence] | None:
    """The newest evidence about a version that counts by the policy now; None where there is none."""
    known = known_version(connection, version)
    return latest_evidence(connection, known, evidence_roles(connection, version.name)) if known else None


def _kept(version: "ModelVersion") -> SignedEvidence:
    with tables.open_database() as connection:
        accepted = accepted_evidence(connection, version)
        if accepted is None:
            raise EvidenceError(
                f"{version.name} v{version.version} has no evidence from a trusted key. {AGAIN}"
            )
        table = tables.statements.c
        text = connection.execute(
            select(table.envelope).where(table.envelope_digest == accepted.id).limit(1)
        ).scalar_one()
    return SignedEvidence(str(text), accepted.key.public)


def _copied(client: "MlflowClient", version: "ModelVersion") -> SignedEvidence:
    # one version alone is given out with what is believed of it; a list holds what lies in MLflow's table
    version = client.get_model_version(version.name, version.version)
    label, tags, run_id = f"{version.name} v{version.version}", version.tags, version.run_id or ""
    if KEY_TAG not in tags:
        raise EvidenceError(f"{label} has no evidence from a trusted key. {AGAIN}")
    present = {Path(each.path).name for each in client.list_artifacts(run_id, FOLDER)} if run_id else set()
    if not {STATEMENT, KEY} <= present:
        raise EvidenceError(f"The signed evidence of {label} is not among its run's artifacts. {AGAIN}")
    with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
        folder = Path(client.download_artifacts(run_id, FOLDER, temporary))
        signed = SignedEvidence(
            (folder / STATEMENT).read_text(encoding="utf-8", errors="replace"), read_public_key(folder / KEY)
        )
    found = (signed.key.id, signed.evidence.digest(), read_signed(signed.text, signed.key).subject)
    if found != (tags[KEY_TAG], tags.get(EVIDENCE_TAG), _subject(version)):
        raise EvidenceError(
            f"The evidence among the artifacts of {label}'s run is not the one that the registry believes. {AGAIN}"
        )
    return signed


def _subject(version: "ModelVersion") -> Subject:
    number, created = int(version.version), int(version.creation_timestamp)
    return Subject(version.name, number, created, version.tags.get(FILES_TAG, ""))


def keep_copy(signed: SignedEvidence, folder: Path) -> None:
    """Write the evidence and the key that verifies it, as a run keeps them."""
    (folder / FOLDER).mkdir()
    (folder / FOLDER / STATEMENT).write_text(signed.text, encoding="utf-8")
    (folder / FOLDER / KEY).write_text(signed.key.pem())
