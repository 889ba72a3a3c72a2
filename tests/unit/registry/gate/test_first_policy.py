"""A first policy: what the champion shows, a worse version does not."""

import base64
import math
from datetime import UTC, datetime

import pytest

from resnet_ops_registry.attestations.evidence import (
    MLFLOW,
    Evidence,
    Headline,
    Metric,
    Outcomes,
    Source,
)
from resnet_ops_registry.gate.first_policy import Shown, propose
from resnet_ops_registry.gate.policy_file import read_policy
from resnet_ops_registry.rules.comparison import Comparison
from resnet_ops_registry.rules.threshold import Threshold


def shown(
    metrics: dict[str, float] | None = None,
    evidence: Evidence | None = None,
    model: str = "parts",
    aliases: tuple[str, ...] = ("champion",),
) -> Shown:
    return Shown(model, 2, ("@champion",), aliases, metrics or {}, evidence, ("sklearn",), 1234)


def thresholds(text: str) -> dict[str, Threshold]:
    (guard,) = read_policy(text, "f").guards
    return {rule.metric: rule for rule in guard.rules if isinstance(rule, Threshold)}


def evidence(n: int = 1000) -> Evidence:
    top1 = Metric(value=0.9, n=n, low=0.88123, high=0.92, method="wilson 95 %")
    recall = Metric(value=0.5, n=10, low=0.2, high=0.8)
    outcomes = Outcomes(images="0" * 64, n=n, right=base64.b64encode(bytes((n + 7) // 8)).decode())
    return Evidence(
        member="",
        weights_digest="0" * 64,
        format=MLFLOW,
        metrics={"test.top1": top1, "test.recall.7": recall, "test.nll": Metric(value=0.3, n=n, high=0.4)},
        data={},
        source=Source(commit="", dirty=False, dvc_lock=None),
        environment={},
        hardware={},
        seeds={},
        outcomes={"operating.sensitivity": outcomes, "test": outcomes},
        created=datetime.now(UTC),
    )


@pytest.mark.parametrize("value", [0.95333, 0.9533, 1.0, 12345.678, -3.21, 0.00012345, 1e-12, 0.0])
@pytest.mark.parametrize("name", ["accuracy", "test_f1_score", "neg_mean_squared_error", "rmse", "val_loss"])
def test_the_champion_passes_and_a_version_that_is_one_percent_worse_does_not(
    name: str, value: float
) -> None:
    rule = thresholds(propose(shown({name: value})))[name]
    lower = name in ("rmse", "val_loss")
    worse = value + (abs(value) * 0.01 + 1e-15) * (1 if lower else -1)
    limit, sign = (rule.max, -1) if lower else (rule.min, 1)
    assert limit is not None
    assert value * sign >= limit * sign
    assert not worse * sign >= limit * sign


@pytest.mark.parametrize("value", [5e-324, 2e-308, 1e308, 1.7976931348623157e308])
@pytest.mark.parametrize(("name", "sign"), [("accuracy", 1), ("loss", -1)])
def test_the_champion_passes_at_the_ends_of_what_a_number_can_be(name: str, sign: int, value: float) -> None:
    for signed in (value, -value):
        rule = thresholds(propose(shown({name: signed})))[name]
        limit = rule.min if sign == 1 else rule.max
        assert limit is not None
        assert math.isfinite(limit)
        assert signed * sign >= limit * sign


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("tpr_at_fpr_0.01", "min"),
        ("test.recall_at_fpr_1", "min"),
        ("sensitivity_at_1_fpr", "min"),
        ("fpr_at_tpr_0.95", "max"),
        ("accuracy_at_5", "min"),
        ("error_detection_recall", None),
        ("accuracy_error", None),
        ("f1_score_loss_weighted", None),
        ("threshold_at_fpr_0.01", None),
        ("attack_error", "max"),
        ("neg_log_loss", "min"),
    ],
)
def test_a_limit_is_on_the_side_that_the_name_says_and_nowhere_where_it_says_both(
    name: str, limit: str | None
) -> None:
    found = thresholds(propose(shown({name: 0.5})))
    sides = [side for rule in found.values() for side in ("min", "max") if getattr(rule, side) is not None]
    assert sides == ([limit] if limit else [])


def test_numbers_of_training_and_of_unknown_meaning_are_named_and_not_asked_for() -> None:
    text = propose(
        shown({"training_score": 1.0, "train.loss": 0.1, "foo": 3, "system/cpu_ms": 4, "auc": 0.9})
    )
    assert set(thresholds(text)) == {"auc"}
    for name in ("training_score", "train.loss", "foo", "system/cpu_ms"):
        assert f"# no rule for {name}, " in text


def test_three_numbers_are_asked_for_and_those_of_the_test_split_first() -> None:
    metrics = {"val_accuracy": 0.9, "test.f1": 0.8, "rmse": 2, "brier": 0.1, "test.loss": 1}
    assert list(thresholds(propose(shown(metrics)))) == ["test.f1", "test.loss", "val_accuracy"]


def test_signed_evidence_is_asked_for_by_its_intervals_and_rows_are_compared() -> None:
    text = propose(shown({"accuracy": 0.99}, evidence()))
    found = thresholds(text)
    assert (found["test.top1"].bound, found["test.top1"].min) == ("low", 0.8812)
    assert (found["test.nll"].bound, found["test.nll"].max) == ("high", 0.4)
    assert set(found) == {"test.top1", "test.nll"}
    (guard,) = read_policy(text, "f").guards
    (comparison,) = [rule for rule in guard.rules if isinstance(rule, Comparison)]
    assert (comparison.split, comparison.margin) == ("test", 0.025)


@pytest.mark.parametrize(("n", "margin"), [(100, 0.08), (360, 0.045), (5000, 0.015), (1_000_000, 0.01)])
def test_fewer_rows_need_a_wider_margin(n: int, margin: float) -> None:
    (guard,) = read_policy(propose(shown(evidence=evidence(n))), "f").guards
    assert [rule.margin for rule in guard.rules if isinstance(rule, Comparison)] == [margin]


def test_boxes_are_asked_for_by_average_precision_and_compared_by_scores() -> None:
    metrics = {
        name: Metric(value=0.6, n=150, low=0.5, high=0.7)
        for name in ("test.ap", "test.ap50", "test.ap50.nut")
    }
    scores = Outcomes(images="0" * 64, n=150, scores=base64.b64encode(bytes(300)).decode())
    found = evidence().model_copy(update={"metrics": metrics, "outcomes": {"test": scores}})
    text = propose(shown(evidence=found))
    assert set(thresholds(text)) == {"test.ap", "test.ap50"}
    (guard,) = read_policy(text, "f").guards
    (comparison,) = [rule for rule in guard.rules if isinstance(rule, Comparison)]
    assert (comparison.split, comparison.margin) == ("test", 0.09)


def test_where_nothing_is_known_rows_must_be_compared() -> None:
    (guard,) = read_policy(propose(shown()), "f").guards
    assert [type(rule) for rule in guard.rules] == [Comparison]


def test_every_alias_but_the_challenger_is_guarded_once_and_nothing_that_was_closed_opens() -> None:
    policy = read_policy(propose(shown({"auc": 0.5}, aliases=("Prod", "prod", "Challenger", "live"))), "f")
    assert policy.observes
    assert [target.label for target in policy.targets()] == [
        "@Prod",
        "@champion",
        "@live",
        "stage Production",
    ]


@pytest.mark.parametrize(
    "name", ["a: b", "#x", "'\"", "日本", "x\u2028y", "😀", "[v2]", "yes", "1", "a" * 250]
)
def test_any_name_is_written_so_that_it_is_read_again(name: str) -> None:
    assert read_policy(propose(shown({"auc": 0.5, "a\x07b": 1}, model=name)), "f").governs(name)


@pytest.mark.parametrize("name", ["*", "digit?", "[a-z]*", "scan[v2]", "[!x]"])
def test_a_name_that_reads_as_a_pattern_gets_a_policy_of_itself_alone(name: str) -> None:
    policy = read_policy(propose(shown({"auc": 0.5}, model=name)), "f")
    assert policy.governs(name)
    assert not any(policy.governs(other) for other in ("digits", "digitx", "scanv", "scan2", "v", ""))


def test_what_models_of_the_task_are_compared_by_comes_first_and_no_class_alone() -> None:
    names = (
        *("test.pixel_accuracy", "test.miou", "test.dice"),
        *("test.iou.defect", "test.dice.defect", "test.boundary_f1.defect"),
    )
    signed = evidence().model_copy(
        update={
            "metrics": {name: Metric(value=0.5, n=100, low=0.4, high=0.6) for name in names},
            "task": "segmentation",
            "headline": Headline(metric="test.miou", chosen_by="validation.miou", label="mIoU"),
        }
    )
    text = propose(shown(evidence=signed))
    assert list(thresholds(text)) == ["test.miou", "test.pixel_accuracy", "test.dice"]
    assert "test.iou.defect" not in text
