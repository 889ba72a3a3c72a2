"""The gate: may this version carry this alias or stage? One judgement for the store and the command line."""

import os
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops_registry.database import open_database
from resnet_ops_registry.digest import location_digest
from resnet_ops_registry.policies import AppliedPolicy, policy_for
from resnet_ops_registry.policy import Target, canonical_name
from resnet_ops_registry.rules import RuleResult, judge_rule
from resnet_ops_registry.statements import Version, find_version, latest_evidence

__all__ = ["Files", "Verdict", "check", "check_all", "hash_files", "is_guarded", "judge"]

MESSAGE_LENGTH = 250
UNGOVERNED_ALIASES, UNGOVERNED_STAGES = "champion", ("production",)


@dataclass(frozen=True)
class Files:
    """The digest of a version's files, or why there is none."""

    digest: str | None
    problem: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What the gate says. `problems` are reasons that are no rule's, such as missing evidence."""

    model: str
    version: int
    target: Target
    guarded: bool
    policy: str | None
    problems: tuple[str, ...] = ()
    rules: tuple[RuleResult, ...] = ()
    statements: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        return not self.problems and all(rule.passed for rule in self.rules)

    @property
    def reasons(self) -> list[str]:
        """Why not, problems first; empty when allowed."""
        return [*self.problems, *(rule.reason for rule in self.rules if not rule.passed)]

    @property
    def message(self) -> str:
        """One sentence for MLflow's dialog, under 250 characters."""
        if self.allowed:
            return f"{self.model} v{self.version} may become {self.target.label}."
        start = f"{self.model} v{self.version} may not become {self.target.label}: "
        return _fit(start, self.reasons)

    def as_json(self) -> dict[str, Any]:
        """For `--json` and for the ledger."""
        return {
            "model": self.model,
            "version": self.version,
            "target": self.target.label,
            "allowed": self.allowed,
            "guarded": self.guarded,
            "policy": self.policy,
            "reasons": self.reasons,
            "rules": [asdict(rule) for rule in self.rules],
            "statements": list(self.statements),
        }


def _fit(start: str, reasons: list[str]) -> str:
    """As many reasons as fit, and how many more there are."""
    for count in range(len(reasons), 0, -1):
        rest = len(reasons) - count
        text = start + "; ".join(reasons[:count]) + (f"; and {rest} more" if rest else "")
        if len(text) < MESSAGE_LENGTH:
            return text
    return (start + reasons[0])[: MESSAGE_LENGTH - 2] + "…"


def is_guarded(applied: AppliedPolicy | None, target: Target) -> bool:
    """Whether an alias or stage is behind the gate.

    With a policy: what the policy names. Without one: aliases that start with `champion` and the stage
    Production, which are then refused, unless RESNET_OPS_UNGOVERNED=open.
    """
    if applied is not None:
        return applied.policy.guard_of(target) is not None
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
        return Files(location_digest(version.location))
    except EvidenceError as error:
        return Files(None, str(error))


def judge(connection: Connection, version: Version, target: Target, files: Files) -> Verdict:
    """Judge one version for one target against the policy, keys and statements as they are now."""
    applied = policy_for(connection, version.model)
    guarded = is_guarded(applied, target)

    def verdict(*problems: str, **more: Any) -> Verdict:
        label = applied.label if applied else None
        return Verdict(version.model, version.version, target, guarded, label, problems, **more)

    if not guarded:
        return verdict()
    if applied is None:
        return verdict(
            f"no policy governs {version.model}; an operator applies one with `resnet-ops policy apply FILE`"
        )
    guard = applied.policy.guard_of(target)
    assert guard is not None
    if files.digest is None:
        return verdict((files.problem or "its files cannot be read").rstrip("."))
    try:
        accepted = latest_evidence(connection, version, applied.policy.evidence_roles)
    except EvidenceError as error:
        return verdict(f"its evidence is not believed: {error}".rstrip("."))
    if accepted is None:
        roles = " or ".join(applied.policy.evidence_roles)
        return verdict(f"there is no evidence signed by a trusted {roles} key")
    if accepted.subject.digest != files.digest:
        return verdict("its files were changed after the evidence was signed", statements=(accepted.id,))
    results = tuple(judge_rule(rule, accepted.evidence) for rule in guard.rules)
    return verdict(rules=results, statements=(accepted.id,))


def check(
    registered_model: str, version: int, alias: str, *, stage: bool = False, workspace: str = "default"
) -> Verdict:
    """What the gate would say now; nothing is changed or recorded. `alias` is a stage's name with `stage`.

    Needs the registry's database (ConfigError over http). Raises EvidenceError when the version is missing.
    """
    target = Target(kind="stage" if stage else "alias", name=alias.removeprefix("@"))
    with open_database() as connection:
        found = _existing(connection, workspace, registered_model, version)
        return judge(connection, found, target, hash_files(found))


def check_all(registered_model: str, version: int, *, workspace: str = "default") -> list[Verdict]:
    """A verdict for every alias and stage that the model's policy guards; empty without a policy."""
    with open_database() as connection:
        found = _existing(connection, workspace, registered_model, version)
        applied = policy_for(connection, registered_model)
        files = hash_files(found)
        targets = applied.policy.targets() if applied else []
        return [judge(connection, found, target, files) for target in targets]


def _existing(connection: Connection, workspace: str, model: str, version: int) -> Version:
    found = find_version(connection, workspace, model, version)
    if found is None:
        raise EvidenceError(f"There is no {model} v{version}. See what there is with: resnet-ops registry ls")
    return found
