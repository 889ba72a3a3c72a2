"""What the gate says of one version and one alias or stage."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from resnet_ops_registry.common.target import Target
from resnet_ops_registry.rules import RuleResult
from resnet_ops_registry.rules.base import moment

__all__ = ["COUNTED", "OBSERVED", "PASSES", "REFUSED", "Verdict", "refusal_in"]

MESSAGE_LENGTH = 250
PASSES = "passes"
"""What the summary of an allowed change starts with."""
COUNTED = " (people are counted)"
"""What the summary of an allowed change ends with where it would not be, were nobody known who asks for it."""
_UNTIL = " until "
REFUSED, OBSERVED = "refused: ", "would have been refused: "
"""What the summary of any other change starts with, by a policy that enforces or observes."""


@dataclass(frozen=True)
class Verdict:
    """What the gate says. `problems` are reasons that are no rule's, such as missing evidence.

    `rollback`: the judged change is the return to a version that held the alias before. `observing`: the policy lets
    through what it would refuse.
    """

    model: str
    version: int
    target: Target
    guarded: bool
    policy: str | None
    problems: tuple[str, ...] = ()
    rules: tuple[RuleResult, ...] = ()
    statements: tuple[str, ...] = ()
    rollback: bool = False
    observing: bool = False

    @property
    def allowed(self) -> bool:
        """Whether the rules hold."""
        return not self.problems and all(rule.holds for rule in self.rules)

    @property
    def outcome(self) -> Literal["allowed", "observed", "refused"]:
        """What becomes of the change; `observed` is one that goes through although the rules do not hold."""
        if self.allowed:
            return "allowed"
        return "observed" if self.observing else "refused"

    @property
    def action(self) -> str:
        """What the ledger calls the change."""
        return "rollback" if self.rollback else self.target.kind

    @property
    def reasons(self) -> list[str]:
        """Why not, problems first; empty when allowed."""
        return [*self.problems, *(rule.reason for rule in self.rules if not rule.holds)]

    @property
    def waived(self) -> list[str]:
        """The rules that do not hold and were waived, and by whom."""
        return [f"{rule.id} waived {rule.waived}" for rule in self.rules if rule.waived]

    @property
    def summary(self) -> str:
        """For the version's page: `passes`, until when, with what was waived; or REFUSED or OBSERVED, and why."""
        if not self.allowed:
            return (OBSERVED if self.observing else REFUSED) + "; ".join(self.reasons)
        ends = min((rule.until for rule in self.rules if rule.until), default="")
        waived = f" ({'; '.join(self.waived)})" if self.waived else ""
        return PASSES + (f"{_UNTIL}{ends}" if ends else "") + waived

    @property
    def message(self) -> str:
        """One sentence for MLflow's dialog, under 250 characters."""
        if self.allowed:
            return f"{self.model} v{self.version} may become {self.target.label}."
        would = "would have been refused as" if self.observing else "may not become"
        return _fit(f"{self.model} v{self.version} {would} {self.target.label}: ", self.reasons)

    def as_json(self) -> dict[str, Any]:
        """For `--json` and for the ledger."""
        return {
            "model": self.model,
            "version": self.version,
            "target": self.target.label,
            "allowed": self.allowed,
            "outcome": self.outcome,
            "guarded": self.guarded,
            "policy": self.policy,
            "reasons": self.reasons,
            "waived": self.waived,
            "rules": [asdict(rule) for rule in self.rules],
            "statements": list(self.statements),
        }


def refusal_in(summary: str, now: datetime) -> str | None:
    """Why a version is refused, as a summary of some time ago says it; None where it passed and still does."""
    if not summary.startswith(PASSES):
        return summary.removeprefix(REFUSED)
    ends = summary.removeprefix(PASSES + _UNTIL).partition(" (")[0]
    if ends == summary or ends > moment(now):
        return None
    return f"it passed until {ends}, when an approval, a waiver or the age of its evidence ended"


def _fit(start: str, reasons: list[str]) -> str:
    """As many reasons as fit, and how many more there are."""
    for count in range(len(reasons), 0, -1):
        rest = len(reasons) - count
        text = start + "; ".join(reasons[:count]) + (f"; and {rest} more" if rest else "")
        if len(text) < MESSAGE_LENGTH:
            return text
    return (start + reasons[0])[: MESSAGE_LENGTH - 2] + "…"
