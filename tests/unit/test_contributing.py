"""What docs/contributing.md says of three tasks holds for everything of the kind that exists."""

import re
from pathlib import Path

import numpy as np
import pytest

from resnet_ops.evaluation.metrics import measure_predictions
from resnet_ops_registry.rules.catalog import rule_kind, rule_names
from tests.unit.project_imports import ROOT

DOCUMENT = (ROOT / "docs/contributing.md").read_text()


def files_of(task: str) -> list[str]:
    (row,) = [line for line in DOCUMENT.splitlines() if line.startswith(f"| {task} |")]
    return [each for each in re.findall(r"`([^`]+)`", row) if "/" in each]


@pytest.mark.parametrize("task", ["add a metric", "add a rule", "add an alert channel"])
def test_a_task_touches_at_most_three_files_which_exist(task: str) -> None:
    files = files_of(task)
    assert len(files) <= 3
    assert [name for name in files if "NAME" not in name and not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", rule_names())
def test_every_rule_is_in_the_files_that_the_document_names_and_in_no_other(name: str) -> None:
    kind = rule_kind(name)
    assert kind is not None
    module, catalog, document = files_of("add a rule")
    own = module.replace("NAME", name)
    assert kind.__module__.replace(".", "/") in own
    assert f"`{name}`" in (ROOT / document).read_text()
    naming = re.compile(rf"\b{kind.__name__}\b")
    product = [
        path for top in ("registry", "monitoring", "resnet_ops") for path in (ROOT / top).rglob("*.py")
    ]
    importing = [path for path in product if f"{kind.__module__} import" in path.read_text()]
    users = {str(path.relative_to(ROOT)) for path in importing if naming.search(path.read_text())}
    assert users <= {catalog, *ALSO.get(name, ())}


ALSO = {
    "hardware": ["registry/resnet_ops_registry/portfolio/reading.py"],  # budgets of the portfolio
    "threshold": [
        "registry/resnet_ops_registry/portfolio/reading.py",
        "registry/resnet_ops_registry/gate/power.py",  # how many images it takes
    ],
}


def test_every_metric_of_predictions_is_in_the_document_that_is_named() -> None:
    module, document = files_of("add a metric")
    assert measure_predictions.__module__.replace(".", "/") in module
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(7), 200)
    classes = tuple("abcdefg")
    found = measure_predictions(probabilities, rng.integers(0, 7, 200), classes, "test", 0.95)
    kinds = {re.sub(r"\.[a-g]$", ".CLASS", name) for name in found}
    text = Path(ROOT / document).read_text()
    assert [kind for kind in kinds if f"`{kind}" not in text] == []
