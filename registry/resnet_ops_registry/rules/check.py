"""Rule `check`: something that is checked with yes or no, such as the data's validation, held."""

from typing import Literal

from pydantic import Field

from resnet_ops_registry.rules.base import Case, Rule, RuleResult

__all__ = ["Check"]


class Check(Rule):
    """The evidence must say that a check was made and held."""

    rule: Literal["check"]
    check: str = Field(min_length=1, max_length=100, description="such as data_validation")

    def judge(self, case: Case) -> RuleResult:
        held = case.evidence.checks.get(self.check)
        measured = {None: "missing", True: "held", False: "did not hold"}[held]
        reason = f"{self.check} is missing from the evidence" if held is None else f"{self.check} {measured}"
        return self.result(held is True, self.check, measured, "held", reason)
