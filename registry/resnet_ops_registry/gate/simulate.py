"""What another policy would have done to past decisions, from the ledger and the stored statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.known import Known
from resnet_ops_registry.attestations.statements import VerifiedStatements, Version, verified_about
from resnet_ops_registry.common.actor import UNVERIFIED
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database import tables
from resnet_ops_registry.database.ledger import Entry, list_entries
from resnet_ops_registry.gate.champions import champions_then
from resnet_ops_registry.gate.gate import Files, Question, answer
from resnet_ops_registry.gate.history import held_before
from resnet_ops_registry.gate.policies import AppliedPolicy, governing, list_policies
from resnet_ops_registry.gate.policy import Policy
from resnet_ops_registry.rules import Champion

__all__ = ["Replayed", "question_then", "simulate"]

_DECISIONS = ("alias", "stage", "rollback", "rename")


@dataclass(frozen=True)
class Replayed:
    """A past decision by the rules, and what it would have been. `reasons` are the other policy's."""

    seq: int
    time: int
    model: str
    version: int
    target: str
    was_allowed: bool
    would_be_allowed: bool
    reasons: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return self.was_allowed != self.would_be_allowed


def simulate(connection: Connection, policy: Policy, content: str, file: str) -> list[Replayed]:
    """Judge every past decision about the models that `policy` would govern, as of its time.

    As of then: the statements received, the keys trusted, the champion, who asked, and the files' digest that was
    measured. Past rules of other packages are judged by their code of today.
    """
    applied = AppliedPolicy(0, file, content, policy)
    others = [each for each in list_policies(connection) if each.policy.model != policy.model]
    found, known = [], Known()
    for entry in list_entries(connection):
        event = entry.event
        decided = event.outcome in ("allowed", "observed", "refused") and event.action in _DECISIONS
        if decided and event.model is not None and governing([*others, applied], event.model) is applied:
            found.append(_replay(connection, applied, entry, known))
        known.learn(entry)
    return found


def _replay(connection: Connection, applied: AppliedPolicy, entry: Entry, known: Known) -> Replayed:
    event = entry.event
    assert event.target is not None
    target = Target.from_label(event.target)
    reasons: Sequence[str] = ()
    allowed = True
    if applied.policy.guard_of(target) is not None:
        verdict = answer(applied, question_then(connection, applied, entry, known, entry.time))
        allowed, reasons = verdict.allowed, verdict.reasons
    return Replayed(
        entry.seq,
        entry.time,
        str(event.model),
        int(event.version or 0),
        event.target,
        event.outcome == "allowed",
        allowed,
        tuple(reasons),
    )


def question_then(
    connection: Connection, applied: AppliedPolicy, entry: Entry, known: Known, at: int
) -> Question:
    """What the gate was asked by a ledger entry, with what was known by the entries before.

    at: what time it was, in milliseconds since 1970.
    """
    event, detail = entry.event, entry.event.detail
    target = Target.from_label(str(event.target))
    created = detail.get("creation_time") or _creation_time(connection, detail.get("statements", ()))
    version = Version(event.workspace, str(event.model), int(event.version or 0), int(created or 0), "")
    try:
        verified = verified_about(connection, version, known)
    except EvidenceError:
        verified = VerifiedStatements(())

    def champions() -> list[Champion]:
        roles = applied.policy.evidence_roles
        return champions_then(connection, version, target, roles, entry.seq, known)

    return Question(
        version,
        target,
        Files(detail.get("files")),
        verified,
        champions,
        held_before(connection, version, target, entry.seq) if event.action == "rollback" else None,
        event.actor if detail.get("login", True) else UNVERIFIED,  # entries of the first releases do not say
        datetime.fromtimestamp(at / 1000, UTC),
    )


def _creation_time(connection: Connection, statements: Sequence[str]) -> int | None:
    """Entries of the first release do not say when the version was made; their statements do."""
    table = tables.statements
    query = select(table.c.creation_time).where(table.c.envelope_digest.in_(statements))
    return connection.execute(query.limit(1)).scalar()
