"""Rule `threshold`: a number in the evidence, or a bound of its interval, within limits."""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, FiniteFloat, PositiveInt, model_validator

from resnet_ops_registry.attestations.evidence import Metric, show_metric, show_number
from resnet_ops_registry.rules.base import Case, Rule, RuleResult

__all__ = ["Threshold"]


class Threshold(Rule):
    """A metric, or a bound of its interval, must not be below `min` nor above `max`.

    A `*` in the metric's name stands for any text; then every metric of such a name must hold, and the worst is told.
    """

    rule: Literal["threshold"]
    metric: str = Field(min_length=1, max_length=250)
    bound: Literal["value", "low", "high"] = Field(
        default="value", description="the number itself, or the bound of its interval"
    )
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    at_least: PositiveInt | None = Field(
        default=None, description="so many metrics must have such a name, so that a missing slice is noticed"
    )

    @model_validator(mode="after")
    def _limits(self) -> "Threshold":
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not exceed max")
        if self.at_least is not None and "*" not in self.metric:
            raise ValueError("at_least is for a metric with a * in its name")
        return self

    def judge(self, case: Case) -> RuleResult:
        found = self.matching(case.evidence.metrics)
        if not found:
            return self._result(False, "missing", f"{self.metric} is missing from the evidence")
        if len(found) < (self.at_least or 1):
            counted = f"{len(found)} of {self.at_least}"
            return self._result(False, counted, f"{counted} metrics {self.metric} are in the evidence")
        lacking = [name for name, metric in found.items() if self._number(metric) is None]
        if lacking:
            shown = show_metric(found[lacking[0]])
            return self._result(False, shown, f"{lacking[0]} {shown} has no interval")
        name, metric = min(found.items(), key=lambda item: self._slack(item[1]))
        return self._judge_one(name, metric, len(found))

    def _judge_one(self, name: str, metric: Metric, count: int) -> RuleResult:
        number, shown = self._number(metric), show_metric(metric)
        assert number is not None
        subject = (
            f"{name} {shown}" if self.bound == "value" else f"{name} {shown}: its interval's {self.bound} end"
        )
        measured = f"{name} {shown}, the worst of {count}" if "*" in self.metric else shown
        if self.min is not None and not number >= self.min:
            return self._result(False, measured, f"{subject} is below {show_number(self.min)}")
        if self.max is not None and not number <= self.max:
            return self._result(False, measured, f"{subject} is above {show_number(self.max)}")
        return self._result(True, measured, f"{subject} is {self._needed()}")

    def _result(self, passed: bool, measured: str, reason: str) -> RuleResult:
        return self.result(passed, self.metric, measured, self._needed(), reason)

    def matching(self, metrics: Mapping[str, Metric]) -> dict[str, Metric]:
        """Those that the rule is about."""
        pattern = re.compile(".*".join(map(re.escape, self.metric.split("*"))), re.DOTALL)
        return {name: metric for name, metric in sorted(metrics.items()) if pattern.fullmatch(name)}

    def _number(self, metric: Metric) -> float | None:
        number: float | None = getattr(metric, self.bound)
        return number

    def _slack(self, metric: Metric) -> float:
        """How far within the limits; negative beyond them."""
        number = self._number(metric)
        assert number is not None
        above = number - self.min if self.min is not None else float("inf")
        below = self.max - number if self.max is not None else float("inf")
        return min(above, below)

    def _needed(self) -> str:
        limits = []
        if self.min is not None:
            limits.append(f">= {show_number(self.min)}")
        if self.max is not None:
            limits.append(f"<= {show_number(self.max)}")
        bound = "" if self.bound == "value" else f"{self.bound} end "
        return bound + " and ".join(limits)
