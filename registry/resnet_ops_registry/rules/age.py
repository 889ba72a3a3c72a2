"""Rule `age`: evidence is not older than so many days."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from resnet_ops_registry.attestations.statements import CLOCK_SKEW
from resnet_ops_registry.rules.base import Case, Rule, RuleResult

__all__ = ["Age"]


class Age(Rule):
    """The newest evidence must be at most `max_days` old, by the time that was signed."""

    rule: Literal["age"]
    max_days: float = Field(gt=0, le=36_500, allow_inf_nan=False)

    def judge(self, case: Case) -> RuleResult:
        ends = case.evidence.created + timedelta(days=self.max_days)
        age = case.now - case.evidence.created
        shown, needed = f"{age / timedelta(days=1):.1f} days", f"<= {self.max_days:g} days"
        if age < -CLOCK_SKEW:
            return self.result(False, "age", shown, needed, "its evidence is dated in the future")
        if age > timedelta(days=self.max_days):
            reason = f"its evidence is {shown} old, more than {self.max_days:g}; measure it again"
            return self.result(False, "age", shown, needed, reason)
        return self.result(True, "age", shown, needed, f"its evidence is {shown} old", ends)
