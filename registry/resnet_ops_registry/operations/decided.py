"""Whether the gate can have made a decision, by the policy and the statements of its time.

The ledger's chain needs no secret, so an entry that allows an alias can be forged; statements cannot.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.authority import ADOPTED
from resnet_ops_registry.attestations.known import Known
from resnet_ops_registry.attestations.statements import CLOCK_SKEW
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database.ledger import Entry
from resnet_ops_registry.gate.gate import answer
from resnet_ops_registry.gate.policies import AppliedPolicy, governing, policies_at
from resnet_ops_registry.gate.simulate import question_then
from resnet_ops_registry.rules import Rule

__all__ = ["why_not_allowed"]

_OURS = "resnet_ops_registry.rules"


def why_not_allowed(connection: Connection, entries: Sequence[Entry], entry: Entry) -> list[str]:
    """Why the gate must have refused what `entry` says it allowed; empty where it may have allowed it.

    Left out are comparisons, whose champion may be of a time before the ledger, and rules of other packages, whose
    code may have changed since.
    """
    if (
        entry.event.action == ADOPTED
    ):  # the gate decided nothing; `authority` looks at the operator's signature
        return []
    before = [each for each in entries if each.seq < entry.seq]
    applied = governing(policies_at(connection, before), str(entry.event.model))
    if entry.event.outcome == "observed":
        observed = applied is not None and _observed(applied, before)
        return [] if observed else ["no policy observed then, and what the rules refuse was refused"]
    target = Target.from_label(str(entry.event.target))
    guard = applied.policy.guard_of(target) if applied and not applied.problem else None
    if applied is None or guard is None:
        return []
    try:
        question = question_then(connection, applied, entry, Known(before), _time_of(entry, before))
        verdict = answer(applied, question)
    except EvidenceError:  # what cannot be read is a finding of its own
        return []
    ours = [_is_ours(rule) for rule in guard.rules]
    failed = [rule.reason for rule, own in zip(verdict.rules, ours, strict=False) if own and not rule.holds]
    return [*verdict.problems, *failed]


def _time_of(entry: Entry, before: Sequence[Entry]) -> int:
    """When it was decided, in milliseconds since 1970. A clock may be set back a little; whoever forges an entry sets
    it back to when an approval that has ended since still counted.
    """
    latest = max((each.time for each in before), default=entry.time)
    return entry.time if latest - entry.time <= CLOCK_SKEW / timedelta(milliseconds=1) else latest


def _observed(applied: AppliedPolicy, before: Sequence[Entry]) -> bool:
    """By the policy's text; where that cannot be read here any more, as the ledger says of it."""
    if not applied.problem:
        return applied.policy.observes
    said = [each.event.detail for each in before if each.event.action == "policy applied"]
    name = applied.policy.model, applied.version
    return any(
        (each.get("policy"), each.get("version")) == name and each.get("mode") == "observe" for each in said
    )


def _is_ours(rule: Rule) -> bool:
    return type(rule).__module__.startswith(_OURS) and not rule.looks_at_champion
