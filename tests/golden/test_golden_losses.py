"""The first losses of each family are the committed ones: no change of numbers goes unseen."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from resnet_ops.files import read_json
from resnet_ops.training.plan import Plan
from tests.golden.regenerate import MEMBERS, TOLERANCES, measure, path_of, plan_of, relative_difference


@pytest.fixture(autouse=True)
def _usual_torch() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", MEMBERS)
def test_the_first_ten_losses_are_the_committed_ones(name: str) -> None:
    golden = read_json(path_of(name))
    assert len(golden["losses"]["train"]) == 10
    difference = relative_difference(measure(plan_of(name)), golden["losses"])
    assert difference <= TOLERANCES[name], (
        f"{name}: losses differ by {difference:.2g} from those made with {golden['made_with']}. "
        "If the change is meant to be numeric: python -m tests.golden.regenerate --write"
    )


def changed(name: str, **settings: Any) -> Plan:
    plan = plan_of(name)
    return replace(plan, recipe=replace(plan.recipe, **settings))


@pytest.mark.parametrize("name", ["preactivation11", "imagenet14"])
def test_the_tolerance_of_every_family_notices_a_changed_schedule(name: str) -> None:
    losses = measure(changed(name, schedule="cosine"))
    assert relative_difference(losses, read_json(path_of(name))["losses"]) > TOLERANCES[name]


@pytest.mark.parametrize("change", [{"schedule": "cosine"}, {"crop_padding": 0}, {"label_smoothing": 0.06}])
def test_the_tolerance_is_small_enough_to_notice_a_change(change: dict[str, Any]) -> None:
    losses = measure(changed("resnet8", **change))
    assert relative_difference(losses, read_json(path_of("resnet8"))["losses"]) > TOLERANCES["resnet8"]
