"""What a version lacks is said in images: how many more must be right, and how many would show it."""

from resnet_ops.evaluation.intervals import wilson
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
    (line,) = told(share(62, 72), share(16, 20, half, "wilson 0.95, 12 groups"))
    needed = images_needed(0.69, 0.8, 0.95, 0.8)
    assert needed is not None
    assert f"from about {2 * needed} on" in line
    assert "about 20 would have to be" in line


def test_nothing_is_said_of_limits_that_are_reached_or_of_intervals_of_other_kinds() -> None:
    assert told(share(62, 72), share(24, 26)) == []
    assert told(share(62, 72), share(12, 26, method="by hand")) == []
    assert shortfalls(read_policy(POLICY, "here"), Target.named("elsewhere"), {}, []) == []
