"""Statements that the registry accepted: signed by a trusted key, about a version that is there."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry import database, ledger, trust
from resnet_ops_registry.actor import actor, now
from resnet_ops_registry.envelope import Envelope, Statement, Subject, read_envelope
from resnet_ops_registry.evidence import EVIDENCE_TYPE, Evidence, read_evidence
from resnet_ops_registry.ledger import Event
from resnet_ops_registry.trust import TrustedKey

__all__ = ["Accepted", "Version", "accept_statement", "find_version", "latest_evidence"]


@dataclass(frozen=True)
class Version:
    """A model version as the registry knows it, and where its files lie."""

    workspace: str
    model: str
    version: int
    creation_time: int
    location: str

    def subject(self, digest: str) -> Subject:
        return Subject(self.model, self.version, self.creation_time, digest)


@dataclass(frozen=True)
class Accepted:
    """Evidence from a trusted key; `id` is the sha256 of its envelope."""

    id: str
    key: TrustedKey
    subject: Subject
    evidence: Evidence


def find_version(connection: Connection, workspace: str, model: str, version: int) -> Version | None:
    """Look a model version up; None where it is missing or deleted."""
    table, _ = database.model_tables()
    row = connection.execute(
        select(table.c.creation_time, table.c.storage_location, table.c.source).where(
            table.c.workspace == workspace,
            table.c.name == model,
            table.c.version == version,
            table.c.current_stage != "Deleted_Internal",
        )
    ).one_or_none()
    if row is None:
        return None
    return Version(workspace, model, version, int(row.creation_time), row.storage_location or row.source)


def accept_statement(connection: Connection, version: Version, digest: str, text: str) -> Accepted:
    """Check an envelope about `version`, whose files have `digest`, and keep it; the same one again is kept once.

    Raises EvidenceError when its key is not trusted, its signature wrong, or its subject another version or
    other files.
    """
    envelope = read_envelope(text)
    database.lock(connection)
    accepted = _believe(connection, envelope)
    if accepted is None:
        raise EvidenceError(
            f"The statement is signed by key {envelope.key_id[:12]}, which is not trusted here. An operator can "
            "trust it on the server: resnet-ops keys trust FILE --role pipeline"
        )
    _check_subject(accepted.subject, version, digest)
    _keep(connection, version, envelope, accepted)
    return accepted


def latest_evidence(
    connection: Connection, version: Version, roles: list[str] | None = None
) -> Accepted | None:
    """The newest evidence about a version that is believed now, by the time that was signed.

    Signatures and keys are checked again: what is in the table is not believed for being there.
    """
    table = database.statements
    rows = connection.execute(
        select(table.c.envelope).where(
            table.c.workspace == version.workspace,
            table.c.model == version.model,
            table.c.version == version.version,
            table.c.creation_time == version.creation_time,
            table.c.predicate_type == EVIDENCE_TYPE,
        )
    ).scalars()
    believed = [_believe(connection, read_envelope(text)) for text in rows]
    usable = [
        accepted
        for accepted in believed
        if accepted is not None
        and accepted.subject == version.subject(accepted.subject.digest)
        and (roles is None or accepted.key.role in roles)
    ]
    return max(usable, key=lambda accepted: accepted.evidence.created, default=None)


def _believe(connection: Connection, envelope: Envelope) -> Accepted | None:
    key = trust.find_key(connection, envelope.key_id)
    if key is None:
        return None
    statement: Statement = envelope.verify(key.public)
    if statement.predicate_type != EVIDENCE_TYPE:
        raise EvidenceError(f"Statements of type {statement.predicate_type[:80]!r} are not known here.")
    return Accepted(envelope.digest, key, statement.subject, read_evidence(statement.predicate))


def _check_subject(subject: Subject, version: Version, digest: str) -> None:
    if (subject.model, subject.version) != (version.model, version.version):
        raise EvidenceError(
            f"The statement is about {subject.model} v{subject.version}, not {version.model} v{version.version}."
        )
    if subject.creation_time != version.creation_time:
        raise EvidenceError(
            f"The statement is about an earlier {subject.model} v{subject.version}, since deleted."
        )
    if subject.digest != digest:
        raise EvidenceError(
            f"The statement is about other files than those of {version.model} v{version.version}."
        )


def _keep(connection: Connection, version: Version, envelope: Envelope, accepted: Accepted) -> None:
    table = database.statements
    known = select(table.c.id).where(
        table.c.workspace == version.workspace, table.c.envelope_digest == envelope.digest
    )
    if connection.execute(known).first() is not None:
        return
    connection.execute(
        insert(table).values(
            workspace=version.workspace,
            model=version.model,
            version=version.version,
            creation_time=version.creation_time,
            digest=accepted.subject.digest,
            predicate_type=EVIDENCE_TYPE,
            key_id=envelope.key_id,
            envelope=envelope.text,
            envelope_digest=envelope.digest,
            received_at=now(),
            received_by=actor(),
        )
    )
    detail = {"statement": envelope.digest, "key": envelope.key_id, "predicate": EVIDENCE_TYPE}
    event = Event(
        actor(),
        "evidence accepted",
        "recorded",
        version.workspace,
        version.model,
        version.version,
        detail=detail,
    )
    ledger.append(connection, event)
