"""A rule, judged on a case made for it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resnet_ops.errors import ConfigError
from resnet_ops_registry.attestations.envelope import Subject
from resnet_ops_registry.attestations.keys import PublicKey
from resnet_ops_registry.attestations.predicates import Predicate
from resnet_ops_registry.attestations.statements import Accepted, VerifiedStatements
from resnet_ops_registry.attestations.trust import TrustedKey
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.gate.judging import judge_rules
from resnet_ops_registry.gate.policy_file import read_policy
from resnet_ops_registry.rules import Case, Champion, Rule, RuleResult
from tests.unit.registry.attestations.test_evidence import make_evidence

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DIGEST = "d" * 64
CHAMPION = Target(kind="alias", name="champion")
GUARD = "model: m\nevidence_roles: [pipeline]\nguards: [{aliases: [champion], rules: [{RULE, why: so}]}]\n"
LOW = "rule: threshold, metric: acc, bound: low, min: 0.95"
VALUE = "rule: threshold, metric: acc, max: 20"
NOT_WORSE = (
    "rule: comparison, split: test, mode: not_worse, margin: 0.05, alpha: 0.05, method: METHOD, "
    "without_champion: refuse"
)
MCNEMAR = NOT_WORSE.replace("METHOD", "mcnemar")


def rule(text: str) -> Rule:
    return read_policy(GUARD.replace("RULE", text), "p.yaml").guards[0].rules[0]


def problem_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        rule(text)
    return str(caught.value)


def said_by(name: str, said: Predicate, role: str = "reviewer", digest: str = DIGEST) -> Accepted[Any]:
    key = TrustedKey((name * 64)[:64], name, role, PublicKey(b"\0" * 32), None)
    return Accepted(name, key, Subject("m", 1, 1, digest), said)


def case(
    *said: Accepted[Any],
    champions: Sequence[Champion] = (),
    rollback: bool = False,
    promoter: str | None = None,
    **evidence: Any,
) -> Case:
    found = said_by("pipeline", make_evidence(**{"created": NOW, **evidence}), "pipeline")
    return Case(
        CHAMPION, DIGEST, found, VerifiedStatements((found, *said)), NOW, champions, rollback, promoter
    )


def judged(text: str, about: Case) -> RuleResult:
    (result,) = judge_rules([rule(text)], about, None)
    return result
