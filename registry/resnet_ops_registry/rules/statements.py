"""Rule `statements`: enough people approved a version, or repeated its training."""

from datetime import datetime
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from resnet_ops_registry.attestations.predicates import Approval, Reproduction
from resnet_ops_registry.attestations.statements import Accepted
from resnet_ops_registry.common.actor import UNVERIFIED
from resnet_ops_registry.rules.base import Case, Rule, RuleResult

__all__ = ["Statements"]

_NOBODY_KNOWN = (
    "people are counted, and nobody checked who asks: promote through a server with a login "
    "(--app-name basic-auth)"
)


class Statements(Rule):
    """So many distinct people of these roles, none of them the author, must have said it.

    The author is whoever signed the evidence or asks for the alias, so a login must say who that is. What each
    person said last counts. Keys of one name are one person.
    """

    rule: Literal["statements"]
    kind: Literal["approval", "reproduction"]
    count: PositiveInt = Field(default=1, le=100)
    roles: list[str] = Field(min_length=1, description="roles of the keys that count")
    within: dict[str, NonNegativeFloat] = Field(
        default_factory=dict,
        description="by metric, how far a reproduction may differ; without it, only one to the bit counts",
    )

    @model_validator(mode="after")
    def _within_is_for_reproductions(self) -> "Statements":
        if self.within and self.kind != "reproduction":
            raise ValueError("within is for kind: reproduction")
        return self

    def judge(self, case: Case) -> RuleResult:
        needed = f"{self.count} by {' or '.join(self.roles)}"
        if case.promoter == UNVERIFIED:
            return self.result(False, self.kind, "unknown", needed, _NOBODY_KNOWN)
        judged: dict[str, str] = {}
        counted: dict[str, str] = {}
        ends: list[datetime] = []
        statements: list[Accepted[Approval]] | list[Accepted[Reproduction]] = (
            case.verified.of(Approval, case.digest)
            if self.kind == "approval"
            else case.verified.of(Reproduction, case.digest)
        )
        for each in statements:
            if each.key.person in judged or not self._is_about(case, each):
                continue
            judged[each.key.person] = problem = self._problem(case, each)
            if not problem:
                counted[each.key.person] = each.key.name
                ends += [each.predicate.until] if isinstance(each.predicate, Approval) else []
        measured = f"{len(counted)} ({', '.join(counted.values())})" if counted else "none"
        left_out = "; ".join(dict.fromkeys(filter(None, judged.values())))
        reason = f"{len(counted)} of {self.count} {self.kind}s by {' or '.join(self.roles)}"
        if left_out and len(counted) < self.count:
            reason += f" ({left_out})"
        # so many approvals hold until the first of the last so many ends
        until = sorted(ends)[-self.count] if len(ends) >= self.count else None
        return self.result(len(counted) >= self.count, self.kind, measured, needed, reason, until)

    def _is_about(self, case: Case, each: Accepted[Approval] | Accepted[Reproduction]) -> bool:
        return not isinstance(each.predicate, Approval) or each.predicate.target.same_as(case.target)

    def _problem(self, case: Case, each: Accepted[Approval] | Accepted[Reproduction]) -> str:
        """Why a statement does not count; empty where it does."""
        predicate, key = each.predicate, each.key
        if key.role not in self.roles:
            return f"{key.name} is {key.role}"
        if case.is_author(key):
            return f"{key.name} is the author or promoter"
        if isinstance(predicate, Approval):
            return "" if case.now < predicate.until else f"{key.name}'s ended {predicate.until:%Y-%m-%d}"
        return self._difference(case, key.name, predicate)

    def _difference(self, case: Case, name: str, reproduction: Reproduction) -> str:
        evidence = case.evidence
        if reproduction.weights_digest == evidence.weights_digest:
            return ""
        if not self.within:
            return f"{name}'s has other weights"
        for metric, most in self.within.items():
            if metric not in evidence.metrics or metric not in reproduction.metrics:
                return f"{name}'s lacks {metric}"
            apart = abs(reproduction.metrics[metric] - evidence.metrics[metric].value)
            if not apart <= most:
                return f"{name}'s {metric} differs by {apart:.4g}"
        return ""
