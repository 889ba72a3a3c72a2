"""The recipes of `params.yaml`, as a user would name them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resnet_ops.data import PreparedData
from resnet_ops.params import parse_params
from resnet_ops.training.loop import Training
from resnet_ops.training.recipe import Recipe
from resnet_ops.training.schedule import learning_rate
from resnet_ops_pipelines import project_params
from tests.unit.core.makers import make_data, make_plan, random_images

ROOT = Path(__file__).parents[4]
RECIPES: dict[str, Recipe] = parse_params(ROOT / "params.yaml", project_params.Params).recipes


@pytest.fixture(scope="module")
def colour() -> PreparedData:
    """24 images of 16x16 in colour."""
    data = make_data({"train": [0, 1] * 8, "validation": [0, 1] * 4}, ("cat", "dog"))
    return replace(data, images=random_images(len(data), channels=3, size=16))


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_named_recipe_trains_two_steps(name: str, precision: str, colour: PreparedData) -> None:
    """From fresh weights: where others come from is not part of the project."""
    plan = make_plan(replace(RECIPES[name], start=None), precision=precision)
    training = Training(plan, colour.split("train"), colour.split("validation"))
    before = torch.cat([p.detach().flatten().clone() for p in training.state.network.parameters()])
    every = torch.arange(training.batch_size)
    assert list(training.take_steps([every, every.flip(0)])) == [1, 2]
    after = torch.cat([p.detach().flatten() for p in training.state.network.parameters()])
    assert after.isfinite().all()
    assert not torch.equal(before, after)
    assert training.state.loss_sum.isfinite()


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_says_where_it_is_from_and_how_it_differs(name: str) -> None:
    assert RECIPES[name].source
    assert f"| `{name}` |" in (ROOT / "docs/training.md").read_text()


def test_the_recipe_of_the_first_paper_drops_its_rate_twice() -> None:
    recipe = RECIPES["he2015"]
    rates = [learning_rate(recipe, step, 64_000) for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_the_recipe_a3_rises_for_five_epochs_to_its_papers_rate() -> None:
    recipe, epoch = RECIPES["strikes-back-a3"], 625
    rates = [learning_rate(recipe, step, 100 * epoch) for step in range(100 * epoch)]
    assert rates[5 * epoch - 1] == max(rates) == pytest.approx(8e-3)
    assert rates[-1] < 1e-6
