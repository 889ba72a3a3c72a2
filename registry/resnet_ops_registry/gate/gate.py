"""The gate: may this version carry this alias or stage? One judgement for the store and the command line."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops_registry.attestations.digest import location_digest
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.attestations.predicates import Baseline, Review
from resnet_ops_registry.attestations.statements import (
    VerifiedStatements,
    Version,
    find_version,
    verified_about,
)
from resnet_ops_registry.common.actor import promoter as promoter_now
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.champions import champions_now
from resnet_ops_registry.gate.history import held_before
from resnet_ops_registry.gate.judging import judge_rules
from resnet_ops_registry.gate.policies import AppliedPolicy, policy_for
from resnet_ops_registry.gate.policy import Target, canonical_name
from resnet_ops_registry.gate.verdict import Verdict
from resnet_ops_registry.rules import Case, Champion

__all__ = [
    "Files",
    "Question",
    "Verdict",
    "answer",
    "check",
    "check_all",
    "hash_files",
    "is_guarded",
    "judge",
    "rolling_back",
]

UNGOVERNED_ALIASES, UNGOVERNED_STAGES = "champion", ("production",)
_rolling_back: ContextVar[bool] = ContextVar("resnet_ops_rolling_back", default=False)


@contextmanager
def rolling_back() -> Iterator[None]:
    """What is judged inside is a rollback, where the version held it before: so named in the ledger, and not compared
    with the champion where it was allowed then.
    """
    token = _rolling_back.set(True)
    try:
        yield
    finally:
        _rolling_back.reset(token)


@dataclass(frozen=True)
class Files:
    """The digest of a version's files, or why there is none."""

    digest: str | None
    problem: str | None = None

    def known(self) -> str:
        """The digest. Raises EvidenceError that says why there is none."""
        if self.digest is None:
            raise EvidenceError(self.problem or "The version's files cannot be read.")
        return self.digest


def is_guarded(applied: AppliedPolicy | None, target: Target) -> bool:
    """Whether an alias or stage is behind the gate.

    With a policy: what the policy names; everything where it cannot be read. Without one: aliases that start with
    `champion` and the stage Production, which are then refused, unless RESNET_OPS_UNGOVERNED=open.
    """
    if applied is not None:
        return bool(applied.problem) or applied.policy.guard_of(target) is not None
    choice = os.environ.get("RESNET_OPS_UNGOVERNED", "closed")
    if choice not in ("open", "closed"):
        raise ConfigError(f"RESNET_OPS_UNGOVERNED must be open or closed, not {choice!r}.")
    if choice == "open":
        return False
    name = canonical_name(target.name)
    return name in UNGOVERNED_STAGES if target.kind == "stage" else name.startswith(UNGOVERNED_ALIASES)


def hash_files(version: Version) -> Files:
    """Hash a version's files where they lie. Slow for large models: do it before taking locks."""
    try:
        return Files(location_digest(version.location, version.workspace))
    except EvidenceError as error:
        return Files(None, str(error))


def judge(
    connection: Connection, version: Version, target: Target, files: Files, promoter: str | None = None
) -> Verdict:
    """Judge one version for one target against the policy, keys and statements as they are now.

    promoter: who asks, whose own approval does not count; UNVERIFIED where nobody checked who that is, and no approval
    counts; None where nobody asks, as for a version's page.
    """
    applied = policy_for(connection, version.model)
    # another version may have come under the name and number since somebody chose the one to return to
    held = held_before(connection, version, target) if _rolling_back.get() else None
    rollback = held is not None
    if not is_guarded(applied, target):
        label = applied.label if applied else None
        return Verdict(version.model, version.version, target, False, label, rollback=rollback)
    if applied is None:
        problem = (
            f"no policy governs {version.model}; an operator applies one with `resnet-ops policy apply FILE`"
        )
        return Verdict(version.model, version.version, target, True, None, (problem,), rollback=rollback)

    def refusal(problem: str) -> Verdict:
        observes, names = (
            applied.policy.observes,
            (version.model, version.version, target, True, applied.label),
        )
        return Verdict(*names, (problem.rstrip("."),), rollback=rollback, observing=observes)

    if applied.problem:
        return refusal(f"its policy cannot be read, and an operator must apply it again: {applied.problem}")

    def champions() -> list[Champion]:
        return champions_now(connection, version, target, applied.policy.evidence_roles)

    try:
        verified = verified_about(connection, version)
    except EvidenceError as error:
        return refusal(f"its evidence is not believed: {error}")
    question = Question(version, target, files, verified, champions, held, promoter, datetime.now(UTC))
    return answer(applied, question)


@dataclass(frozen=True)
class Question:
    """May this version become that? With all that the answer depends on, apart from the policy.

    `held`: how the version was given the same before, where this is a rollback to it; None otherwise.
    """

    version: Version
    target: Target
    files: Files
    verified: VerifiedStatements
    champions: Callable[[], Sequence[Champion]]
    held: Literal["allowed", "observed"] | None
    promoter: str | None
    now: datetime


def answer(applied: AppliedPolicy, question: Question) -> Verdict:
    """The verdict by a policy that guards the target. Reads nothing but its arguments."""
    version, verified, target = question.version, question.verified, question.target
    guard = applied.policy.guard_of(target)
    assert guard is not None

    def verdict(*problems: str, **more: Any) -> Verdict:
        names = (version.model, version.version, target, True, applied.label)
        observes = applied.policy.observes
        return Verdict(*names, problems, rollback=question.held is not None, observing=observes, **more)

    if question.files.digest is None:
        return verdict((question.files.problem or "its files cannot be read").rstrip("."))
    retirement = verified.retirement
    if retirement is not None:
        when = f"{retirement.predicate.created:%Y-%m-%d}"
        return verdict(
            f"it was retired by {retirement.key.name} on {when}: {retirement.predicate.why}",
            statements=(retirement.id,),
        )
    accepted = verified.evidence(applied.policy.evidence_roles)
    if accepted is None:
        roles = " or ".join(applied.policy.evidence_roles)
        return verdict(f"there is no evidence signed by a trusted {roles} key")
    if accepted.subject.digest != question.files.digest:
        return verdict("its files were changed after the evidence was signed", statements=(accepted.id,))
    champions = question.champions() if any(rule.looks_at_champion for rule in guard.rules) else ()
    case = Case(
        target,
        question.files.digest,
        accepted,
        verified,
        question.now,
        tuple(champions),
        question.held == "allowed",
        question.promoter,
    )
    others = [
        each.id
        for each in verified.statements
        if not isinstance(each.predicate, Evidence | Review | Baseline)
    ]
    results = judge_rules(guard.rules, case, applied.policy.waivers)
    return verdict(rules=results, statements=(accepted.id, *others))


def check(
    registered_model: str, version: int, alias: str, *, stage: bool = False, workspace: str = "default"
) -> Verdict:
    """What the gate would say now; nothing is changed or recorded. `alias` is a stage's name with `stage`.

    Needs the registry's database (ConfigError over http). Raises EvidenceError when the version is missing.
    """
    target = Target.named(alias, "stage" if stage else "alias")
    with open_database() as connection:
        found = _existing(connection, workspace, registered_model, version)
        return judge(connection, found, target, hash_files(found), promoter_now())


def check_all(registered_model: str, version: int, *, workspace: str = "default") -> list[Verdict]:
    """A verdict for every alias and stage that the model's policy guards; empty without a policy."""
    with open_database() as connection:
        found = _existing(connection, workspace, registered_model, version)
        applied = policy_for(connection, registered_model)
        files = hash_files(found)
        targets = applied.policy.targets() if applied else []
        return [judge(connection, found, target, files, promoter_now()) for target in targets]


def _existing(connection: Connection, workspace: str, model: str, version: int) -> Version:
    found = find_version(connection, workspace, model, version)
    if found is None:
        raise EvidenceError(f"There is no {model} v{version}. See what there is with: resnet-ops registry ls")
    return found
