"""Each rule at its edges, on cases made by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from resnet_ops.errors import ConfigError
from resnet_ops_registry.envelope import Subject
from resnet_ops_registry.evidence import Metric, Outcomes
from resnet_ops_registry.keys import PublicKey
from resnet_ops_registry.outcomes import pack_outcomes
from resnet_ops_registry.policy import read_policy
from resnet_ops_registry.predicates import Approval, Reproduction, Retirement, Said, Waiver
from resnet_ops_registry.rules import Case, Champion, Rule, RuleResult, catalog, judge_rules
from resnet_ops_registry.statements import Accepted, Believed
from resnet_ops_registry.target import Target
from resnet_ops_registry.trust import TrustedKey
from tests.unit.registry.test_evidence import make_evidence

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DIGEST = "d" * 64
CHAMPION = Target(kind="alias", name="champion")
GUARD = "model: m\nevidence_roles: [pipeline]\nguards: [{aliases: [champion], rules: [{RULE, why: so}]}]\n"


def rule(text: str) -> Rule:
    return read_policy(GUARD.replace("RULE", text), "p.yaml").guards[0].rules[0]


def problem_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        rule(text)
    return str(caught.value)


def said_by(name: str, said: Said, role: str = "reviewer", digest: str = DIGEST) -> Accepted[Any]:
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
    return Case(CHAMPION, DIGEST, found, Believed((found, *said)), NOW, champions, rollback, promoter)


def judged(text: str, about: Case) -> RuleResult:
    (result,) = judge_rules([rule(text)], about, None)
    return result


LOW = "rule: threshold, metric: acc, bound: low, min: 0.95"
VALUE = "rule: threshold, metric: acc, max: 20"


@pytest.mark.parametrize(
    ("text", "metric", "passed", "reason"),
    [
        (LOW, Metric(value=0.98, n=10, low=0.95, high=1), True, "low end"),
        (LOW, Metric(value=0.98, n=10, low=0.9499, high=1), False, "its interval's low end is below 0.950"),
        (LOW, Metric(value=0.98, n=10), False, "acc 0.980 (n=10) has no interval"),
        (VALUE, Metric(value=20, n=10), True, "<= 20"),
        (VALUE, Metric(value=20.01, n=10, unit="ms"), False, "acc 20.01 ms (n=10) is above 20"),
        ("rule: threshold, metric: acc, min: 1, max: 2", Metric(value=2.5, n=1), False, "acc 2.5 is above 2"),
        ("rule: threshold, metric: acc, bound: high, max: 1", Metric(value=0.5, n=2, low=0, high=1), True, "high end"),
    ],
)  # fmt: skip
def test_a_threshold_holds_at_its_limit_and_not_beyond(
    text: str, metric: Metric, passed: bool, reason: str
) -> None:
    result = judged(text, case(metrics={"acc": metric}))
    assert result.passed is passed
    assert reason in result.reason


def test_a_missing_metric_is_a_refusal() -> None:
    result = judged(LOW, case(metrics={"other": Metric(value=1, n=1)}))
    assert (result.passed, result.reason) == (False, "acc is missing from the evidence")


RECALLS = {f"test.recall.{digit}": Metric(value=0.9 + digit / 100, n=30) for digit in range(5)}


@pytest.mark.parametrize(
    ("text", "passed", "measured"),
    [
        ("min: 0.9", True, "test.recall.0 0.900 (n=30), the worst of 5"),
        ("min: 0.91", False, "test.recall.0 0.900 (n=30), the worst of 5"),
        ("max: 0.93", False, "test.recall.4 0.940 (n=30), the worst of 5"),
        ("min: 0.9, at_least: 5", True, "test.recall.0"),
        ("min: 0.9, at_least: 6", False, "5 of 6"),
    ],
)
def test_a_star_stands_for_every_slice_and_the_worst_is_told(text: str, passed: bool, measured: str) -> None:
    result = judged(f'rule: threshold, metric: "test.recall.*", {text}', case(metrics=RECALLS))
    assert result.passed is passed
    assert measured in result.measured


def test_a_star_that_matches_nothing_is_a_refusal_and_a_slice_without_interval_too() -> None:
    stars = 'rule: threshold, metric: "test.recall.*", bound: low, min: 0.5'
    assert "missing" in judged(stars, case()).reason
    assert "has no interval" in judged(stars, case(metrics=RECALLS)).reason


def test_only_a_star_is_special_in_a_metrics_name() -> None:
    metrics = {"a[x]": Metric(value=1, n=1), "a.x": Metric(value=0, n=1), "aqx": Metric(value=0, n=1)}
    assert judged('rule: threshold, metric: "a[x]", min: 1', case(metrics=metrics)).passed
    assert judged('rule: threshold, metric: "*[x]", min: 1', case(metrics=metrics)).passed
    assert not judged('rule: threshold, metric: "a*x", min: 1', case(metrics=metrics)).passed


HARDWARE: dict[str, Any] = {"hardware": {"server-cpu": {"cpu": "AMD EPYC 9B14", "cores": 2, "gpu": None}}}


@pytest.mark.parametrize(
    ("match", "passed"),
    [
        ("{cpu: 'AMD EPYC.*'}", True),
        ("{cpu: 'AMD EPYC'}", False),
        ("{cpu: 'AMD.*', cores: 2, gpu: null}", True),
        ("{cores: 4}", False),
        ("{cores: '2'}", False),
        ("{cores: true}", False),
        ("{gpu: 'NVIDIA.*'}", False),
        ("{memory: 8}", False),
    ],
)
def test_hardware_must_match_what_the_profile_stands_for(match: str, passed: bool) -> None:
    assert judged(f"rule: hardware, profile: server-cpu, match: {match}", case(**HARDWARE)).passed is passed


def test_a_profile_without_hardware_is_a_refusal() -> None:
    result = judged("rule: hardware, profile: edge-cpu, match: {cpu: '.*'}", case(**HARDWARE))
    assert (result.passed, "does not say what edge-cpu was measured on" in result.reason) == (False, True)


@pytest.mark.parametrize(
    ("age", "passed"), [(0 * DAY, True), (30 * DAY, True), (30.001 * DAY, False), (-DAY, False)]
)
def test_evidence_must_not_be_older_than_it_may_nor_from_the_future(age: timedelta, passed: bool) -> None:
    assert judged("rule: age, max_days: 30", case(created=NOW - age)).passed is passed


@pytest.mark.parametrize(
    ("checks", "passed"),
    [
        ({"data_validation": True}, True),
        ({"data_validation": False}, False),
        ({}, False),
        ({"x": True}, False),
    ],
)
def test_a_check_must_have_been_made_and_held(checks: dict[str, bool], passed: bool) -> None:
    assert judged("rule: check, check: data_validation", case(checks=checks)).passed is passed


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
    assert result.waived == (f"by jo until {said.said.until:%Y-%m-%d}: demo" if counts else "")


def test_a_rule_that_passes_needs_no_waiver() -> None:
    policy = read_policy(WAIVERS + GUARD.replace("RULE", VALUE + ", id: acc"), "p.yaml")
    (result,) = judge_rules(policy.guards[0].rules, case(said_by("jo", waiver(), "lead")), policy.waivers)
    assert (result.passed, result.waived) == (True, "")


def outcomes(right: Sequence[bool] | np.ndarray, images: str = "2" * 64) -> dict[str, Outcomes]:
    return {"test": pack_outcomes(images, np.array(right))}


def champion(right: Sequence[bool] | np.ndarray, version: int = 7, images: str = "2" * 64) -> Champion:
    return Champion(version, False, make_evidence(outcomes=outcomes(right, images)))


NOT_WORSE = (
    "rule: comparison, split: test, mode: not_worse, margin: 0.05, alpha: 0.05, method: METHOD, "
    "without_champion: refuse"
)
BETTER = NOT_WORSE.replace("not_worse", "better").replace("0.05, alpha", "0, alpha")
ALL = [True] * 200
TEN_WRONG = [False] * 10 + [True] * 190


@pytest.mark.parametrize("method", ["mcnemar", "bootstrap"])
@pytest.mark.parametrize(
    ("text", "mine", "theirs", "passed"),
    [
        (NOT_WORSE, ALL, ALL, True),
        (NOT_WORSE, TEN_WRONG, ALL, False),
        (NOT_WORSE, [False] * 2 + [True] * 198, ALL, True),
        (BETTER, ALL, ALL, False),
        (BETTER, ALL, TEN_WRONG, True),
        (BETTER, TEN_WRONG, ALL, False),
    ],
)
def test_a_candidate_is_compared_image_by_image(
    method: str, text: str, mine: list[bool], theirs: list[bool], passed: bool
) -> None:
    about = case(champions=[champion(theirs)], outcomes=outcomes(mine))
    assert judged(text.replace("METHOD", method), about).passed is passed


MCNEMAR = NOT_WORSE.replace("METHOD", "mcnemar")


@pytest.mark.parametrize(("won", "lost", "p", "passed"), [(5, 0, 0.031, True), (6, 1, 0.062, False)])
def test_alpha_is_the_limit_of_the_p_value(won: int, lost: int, p: float, passed: bool) -> None:
    mine = [True] * won + [False] * lost + ALL
    theirs = [False] * won + [True] * lost + ALL
    result = judged(
        BETTER.replace("METHOD", "mcnemar"), case(champions=[champion(theirs)], outcomes=outcomes(mine))
    )
    assert f"p={p}" in result.measured
    assert result.passed is passed


def test_of_a_thousand_candidates_worse_by_the_margin_at_most_alpha_pass_the_rule() -> None:
    """Image by image, through the signed form: the whole rule, not its arithmetic alone."""
    n, margin, disagreement, draws = 200, 0.05, 0.09, 1000
    rng = np.random.default_rng(3)
    drawn = rng.random((draws, n))
    lost = drawn < (disagreement + margin) / 2
    won = drawn > 1 - (disagreement - margin) / 2
    right = rng.random((draws, n)) < 0.9
    passed = sum(
        judged(
            MCNEMAR, case(champions=[champion((theirs | b) & ~a)], outcomes=outcomes((theirs | a) & ~b))
        ).passed
        for theirs, a, b in zip(right, won, lost, strict=True)
    )
    assert 10 < passed <= 1000 * (0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 1000))


def test_what_a_comparison_says_can_be_checked_by_hand() -> None:
    mine = [False] * 3 + [True] * 195 + [False, True]
    theirs = [True] * 198 + [False, False]
    result = judged(MCNEMAR, case(champions=[champion(theirs)], outcomes=outcomes(mine)))
    assert result.measured.startswith("-1.00 points against @champion v7 (1 won, 3 lost of 200; p=")
    assert result.needed == "at most 5 points worse (alpha 0.050)"


@pytest.mark.parametrize(
    ("champions", "reason"),
    [
        ([champion(ALL, images="3" * 64)], "@champion v7 was judged on other images"),
        ([champion(ALL[:-1])], "@champion v7 was judged on other images"),
        ([Champion(7, False, None)], "@champion v7 has no evidence that is believed"),
        (
            [Champion(7, False, make_evidence(outcomes={}))],
            "evidence of @champion v7 has no outcomes on split test",
        ),
        ([champion(ALL), champion(ALL, 8, "3" * 64)], "@champion v8 was judged on other images"),
        ([], "there is no @champion yet to compare with"),
    ],
)
def test_a_champion_that_cannot_be_compared_with_is_a_refusal(champions: list[Champion], reason: str) -> None:
    result = judged(MCNEMAR, case(champions=champions, outcomes=outcomes(ALL)))
    assert result.passed is False
    assert reason in result.reason


def test_a_candidate_without_outcomes_is_a_refusal() -> None:
    result = judged(MCNEMAR, case(champions=[champion(ALL)], outcomes={}))
    assert (result.passed, "the evidence of the candidate has no outcomes" in result.reason) == (False, True)


def test_without_a_champion_the_policy_says_what_holds() -> None:
    assert judged(MCNEMAR.replace("refuse", "pass"), case()).passed
    assert not judged(MCNEMAR, case()).passed


def test_the_champion_itself_and_a_rollback_are_not_compared() -> None:
    itself = Champion(1, True, None)
    assert judged(MCNEMAR, case(champions=[itself])).passed
    assert judged(MCNEMAR, case(champions=[champion(ALL, images="3" * 64)], rollback=True)).passed
    assert not judged(MCNEMAR, case(champions=[itself, Champion(7, False, None)])).passed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rule: threshold, metric: a", "give min, max or both"),
        ("rule: threshold, metric: a, min: 1, at_least: 2", "at_least is for a metric with a *"),
        ("rule: hardware, profile: a, match: {cpu: '('}", "'(' is no regular expression"),
        ("rule: hardware, profile: a, match: {}", "match"),
        ("rule: age, max_days: .inf", "max_days"),
        ("rule: age, max_days: 0", "greater than 0"),
        ("rule: statements, kind: waiver, roles: [a]", "'approval' or 'reproduction'"),
        ("rule: statements, kind: approval, roles: []", "roles"),
        ("rule: statements, kind: approval, roles: [a], within: {a: 1}", "within is for kind: reproduction"),
        (MCNEMAR.replace("margin: 0.05", "margin: 0"), "not_worse needs a margin above 0"),
        (MCNEMAR.replace("alpha: 0.05", "alpha: 0.5"), "less than or equal to 0.2"),
        (MCNEMAR.replace(", without_champion: refuse", ""), "without_champion: Field required"),
        ("rule: check, chek: a", "chek: is not known here; did you mean check"),
        ("rule: check, check: a, id: 'A b'", "id: String should match"),
        ("rule: mood", "'mood' is no rule; known here: age, check, comparison, hardware, statements, threshold"),
        ("rule: [a]", "is no rule; known here"),
        ("nothing: 1", "None is no rule"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_told_with_its_line_and_what_to_do(text: str, problem: str) -> None:
    told = problem_of(text)
    assert told.startswith("p.yaml:3: guards.0.rules.0")
    assert problem in told


class _Entry:
    """What importlib.metadata gives for an entry point, without installing a package."""

    def __init__(self, name: str, value: str, loaded: object) -> None:
        self.name, self.value, self._loaded = name, value, loaded

    def load(self) -> object:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


class Broken(Rule):
    def judge(self, case: Case) -> RuleResult:
        raise KeyError("forgotten")


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        ([_Entry("team", "team:Gone", ImportError("gone"))], "cannot be loaded from team:Gone"),
        ([_Entry("team", "team:dict", dict)], "is no rule: make it a subclass"),
        ([_Entry("team", "a:A", Broken), _Entry("team", "b:B", Broken)], "two packages offer a rule 'team'"),
    ],
)
def test_a_teams_rule_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, points: list[_Entry], problem: str
) -> None:
    monkeypatch.setattr(catalog, "entry_points", lambda **_: points)
    assert problem in problem_of("rule: team")


def test_a_teams_rule_that_breaks_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "entry_points", lambda **_: [_Entry("team", "team:Broken", Broken)])
    result = judged("rule: team", case())
    assert (result.passed, result.reason) == (False, "the rule team broke (KeyError)")


def test_a_package_cannot_take_one_of_our_rules_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "entry_points", lambda **_: [_Entry("threshold", "evil:Rule", Broken)])
    assert type(rule(LOW)).__name__ == "Threshold"
    assert catalog.rule_names().count("threshold") == 1
