"""How many images a policy asks for: agrees with simulation, and is said for each rule."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops.evaluation.intervals import wilson
from resnet_ops_registry.gate.policy_file import read_policy
from resnet_ops_registry.gate.power import images_needed, needs_of

EXAMPLES = Path(__file__).parents[4] / "policies/examples"

POLICY = """
model: parts
evidence_roles: [pipeline]
guards:
  - aliases: [champion]
    rules:
      - {rule: threshold, metric: operating.sensitivity, bound: low, min: 0.98, why: no defect may pass}
      - {rule: threshold, metric: operating.specificity, bound: low, min: 0.9, why: people look at each alarm}
      - {rule: threshold, metric: test.top1, min: 0.9, why: the number itself needs no n}
      - {rule: threshold, metric: test.roc_auc, bound: low, min: 0.8, why: no share of images}
"""


@pytest.mark.parametrize(
    ("limit", "true", "power"), [(0.9, 0.95, 0.8), (0.98, 0.99, 0.8), (0.5, 0.7, 0.9), (0.8, 0.98, 0.95)]
)
def test_so_many_images_show_it_as_often_as_wanted_and_fewer_do_not(
    limit: float, true: float, power: float
) -> None:
    n = images_needed(limit, true, 0.95, power)
    assert n is not None
    rng = np.random.default_rng(0)

    def share(images: int) -> float:
        lower = {right: wilson(right, images, 0.95)[0] for right in range(images + 1)}
        return float(np.mean([lower[right] >= limit for right in rng.binomial(images, true, 20_000)]))

    assert share(n) >= power - 0.01
    assert share(int(n * 0.85)) < power + 0.01


@pytest.mark.parametrize(("limit", "n"), [(0.98, 189), (0.95, 73), (0.9, 35)])
def test_without_a_mistake_it_takes_what_wilsons_interval_says(limit: float, n: int) -> None:
    assert images_needed(limit, 1.0, 0.95, 0.8) == n
    assert wilson(n, n, 0.95)[0] >= limit > wilson(n - 1, n - 1, 0.95)[0]


@pytest.mark.parametrize(("limit", "true"), [(0.01, 0.02), (0.3, 0.9), (0.9, 0.97)])
def test_from_so_many_images_on_none_is_too_few(limit: float, true: float) -> None:
    n = images_needed(limit, true, 0.95, 0.8)
    assert n is not None

    def power(images: int) -> float:
        fewest = next(right for right in range(images + 1) if wilson(right, images, 0.95)[0] >= limit)
        return float(binom.sf(fewest - 1, images, true))

    assert min(power(images) for images in range(n, n + 150)) >= 0.8


def test_a_limit_that_no_number_of_images_shows_is_never() -> None:
    assert images_needed(0.9999997, 1.0, 0.95, 0.8) is None


@pytest.mark.parametrize("true", [0.9, 0.95])
def test_what_is_not_above_the_limit_is_never_shown(true: float) -> None:
    assert images_needed(0.95, true, 0.95, 0.8) is None


def test_the_command_says_it_for_each_rule_on_a_lower_end(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    done = CliRunner().invoke(build_app(), ["policy", "power", str(file), "--true", "0.99"])
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line for line in done.output.splitlines()}
    assert "189 positives" in lines["operating.sensitivity"]
    assert "35 negatives" in lines["operating.specificity"]
    assert not {"test.top1", "test.roc_auc"} & set(lines)


def test_a_share_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    done = CliRunner().invoke(build_app(), ["policy", "power", str(file), "--power", "1.5"])
    assert done.exit_code == 2


@pytest.mark.parametrize("name", ["surface-inspection", "medical-study"])
def test_the_examples_can_be_read_and_ask_for_both_sides_of_an_operating_point(name: str) -> None:
    """The pipeline puts into force what lies beside their folder, so no example of ours."""
    policy = read_policy((EXAMPLES / f"{name}.yaml").read_text(), name)
    asked = {needed.metric for needed in needs_of(policy, None, 0.95, 0.8)}
    assert {"operating.sensitivity", "operating.specificity"} <= asked
    assert policy.model not in [path.stem for path in EXAMPLES.parent.glob("*.yaml")]
