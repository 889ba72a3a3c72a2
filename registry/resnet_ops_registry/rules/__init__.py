"""Rules: what must hold, judged against evidence and statements, with a reason in words."""

from resnet_ops_registry.rules.base import Case, Champion, Rule, RuleResult
from resnet_ops_registry.rules.catalog import rule_kind, rule_names

__all__ = ["Case", "Champion", "Rule", "RuleResult", "rule_kind", "rule_names"]
