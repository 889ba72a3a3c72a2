"""The recipe's settings and the learning rate that follows from them."""

import math
from itertools import pairwise
from typing import Any

import pytest

from resnet_ops.training.loop import learning_rate
from tests.unit.core.makers import make_recipe


def rates(steps: int, **changes: Any) -> list[float]:
    recipe = make_recipe(**{"batch_size": 256, "peak_lr": 1.0, **changes})
    return [learning_rate(recipe, step, steps) for step in range(steps)]


def test_one_cycle_rises_and_falls_in_straight_lines() -> None:
    assert rates(8, warmup=0.5) == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5])


def test_cosine_rises_in_a_line_and_falls_as_a_half_cosine() -> None:
    falling = [(1 - math.cos(math.pi * left)) / 2 for left in (4 / 5, 3 / 5, 2 / 5, 1 / 5)]
    assert rates(8, warmup=0.5, schedule="cosine") == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, *falling])


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25, 0.9, 0.999])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_the_rate_rises_to_its_peak_once_and_never_reaches_zero(
    schedule: str, warmup: float, steps: int
) -> None:
    values = rates(steps, schedule=schedule, warmup=warmup)
    top = values.index(max(values))
    assert max(values) == pytest.approx(1.0)
    assert top == max(1, round(warmup * steps)) - 1
    assert all(later > earlier for earlier, later in pairwise(values[: top + 1]))
    assert all(later < earlier for earlier, later in pairwise(values[top:]))
    assert min(values) > 0


def test_the_rate_grows_with_the_batch_as_it_is_given_per_256_images() -> None:
    assert max(rates(10, batch_size=64, peak_lr=0.4)) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("peak_lr", 0.0),
        ("peak_lr", math.inf),
        ("peak_lr", math.nan),
        ("threads", 0),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("warmup", 1.0),
        ("warmup", math.nan),
        ("label_smoothing", 1.0),
        ("weight_decay", -0.1),
        ("weight_decay", math.nan),
        ("crop_padding", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{setting} is {value}, but must be"):
        make_recipe(**{setting: value})
