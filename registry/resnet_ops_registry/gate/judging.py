"""Judge all rules of a guard, and let waivers count where the policy allows them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from resnet_ops_registry.attestations.predicates import Waiver
from resnet_ops_registry.attestations.statements import Accepted
from resnet_ops_registry.common.actor import UNVERIFIED
from resnet_ops_registry.gate.policy import Waivers
from resnet_ops_registry.rules.base import Case, Rule, RuleResult, moment

__all__ = ["judge_rules"]

_FAULTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
)
_FAULTS += (NameError, OSError, RuntimeError, TypeError, ValueError)


def judge_rules(rules: Sequence[Rule], case: Case, waivers: Waivers | None) -> tuple[RuleResult, ...]:
    """How each rule came out, in their order."""
    return tuple(_waived(_judge(rule, case), case, waivers) for rule in rules)


def _judge(rule: Rule, case: Case) -> RuleResult:
    """A rule of another package that breaks refuses; it must not take the registry down."""
    try:
        return rule.judge(case)
    except _FAULTS as error:
        reason = f"the rule {rule.rule} failed to run ({type(error).__name__})"
        return RuleResult(rule.rule, rule.rule, "broke", "", False, reason, rule.why, rule.id)


def _waived(result: RuleResult, case: Case, waivers: Waivers | None) -> RuleResult:
    if result.passed or waivers is None or result.id is None or result.id not in waivers.rules:
        return result
    seen: set[str] = set()
    for each in case.verified.of(Waiver, case.digest):
        waiver, person = each.predicate, each.key.person
        if waiver.rule != result.id or not waiver.target.same_as(case.target) or person in seen:
            continue
        seen.add(person)
        if _counts(each, case, waivers):
            waived = f"by {each.key.name} until {waiver.until:%Y-%m-%d}: {waiver.why}"
            return replace(result, waived=waived, until=moment(waiver.until))
        if case.promoter == UNVERIFIED:
            return replace(
                result, reason=f"{result.reason}; a waiver counts only where a login says who asks"
            )
    return result


def _counts(each: Accepted[Waiver], case: Case, waivers: Waivers) -> bool:
    waiver = each.predicate
    return (
        each.key.role in waivers.roles
        and not case.is_author(each.key)
        and case.now < waiver.until
        and waiver.until - waiver.created <= timedelta(days=waivers.max_days)
    )
