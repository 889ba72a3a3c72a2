"""What a version lacks is said in images: how many more must be right, and how many would show it."""

import re

import numpy as np

from resnet_ops.evaluation.intervals import clustered, wilson
from resnet_ops_registry.attestations.evidence import Metric
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.gate.policy_file import read_policy
from resnet_ops_registry.gate.power import images_needed
from resnet_ops_registry.gate.shortfall import shortfalls

POLICY = """
model: parts
evidence_roles: [pipeline]
guards:
  - aliases: [champion]
    rules:
      - {rule: threshold, metric: operating.sensitivity, bound: low, min: 0.73, why: guessing is half}
      - {rule: threshold, metric: operating.specificity, bound: low, min: 0.69, why: guessing is half}
      - {rule: threshold, metric: test.roc_auc, bound: low, min: 0.8, why: no share of images}
"""


def share(right: int, n: int, low: float | None = None, method: str = "wilson 0.95") -> Metric:
    bounds = wilson(right, n, 0.95)
    return Metric(value=right / n, n=n, low=bounds[0] if low is None else low, high=bounds[1], method=method)


def told(sensitivity: Metric, specificity: Metric) -> list[str]:
    metrics = {
        "operating.sensitivity": sensitivity,
        "operating.specificity": specificity,
        "test.roc_auc": Metric(value=0.5, n=98, low=0.4, high=0.6, method="Newcombe 2006 0.95"),
    }
    return shortfalls(read_policy(POLICY, "here"), Target.named("champion"), metrics, ["defect"])


def test_a_model_below_its_limit_is_told_how_many_images_must_be_right() -> None:
    (line,) = told(share(62, 72), share(12, 26))
    assert wilson(23, 26, 0.95)[0] >= 0.69 > wilson(22, 26, 0.95)[0]
    assert "12 of 26 test images without defect" in line
    assert "23 would have to be" in line
    assert "by 0.402" in line
    assert "0.462" in line
    assert f"from {images_needed(0.69, 0.845, 0.95, 0.8)} on" in line


def test_a_good_model_on_few_images_is_told_how_many_would_show_it() -> None:
    (line,) = told(share(62, 72), share(16, 20))
    assert wilson(18, 20, 0.95)[0] >= 0.69 > wilson(17, 20, 0.95)[0]
    assert "16 of 20" in line
    assert " 18 would have to be" in line
    assert f"from {images_needed(0.69, 0.8, 0.95, 0.8)} on" in line
    assert "do not help" not in line


def test_images_in_groups_count_for_fewer_so_that_more_of_them_are_asked_for() -> None:
    half = wilson(8, 10, 0.95)[0]
    (line,) = told(share(62, 72), share(16, 20, half, "wilson 0.95, 1000000 groups"))
    needed = images_needed(0.69, 0.8, 0.95, 0.8)
    assert needed is not None
    assert f"from about {2 * needed} on" in line
    assert "about 20 would have to be" in line


def test_more_images_of_as_uncertain_groups_are_about_as_many_as_are_named() -> None:
    """Copies of the groups are more such groups."""
    rng = np.random.default_rng(0)
    right = (rng.random((12, 20)) < rng.beta(2.7, 0.3, (12, 1))).ravel()
    groups = np.repeat(np.arange(12), 20)
    low, limit = clustered(right, groups, 0.95)[0], 0.69
    (line,) = told(share(62, 72), share(int(right.sum()), 240, low, "wilson 0.95, 12 groups"))
    named = re.search(r"from about ([\d,]+) on", line)
    assert named is not None
    single = images_needed(limit, float(right.mean()), 0.95, 0.8)
    assert single is not None
    many = 200
    at_many = clustered(np.tile(right, many), np.concatenate([groups + 12 * i for i in range(many)]), 0.95)
    worth = next(
        n for n in range(1, 240 * many, 10) if wilson(round(n * right.mean()), n, 0.95)[0] >= at_many[0]
    )
    assert 1.0 <= int(named[1].replace(",", "")) / (single * 240 * many / worth) < 1.5


def test_a_share_that_is_hardly_above_its_limit_asks_for_a_better_model() -> None:
    (line,) = told(share(62, 72), share(69_000_001, 100_000_000))
    assert "hardly higher" in line
    assert f"from {images_needed(0.69, 0.845, 0.95, 0.8)} on" in line


def test_of_a_limit_on_many_shares_the_one_that_misses_it_most_is_told() -> None:
    rule = 'metric: "test.*"'
    policy = read_policy(POLICY.replace("metric: operating.sensitivity", rule), "here")
    metrics = {
        "test.recall.a.b": share(30, 40),
        "test.precision.a.b": share(20, 40),
        "test.top1": share(60, 80),
        "test.roc_auc": Metric(value=0.9, n=98, low=0.8, high=0.95, method="Newcombe 2006 0.95"),
    }
    assert (
        shortfalls(policy, Target.named("champion"), metrics, []) == []
    )  # all that there is, not shares alone
    policy = read_policy(POLICY.replace("operating.sensitivity", '"test.precision.*"'), "here")
    (line,) = shortfalls(policy, Target.named("champion"), metrics, [])
    assert line.startswith("test.precision.a.b: 20 of 40 test images answered with a.b are right")
    policy = read_policy(POLICY.replace("operating.sensitivity", "test.recall.a.b"), "here")
    (line,) = shortfalls(policy, Target.named("champion"), metrics, [])
    assert "30 of 40 test images of a.b are right" in line


def test_nothing_is_said_of_limits_that_are_reached_or_of_intervals_of_other_kinds() -> None:
    assert told(share(62, 72), share(24, 26)) == []
    assert told(share(62, 72), share(12, 26, method="by hand")) == []
    assert told(share(62, 72), Metric(value=1.5, n=26, low=0.1, high=1.6, method="wilson 0.95")) == []
    assert shortfalls(read_policy(POLICY, "here"), Target.named("elsewhere"), {}, []) == []
