"""Rules on what was measured, and how a wrong rule is told."""

from datetime import timedelta
from typing import Any

import pytest

from resnet_ops_registry.attestations.evidence import Metric
from resnet_ops_registry.rules import Case, Rule, RuleResult, catalog
from tests.unit.registry.judging import DAY, LOW, MCNEMAR, NOW, VALUE, case, judged, problem_of, rule


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


def on(instructions: str, format_: str = "int8", **steps: str) -> Case:
    """A version whose edge-cpu latency was measured on these instructions, and other steps on those named."""
    machines = {"edge-cpu": instructions, **steps}
    return case(
        format=format_, hardware={name: {"int8_instructions": each} for name, each in machines.items()}
    )


def test_an_int8_version_measured_with_one_instruction_set_is_not_proven_on_another() -> None:
    rule = "rule: hardware, profile: edge-cpu, match: {int8_instructions: avx2}, formats: [int8]"
    assert judged(rule, on("avx2")).passed
    refused = judged(rule, on("avx512_vnni"))
    assert not refused.passed
    assert refused.reason == "edge-cpu was measured on int8_instructions avx512_vnni, not avx2"
    assert not judged(rule, on("unknown")).passed
    assert not judged(rule, case(format="int8", hardware={"edge-cpu": {"cpu": "old evidence"}})).passed


def test_where_an_export_was_compared_is_asked_apart_from_where_it_was_timed() -> None:
    rule = "rule: hardware, profile: export, match: {int8_instructions: '.*vnni|amx.*'}, formats: [int8]"
    assert judged(rule, on("avx2", export="avx512_vnni")).passed
    assert not judged(rule, on("avx512_vnni", export="avx2")).passed
    assert "what export was measured on" in judged(rule, on("avx512_vnni")).reason


def test_a_hardware_rule_for_some_formats_asks_no_other() -> None:
    rule = "rule: hardware, profile: export, match: {int8_instructions: avx2}, formats: [int8]"
    passed = judged(rule, on("avx512_vnni", format_="weights"))
    assert (passed.passed, passed.reason) == (True, "weights is not asked")
    both = rule.replace("[int8]", "[int8, weights]")
    assert not judged(both, on("avx512_vnni", format_="weights")).passed


def test_a_profile_without_hardware_is_a_refusal() -> None:
    result = judged("rule: hardware, profile: edge-cpu, match: {cpu: '.*'}", case(**HARDWARE))
    assert (result.passed, "what edge-cpu was measured on" in result.reason) == (False, True)


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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rule: threshold, metric: a", "give min, max or both"),
        ("rule: threshold, metric: a, min: 1, at_least: 2", "at_least is for a metric with a *"),
        ("rule: hardware, profile: a, match: {cpu: '('}", "'(' is not a regular expression"),
        ("rule: hardware, profile: a, match: {}", "match"),
        ("rule: hardware, profile: a, match: {cores: 2}, formats: []", "formats"),
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
        ("rule: mood", "known here: age, check, comparison, data, hardware, statements, threshold"),
        ("rule: [a]", "is not a rule; known here"),
        ("nothing: 1", "None is not a rule"),
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
        ([_Entry("team", "team:dict", dict)], "is not a rule: make it a subclass"),
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
    assert (result.passed, result.reason) == (False, "the rule team failed to run (KeyError)")


def test_a_package_cannot_take_one_of_our_rules_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "entry_points", lambda **_: [_Entry("threshold", "evil:Rule", Broken)])
    assert type(rule(LOW)).__name__ == "Threshold"
    assert catalog.rule_names().count("threshold") == 1
