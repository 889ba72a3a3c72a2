"""Rules judged against evidence, with a reason in words."""

from dataclasses import dataclass

from resnet_ops_registry.evidence import Evidence, show_metric, show_number
from resnet_ops_registry.policy import Rule

__all__ = ["RuleResult", "judge_rule", "show_metric"]


@dataclass(frozen=True)
class RuleResult:
    """How one rule came out. `reason` says in a few words what was measured and what was needed."""

    rule: str
    metric: str
    measured: str
    needed: str
    passed: bool
    reason: str
    why: str


def judge_rule(rule: Rule, evidence: Evidence) -> RuleResult:
    """Judge one rule. What is missing is a failure with its reason, never a pass."""
    metric = evidence.metrics.get(rule.metric)
    needed = _needed(rule)

    def result(passed: bool, measured: str, reason: str) -> RuleResult:
        return RuleResult(rule.rule, rule.metric, measured, needed, passed, reason, rule.why)

    if metric is None:
        return result(False, "missing", f"{rule.metric} is missing from the evidence")
    number = getattr(metric, rule.bound)
    shown = show_metric(metric)
    if number is None:
        return result(False, shown, f"{rule.metric} {shown} has no interval")
    subject = (
        f"{rule.metric} {shown}" if rule.bound == "value" else f"{rule.metric} {shown}: {rule.bound} end"
    )
    if rule.min is not None and not number >= rule.min:
        return result(False, shown, f"{subject} is below {show_number(rule.min)}")
    if rule.max is not None and not number <= rule.max:
        return result(False, shown, f"{subject} is above {show_number(rule.max)}")
    return result(True, shown, f"{subject} is {needed}")


def _needed(rule: Rule) -> str:
    limits = []
    if rule.min is not None:
        limits.append(f">= {show_number(rule.min)}")
    if rule.max is not None:
        limits.append(f"<= {show_number(rule.max)}")
    bound = "" if rule.bound == "value" else f"{rule.bound} end "
    return bound + " and ".join(limits)
