"""Rules that ask for statements by people, and waivers."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from resnet_ops_registry.attestations.evidence import Metric
from resnet_ops_registry.attestations.predicates import Approval, Reproduction, Retirement, Waiver
from resnet_ops_registry.attestations.statements import Accepted
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.gate.judging import judge_rules
from resnet_ops_registry.gate.policy_file import read_policy
from resnet_ops_registry.gate.verdict import Verdict, refusal_in
from tests.unit.registry.judging import CHAMPION, DAY, GUARD, LOW, NOW, VALUE, case, judged, said_by


def approval(
    until: datetime = NOW + DAY, target: Target = CHAMPION, created: datetime = NOW - DAY
) -> Approval:
    return Approval(target=target, until=until, created=created)


APPROVED = "rule: statements, kind: approval, roles: [reviewer]"


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ([said_by("kim", approval())], True),
        ([said_by("kim", approval(target=Target(kind="alias", name="Champion ")))], True),
        ([], False),
        ([said_by("kim", approval(until=NOW))], False),
        ([said_by("kim", approval(target=Target(kind="alias", name="champion-edge")))], False),
        ([said_by("kim", approval(target=Target(kind="stage", name="champion")))], False),
        ([said_by("kim", approval(), digest="e" * 64)], False),
        ([said_by("kim", approval(), role="pipeline")], False),
        ([said_by("pipeline", approval())], False),
        ([said_by("Pipeline ", approval())], False),
        ([said_by("kim", Retirement(retired=False, why="x", created=NOW))], False),
        ([said_by("kim", approval(until=NOW)), said_by("kim", approval(created=NOW - 2 * DAY))], False),
        ([said_by("kim", approval(until=NOW, created=NOW - 2 * DAY)), said_by("kim", approval())], True),
    ],
)
def test_an_approval_counts_for_its_alias_its_files_and_its_time(
    said: list[Accepted[Any]], passed: bool
) -> None:
    assert judged(APPROVED, case(*said)).passed is passed


def test_distinct_people_are_counted_and_the_promoter_is_none() -> None:
    two = APPROVED + ", count: 2"
    kim, lee = said_by("kim", approval()), said_by("lee", approval())
    assert judged(two, case(kim, lee)).passed
    assert not judged(two, case(kim, said_by("KIM", approval()))).passed
    result = judged(two, case(kim, lee, promoter="Kim"))
    assert result.reason == "1 of 2 approvals by reviewer (kim is the author or promoter)"


def test_so_many_approvals_hold_until_too_few_are_left() -> None:
    said = [
        said_by(name, approval(until=NOW + days * DAY)) for name, days in (("kim", 3), ("lee", 1), ("jo", 2))
    ]
    assert [judged(f"{APPROVED}, count: {count}", case(*said)).until for count in (1, 2, 3)] == [
        "2026-11-26 12:00 UTC",
        "2026-11-25 12:00 UTC",
        "2026-11-24 12:00 UTC",
    ]
    assert judged(f"{APPROVED}, count: 4", case(*said)).until == ""


def test_an_approval_without_an_end_keeps_nobody_elses_from_counting() -> None:
    endless = approval(until=datetime(9999, 12, 31, 23, tzinfo=timezone(-12 * DAY / 24)))
    assert judged(APPROVED, case(said_by("kim", approval()), said_by("lee", endless))).passed


def test_a_verdict_passes_until_the_first_of_its_rules_ends() -> None:
    text = WAIVERS + GUARD.replace("RULE", LOW + ", id: acc").replace(
        "]}]", f", {{{APPROVED}, why: so}}, {{rule: age, max_days: 9, why: so}}]}}]"
    )
    policy = read_policy(text, "p.yaml")
    about = case(
        said_by("kim", approval(until=NOW + 2 * DAY)),
        said_by("lead", waiver(until=NOW + 3 * DAY), "lead"),
        metrics={"acc": Metric(value=0.5, n=1)},
    )
    rules = judge_rules(policy.guards[0].rules, about, policy.waivers)
    verdict = Verdict("m", 1, CHAMPION, True, "m policy 1", (), rules)
    assert verdict.summary.startswith(
        "passes until 2026-11-25 12:00 UTC (acc waived by lead until 2026-11-26"
    )
    assert Verdict("m", 1, CHAMPION, True, "m policy 1", (), rules[:0]).summary == "passes"


def reproduction(weights: str = "0" * 64, **metrics: float) -> Reproduction:
    return Reproduction(weights_digest=weights, metrics=metrics, environment={}, created=NOW)


REPRODUCED = "rule: statements, kind: reproduction, roles: [reviewer]"


@pytest.mark.parametrize(
    ("text", "said", "passed"),
    [
        (REPRODUCED, reproduction(), True),
        (REPRODUCED, reproduction("1" * 64), False),
        (REPRODUCED + ", within: {acc: 0.1}", reproduction("1" * 64, acc=0.39), True),
        (REPRODUCED + ", within: {acc: 0.1}", reproduction("1" * 64, acc=0.41), False),
        (REPRODUCED + ", within: {acc: 0.1}", reproduction("1" * 64), False),
        (REPRODUCED + ", within: {other: 0.1}", reproduction("1" * 64, other=1.0), False),
    ],
)
def test_a_reproduction_is_compared_by_the_gate_itself(text: str, said: Reproduction, passed: bool) -> None:
    assert judged(text, case(said_by("kim", said))).passed is passed


WAIVERS = "waivers: {roles: [lead], rules: [acc], max_days: 10}\n"


def waiver(until: datetime = NOW + DAY, rule: str = "acc", created: datetime = NOW - DAY) -> Waiver:
    return Waiver(target=CHAMPION, rule=rule, until=until, why="demo", created=created)


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (said_by("jo", waiver(), "lead"), True),
        (said_by("jo", waiver(until=NOW), "lead"), False),
        (said_by("jo", waiver(rule="other"), "lead"), False),
        (said_by("jo", waiver(), "reviewer"), False),
        (said_by("jo", waiver(until=NOW + 10 * DAY), "lead"), False),
        (said_by("jo", waiver(until=NOW + 10 * DAY, created=NOW), "lead"), True),
        (said_by("pipeline", waiver(), "lead"), False),
        (said_by("jo", waiver(), "lead", digest="e" * 64), False),
    ],
)
def test_a_waiver_counts_within_the_policys_bounds_only(said: Accepted[Any], counts: bool) -> None:
    text = WAIVERS + GUARD.replace("RULE", LOW + ", id: acc")
    policy = read_policy(text, "p.yaml")
    about = case(said, metrics={"acc": Metric(value=0.5, n=1)})
    (result,) = judge_rules(policy.guards[0].rules, about, policy.waivers)
    assert (result.passed, result.holds) == (False, counts)
    assert result.waived == (f"by jo until {said.predicate.until:%Y-%m-%d}: demo" if counts else "")


def test_a_rule_that_passes_needs_no_waiver() -> None:
    policy = read_policy(WAIVERS + GUARD.replace("RULE", VALUE + ", id: acc"), "p.yaml")
    (result,) = judge_rules(policy.guards[0].rules, case(said_by("jo", waiver(), "lead")), policy.waivers)
    assert (result.passed, result.waived) == (True, "")


def test_a_verdict_that_is_read_later_has_ended_with_the_first_of_its_rules() -> None:
    """As `gate check` reads it over HTTP from the version's page."""
    end = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
    for summary in (
        "passes until 2026-11-25 12:00 UTC",
        "passes until 2026-11-25 12:00 UTC (acc waived by lead until 2026-11-26: why)",
    ):
        assert refusal_in(summary, end - timedelta(minutes=1)) is None
        assert "passed until 2026-11-25 12:00 UTC" in str(refusal_in(summary, end))
    assert refusal_in("passes", end) is None
    assert refusal_in("passes (acc waived by lead until 2026-11-24: why)", end) is None
    assert refusal_in("refused: too bad", end) == "too bad"
