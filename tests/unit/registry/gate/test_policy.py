from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_ops.errors import ConfigError
from resnet_ops_registry.attestations.evidence import Evidence, Metric, Source, read_evidence
from resnet_ops_registry.gate.policy import Target, canonical_name
from resnet_ops_registry.gate.policy_file import policy_text, read_policy

POLICY = """\
model: digits-*
evidence_roles: [pipeline]
guards:
  - aliases: [champion]
    stages: [Production]
    rules:
      - rule: threshold
        metric: test.top1
        bound: low
        min: 0.95
        why: promised
"""


def problem_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_policy(text, "p.yaml")
    return str(caught.value)


def test_a_policy_that_an_editor_of_windows_saved_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + POLICY.replace("\n", "\r\n").encode())
    assert read_policy(policy_text(file), "p.yaml") == read_policy(POLICY, "p.yaml")


def test_the_project_policy_is_valid_and_guards_both_champions() -> None:
    file = Path(__file__).parents[4] / "policies" / "digits-classifier.yaml"
    policy = read_policy(file.read_text(), str(file))
    assert [target.label for target in policy.targets()] == [
        "@champion",
        "stage Production",
        "@champion-edge",
    ]


def test_an_error_names_the_file_the_line_and_the_key() -> None:
    assert problem_of(POLICY.replace("bound: low", "bound: lowest")).startswith("p.yaml:9: ")
    assert "bound" in problem_of(POLICY.replace("bound: low", "bound: lowest"))
    assert problem_of(POLICY.replace("        why", "        wy")).startswith(
        "p.yaml:7: guards.0.rules.0.why: Field required"
    )
    assert problem_of(POLICY.replace("model: digits-*\n", "")).startswith("p.yaml:1: model: Field required")


def test_every_error_is_told_at_once() -> None:
    assert (
        len(problem_of(POLICY.replace("min: 0.95", "mim: 0.95").replace("evidence", "evidnce")).splitlines())
        >= 3
    )


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("min: 0.95", "min: .nan", "finite"),
        ("min: 0.95", "min: 0.95\n        max: 0.5", "min must not exceed max"),
        ("        min: 0.95\n", "", "give min, max or both"),
        ("    stages: [Production]", "    stages: [Retired]", "'Staging' or 'Production'"),
        ("aliases: [champion]", "aliases: [champion, ' CHAMPION']", "guarded twice"),
        ("metric: test.top1", "metric: a\n        metric: b", "p.yaml:9: metric is given twice"),
        ("model: digits-*", "model: &a digits\nmodel2: *a", "anchors"),
        ("model: digits-*", "model: [", "p.yaml:3: not YAML"),
        ("model: digits-*", "model: !!python/name:os.system x", "cannot be read"),
        ("rule: threshold", "rule: mood", "threshold"),
    ],
)
def test_a_wrong_policy_is_refused(before: str, after: str, problem: str) -> None:
    assert problem in problem_of(POLICY.replace(before, after))


@given(text=st.text())
def test_any_text_is_refused_without_a_crash(text: str) -> None:
    assert problem_of(text).startswith("p.yaml")


@pytest.mark.parametrize("name", ["champion", "Champion", " champion\t", "ＣＨＡＭＰＩＯＮ", "champion\n"])
def test_a_guarded_name_is_compared_without_case_space_and_width(name: str) -> None:
    assert read_policy(POLICY, "p").guard_of(Target(kind="alias", name=name)) is not None
    assert canonical_name(name) == "champion"


def test_another_name_is_not_guarded() -> None:
    assert read_policy(POLICY, "p").guard_of(Target(kind="alias", name="champion2")) is None
    assert read_policy(POLICY, "p").guard_of(Target(kind="alias", name="production")) is None


def evidence(metrics: dict[str, Metric]) -> Evidence:
    return Evidence(
        member="m",
        weights_digest="0" * 64,
        metrics=metrics,
        data={},
        source=Source(commit="", dirty=False, dvc_lock=None),
        environment={},
        hardware={},
        seeds={},
        created=datetime.now(UTC),
    )


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        ({"value": 1.0}, "metrics.acc.n: Field required"),
        ({"value": float("nan"), "n": 1}, "metrics.acc.value"),
        ({"value": 1.0, "n": 0}, "metrics.acc.n"),
        ({"value": 1.0, "n": 1, "low": 2.0, "high": 1.0}, "low must not exceed high"),
        ({"value": 1.0, "n": 1, "sure": True}, "metrics.acc.sure"),
    ],
)
def test_evidence_without_what_makes_a_number_believable_is_refused(
    metric: dict[str, float], problem: str
) -> None:
    predicate = evidence({"acc": Metric(value=1, n=1)}).as_signed()
    with pytest.raises(Exception, match="malformed at") as caught:
        read_evidence({**predicate, "metrics": {"acc": metric}})
    assert problem in str(caught.value)
