"""Statements that the registry accepted: signed by a trusted key, about a version that is there."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import Connection, Row, Select, bindparam, insert, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations import trust
from resnet_ops_registry.attestations.envelope import Envelope, Subject, read_envelope
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.attestations.known import Known
from resnet_ops_registry.attestations.predicates import (
    Baseline,
    Predicate,
    Retirement,
    Review,
    kind_of,
    predicate_type,
)
from resnet_ops_registry.attestations.signed import read_signed
from resnet_ops_registry.attestations.trust import TrustedKey
from resnet_ops_registry.common.actor import actor, now
from resnet_ops_registry.database import ledger, tables
from resnet_ops_registry.database.ledger import Event

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

__all__ = [
    "Accepted",
    "VerifiedStatements",
    "Version",
    "accept_statement",
    "find_version",
    "known_version",
    "latest_evidence",
    "note_refusal",
    "read_statement",
    "verified_about",
]

_REFERENCE_ROLES = (trust.REVIEWER, trust.OPERATOR)
CLOCK_SKEW = timedelta(minutes=10)
REFUSALS_AN_HOUR = 20
REFUSALS_LOOKED_AT = 500
"""Entries at the ledger's end among which a sender's refused statements are counted."""
_S = TypeVar("_S", bound=Predicate, covariant=True)
_K = TypeVar("_K", bound=Predicate)


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
class Accepted(Generic[_S]):
    """A statement from a trusted key; `id` is the sha256 of its envelope."""

    id: str
    key: TrustedKey
    subject: Subject
    predicate: _S

    @property
    def said(self) -> _S:
        """`predicate`, by the name of the release before: for rules of teams' own, for one more."""
        warnings.warn("Accepted.said is Accepted.predicate now.", DeprecationWarning, stacklevel=2)
        return self.predicate


@dataclass(frozen=True)
class VerifiedStatements:
    """Every statement about one version that counts, by the keys that are trusted."""

    statements: tuple[Accepted[Predicate], ...]

    def of(self, kind: type[_K], digest: str | None = None) -> list[Accepted[_K]]:
        """Those of one kind, newest first by the time that was signed; about these files where a digest is given."""
        found: list[Accepted[Any]] = [
            each
            for each in self.statements
            if isinstance(each.predicate, kind) and digest in (None, each.subject.digest)
        ]
        return sorted(found, key=lambda each: each.predicate.created, reverse=True)

    def evidence(self, roles: Sequence[str] | None = None) -> Accepted[Evidence] | None:
        """The newest evidence, from a key with one of these roles."""
        return next((each for each in self.of(Evidence) if roles is None or each.key.role in roles), None)

    @property
    def retirement(self) -> Accepted[Retirement] | None:
        """The statement that retired the version, unless an operator brought it back later."""
        found = self.of(Retirement)
        return found[0] if found and found[0].predicate.retired else None

    @property
    def accepted_reference(self) -> Accepted[Review] | None:
        """The newest review by a reviewer or operator that accepted a window as the version's reference."""
        accepted = (each for each in self.of(Review) if each.predicate.reference is not None)
        return next((each for each in accepted if each.key.role in _REFERENCE_ROLES), None)

    def baseline(self, roles: Sequence[str] | None) -> Accepted[Baseline] | None:
        """The newest statement of what the version made of its held-out images, by whom a reference may be set."""
        return next((each for each in self.of(Baseline) if _may_set_reference(each, roles)), None)


def _may_set_reference(accepted: Accepted[Baseline], roles: Sequence[str] | None) -> bool:
    """Only whose evidence counts, or who may accept a reference: a key that watches must not choose what is usual."""
    return accepted.key.role in (*(roles or (trust.PIPELINE,)), *_REFERENCE_ROLES)


def find_version(connection: Connection, workspace: str, model: str, version: int) -> Version | None:
    """Look a model version up; None where it is missing or deleted."""
    names = {"workspace": workspace, "model": model, "version": version}
    row = connection.execute(_version_query(), names).one_or_none()
    if row is None:
        return None
    return Version(workspace, model, version, int(row.creation_time), row.storage_location or row.source)


def known_version(connection: Connection, version: "ModelVersion") -> Version | None:
    """A version that MLflow gave out, looked up as `find_version` does."""
    workspace = getattr(version, "workspace", None) or "default"
    return find_version(connection, workspace, version.name, int(version.version))


@lru_cache(maxsize=1)
def _version_query() -> Select[Any]:
    table, _ = tables.model_tables()
    return select(table.c.creation_time, table.c.storage_location, table.c.source).where(
        table.c.workspace == bindparam("workspace"),
        table.c.name == bindparam("model"),
        table.c.version == bindparam("version"),
        table.c.current_stage != "Deleted_Internal",
    )


def read_statement(
    connection: Connection, version: Version, text: str, roles: Sequence[str] | None
) -> tuple[Envelope, Accepted[Predicate]]:
    """Check all of an envelope about `version` that can be known without its files, the cheapest first.

    roles: of the keys whose evidence counts, by the policy; None without one.

    Raises EvidenceError when its key is not trusted, its signature wrong, its subject another version, or its
    date in the future.
    """
    envelope = read_envelope(text)
    key = trust.find_key(connection, envelope.key_id)
    if key is None:
        raise EvidenceError(
            f"The statement is signed by key {envelope.key_id[:12]}, which is not trusted here. An operator can "
            "trust it on the server: resnet-ops keys trust FILE --role pipeline (or reviewer, for a person)"
        )
    accepted = _read(envelope.text, key)
    _check_subject(accepted.subject, version)
    _check_predicate(accepted, roles)
    return envelope, accepted


def accept_statement(
    connection: Connection, version: Version, digest: str, text: str, roles: Sequence[str] | None
) -> Accepted[Predicate]:
    """Check an envelope about `version`, whose files have `digest`, and keep it; the same one again is kept once.

    Raises EvidenceError as `read_statement` does, for other files, and when the version is not the one any more
    whose files were hashed.
    """
    tables.lock(connection)
    envelope, accepted = read_statement(connection, version, text, roles)
    label = f"{version.model} v{version.version}"
    if find_version(connection, version.workspace, version.model, version.version) != version:
        raise EvidenceError(
            f"{label} was recreated or renamed while its files were hashed. Send the statement again."
        )
    if accepted.subject.digest != digest:
        raise EvidenceError(f"The statement is about other files than those of {label}.")
    _keep(connection, version, envelope, accepted)
    return accepted


def note_refusal(connection: Connection, version: Version, text: str, reason: str) -> None:
    """Write down that a statement was not accepted: whose key it claims, and why; not its content.

    So many an hour for each sender, so that nobody fills the ledger with what cost nothing to make; the last one
    says that more are not written down.
    """
    head, who = tables.lock(connection), actor()
    left = REFUSALS_AN_HOUR - _refused_lately(connection, who)
    if left <= 0:
        return
    try:
        envelope = read_envelope(text)
        claimed = {"statement": envelope.digest, "key": envelope.key_id}
    except EvidenceError:
        claimed = {}
    reasons = [reason[:500]]
    if left == 1:
        reasons.append(f"more statements by {who} that are refused within the hour are not written down")
    about = (version.workspace, version.model, version.version)
    detail = {**claimed, "reasons": reasons}
    ledger.append(connection, Event(who, "statement", "refused", *about, detail=detail), head)


def _refused_lately(connection: Connection, who: str) -> int:
    """How many refused statements of a sender stand among the last entries, not older than an hour."""
    since = now() - 3_600_000
    return sum(
        entry.time >= since and (entry.event.action, entry.event.actor) == ("statement", who)
        for entry in ledger.list_entries(connection, limit=REFUSALS_LOOKED_AT)
    )


_ABOUT = (
    select(
        tables.statements.c.id.label("number"),
        tables.statements.c.envelope,
        tables.statements.c.key_id.label("signer"),
        tables.trusted_keys,
    )
    .outerjoin_from(
        tables.statements,
        tables.trusted_keys,
        tables.statements.c.key_id == tables.trusted_keys.c.key_id,
    )
    .where(
        tables.statements.c.workspace == bindparam("workspace"),
        tables.statements.c.model == bindparam("model"),
        tables.statements.c.version == bindparam("version"),
        tables.statements.c.creation_time == bindparam("created"),
    )
    .order_by(tables.statements.c.id)
)


def verified_about(
    connection: Connection, version: Version, known: Known | None = None
) -> VerifiedStatements:
    """What is believed about a version now, or was when so much was known.

    Signatures and keys are checked again: what is in the table is not believed for being there. Raises
    EvidenceError that names the row when somebody changed a statement in the table, or it is of a kind that this
    program does not know.
    """
    names = {"workspace": version.workspace, "model": version.model, "version": version.version}
    rows = connection.execute(_ABOUT, {**names, "created": version.creation_time})
    found = [accepted for accepted in map(_verified, rows) if accepted is not None]
    return VerifiedStatements(
        tuple(
            each
            for each in found
            if each.subject == version.subject(each.subject.digest) and _counts(each, known)
        )
    )


def _verified(row: Row[Any]) -> Accepted[Predicate] | None:
    """A row of `_ABOUT`; None where its key was never trusted."""
    try:
        if row.key_id is not None:
            return _read(row.envelope, trust.trusted_key(row))
        if read_envelope(row.envelope).key_id != row.signer:
            raise EvidenceError("It is stored under another key than the one that signed it.")
    except EvidenceError as error:
        raise EvidenceError(f"Row {row.number} of resnet_ops_statements cannot be read: {error}") from error
    return None


def _counts(accepted: Accepted[Predicate], known: Known | None) -> bool:
    """Only what a trusted key says counts; but revoking a key brings nothing back that it retired."""
    if known is not None and accepted.id not in known.statements:
        return False
    predicate, key = accepted.predicate, accepted.key
    trusted = key.counts if known is None else key.id in known.keys
    if isinstance(predicate, Retirement):
        return predicate.retired or (trusted and key.role == trust.OPERATOR)
    return trusted


def latest_evidence(
    connection: Connection, version: Version, roles: list[str] | None = None
) -> Accepted[Evidence] | None:
    """The newest evidence about a version that is believed now, by the time that was signed."""
    return verified_about(connection, version).evidence(roles)


def _read(text: str, key: TrustedKey) -> Accepted[Predicate]:
    signed = read_signed(text, key.public)
    return Accepted(signed.id, key, signed.subject, signed.predicate)


def _check_subject(subject: Subject, version: Version) -> None:
    if (subject.model, subject.version) != (version.model, version.version):
        raise EvidenceError(
            f"The statement is about {subject.model} v{subject.version}, not {version.model} v{version.version}."
        )
    if subject.creation_time != version.creation_time:
        raise EvidenceError(
            f"The statement is about an earlier {subject.model} v{subject.version}, since deleted."
        )


def _check_predicate(accepted: Accepted[Any], roles: Sequence[str] | None) -> None:
    predicate, key = accepted.predicate, accepted.key
    if predicate.created > datetime.now(UTC) + CLOCK_SKEW:
        raise EvidenceError(
            f"The statement is dated {predicate.created:%Y-%m-%d %H:%M %Z}, in the future: set the signer's clock."
        )
    if isinstance(predicate, Retirement) and not predicate.retired and key.role != trust.OPERATOR:
        raise EvidenceError(
            f"Only a key of role {trust.OPERATOR} can bring a retired version back; {key.name} is {key.role}."
        )
    if isinstance(predicate, Baseline) and not _may_set_reference(accepted, roles):
        raise EvidenceError(
            f"Only a key whose evidence counts (role {' or '.join(roles or (trust.PIPELINE,))}), or of role "
            f"{trust.REVIEWER} or {trust.OPERATOR}, can set a version's reference; {key.name} is {key.role}."
        )
    if isinstance(predicate, Review) and predicate.reference and key.role not in _REFERENCE_ROLES:
        raise EvidenceError(
            f"Only a key of role {trust.REVIEWER} or {trust.OPERATOR} can accept a reference; {key.name} is {key.role}."
        )


def _keep(
    connection: Connection, version: Version, envelope: Envelope, accepted: Accepted[Predicate]
) -> None:
    table, uri = tables.statements, predicate_type(accepted.predicate)
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
            predicate_type=uri,
            key_id=envelope.key_id,
            envelope=envelope.text,
            envelope_digest=envelope.digest,
            received_at=now(),
            received_by=actor(),
        )
    )
    signer = {"key": envelope.key_id, "name": accepted.key.name, "role": accepted.key.role}
    detail: dict[str, Any] = {"statement": envelope.digest, **signer, "predicate": uri}
    if not isinstance(accepted.predicate, Evidence):
        detail["said"] = accepted.predicate.as_signed()
    who = (version.workspace, version.model, version.version)
    ledger.append(
        connection, Event(actor(), f"{kind_of(accepted.predicate)} accepted", "recorded", *who, detail=detail)
    )
