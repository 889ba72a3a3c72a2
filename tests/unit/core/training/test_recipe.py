"""The recipe's settings and the learning rate that follows from them."""

import math
from itertools import pairwise
from typing import Any

import pytest

from resnet_ops.training.schedule import learning_rate
from tests.unit.core.makers import make_recipe


def rates(steps: int, **changes: Any) -> list[float]:
    recipe = make_recipe(**{"batch_size": 256, "peak_lr": 1.0, **changes})
    return [learning_rate(recipe, step, steps) for step in range(steps)]


def test_one_cycle_rises_and_falls_in_straight_lines() -> None:
    assert rates(8, warmup=0.5) == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5])


def test_cosine_rises_in_a_line_and_falls_as_a_half_cosine() -> None:
    falling = [(1 - math.cos(math.pi * left)) / 2 for left in (4 / 5, 3 / 5, 2 / 5, 1 / 5)]
    assert rates(8, warmup=0.5, schedule="cosine") == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, *falling])


def test_step_rises_in_a_line_and_drops_at_its_milestones() -> None:
    found = rates(8, warmup=0.25, schedule="step", milestones=(0.5, 0.75), drop=0.1)
    assert found == pytest.approx([0.5, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


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
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("warmup", 1.0),
        ("warmup", math.nan),
        ("label_smoothing", 1.0),
        ("weight_decay", -0.1),
        ("weight_decay", math.nan),
        ("crop_padding", -1),
        ("accumulate", 0),
        ("accumulate", 33),
        ("second_moment", 1.0),
        ("clip", -1.0),
        ("drop", 0.0),
        ("erasing", 1.1),
        ("image_size", -1),
        ("crop_area", 1.1),
        ("crop_area", -0.1),
        ("rand_augment", 10.5),
        ("rand_augment", math.nan),
        ("rand_augment_spread", -0.5),
        ("mixup", -0.1),
        ("cutmix", math.nan),
        ("ema", 1.0),
        ("patience", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{setting} is {value}, but must be"):
        make_recipe(**{setting: value})


@pytest.mark.parametrize("milestones", [(0.0,), (0.5, 1.0)])
def test_milestones_at_the_ends_are_refused(milestones: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"milestones are \[.*\], but must"):
        make_recipe(milestones=milestones)


def test_a_step_schedule_without_milestones_is_refused() -> None:
    with pytest.raises(ValueError, match="milestones are empty"):
        make_recipe(schedule="step")


def test_a_training_size_without_a_crop_that_resizes_to_it_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image_size is 160, .* crop_area"):
        make_recipe(image_size=160)
    assert make_recipe(image_size=160, crop_area=0.08).image_size == 160
