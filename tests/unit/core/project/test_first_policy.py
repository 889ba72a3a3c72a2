"""The first policy of a project: honest models can pass it, models that guess cannot."""

import re

import numpy as np
import pytest
from scipy.stats import binom

from resnet_ops.errors import DataError
from resnet_ops.evaluation.intervals import wilson
from resnet_ops.evaluation.metrics import FEWEST_GROUPS, share_right
from resnet_ops_pipelines.new_project.first_policy import least_share, margin, scores_margin
from resnet_ops_registry.rules.paired_scores import betting_p


def passes(share: float, tested: int, limit: float) -> float:
    """How often a model of this share of right answers passes, exactly."""
    right = [each for each in range(tested + 1) if wilson(each, tested, 0.95)[0] >= limit]
    return float(sum(binom.pmf(each, tested, share) for each in right))


@pytest.mark.parametrize("chance", [0.01, 0.1, 0.5, 0.7, 0.9, 0.97, 0.99])
@pytest.mark.parametrize("tested", [30, 100, 400, 2000])
def test_guessing_seldom_passes_and_a_tenth_of_its_mistakes_mostly_does(tested: int, chance: float) -> None:
    try:
        limit = least_share(tested, chance, 0.95, "images")
    except DataError:
        assert tested * (1 - chance) < 20, "only where hardly an image tells the two apart"
        return
    assert passes(chance, tested, limit) <= 0.01
    assert passes(1 - 0.1 * (1 - chance), tested, limit) >= 0.8


@pytest.mark.parametrize(("tested", "chance"), [(1, 0.5), (4, 0.25), (20, 0.9), (300, 0.98)])
def test_too_few_images_are_refused_and_the_number_that_is_named_is_enough(
    tested: int, chance: float
) -> None:
    with pytest.raises(DataError, match="Add images until it has") as refused:
        least_share(tested, chance, 0.95, "images")
    enough = re.search(r"until it has (\d+)", str(refused.value))
    assert enough is not None
    assert least_share(int(enough[1]), chance, 0.95, "images") > chance
    with pytest.raises(DataError):
        least_share(int(enough[1]) - 1, chance, 0.95, "images")


def test_a_number_beyond_thousands_is_named_roughly_and_none_where_the_other_classes_are_too_rare() -> None:
    with pytest.raises(
        DataError, match=r"right on 99\.9% of them.*until it has about [\d,]+ images"
    ) as refused:
        least_share(3000, 0.999, 0.95, "images")
    enough = re.search(r"about ([\d,]+) images", str(refused.value))
    assert enough is not None
    assert least_share(int(enough[1].replace(",", "")), 0.999, 0.95, "images") > 0.999
    with pytest.raises(DataError, match="Not even 1,000,000 images would be enough: add images of the other"):
        least_share(3000, 0.999999, 0.95, "images")


SIZES = {
    "equal": [10] * 30,
    "two": [2] * 40,
    "falling": [max(1, 100 - 3 * number) for number in range(50)],
    "one large": [12] + [1] * 80,
    "two large": [1] * 80 + [10, 10],
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("chance", [0.2, 0.5, 0.6])
def test_a_model_without_a_mistake_reaches_what_is_asked_of_groups_and_one_that_guesses_does_not(
    name: str, chance: float
) -> None:
    groups = np.repeat(np.arange(len(SIZES[name])), SIZES[name])
    limit = least_share(len(groups), chance, 0.95, "images", groups)
    flawless = share_right(np.ones(len(groups), bool), 0.95, groups).low
    assert flawless is not None
    assert chance < limit <= flawless
    guess = np.arange(len(groups)) < chance * len(groups)
    low = share_right(guess, 0.95, groups).low
    assert low is not None
    assert low < limit


def test_the_limit_of_images_that_are_each_a_group_is_that_of_images() -> None:
    assert least_share(60, 0.5, 0.95, "images", np.arange(60)) == least_share(60, 0.5, 0.95, "images")


@pytest.mark.parametrize("sizes", [[10] * (FEWEST_GROUPS - 1), [300] + [3] * 29, [50] * 9])
def test_groups_that_are_worth_too_few_are_refused_and_the_number_that_is_named_is_enough(
    sizes: list[int],
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    with pytest.raises(DataError, match=r"worth \d+ equal groups.*Add images of other groups") as refused:
        least_share(len(groups), 0.5, 0.95, "images", groups)
    enough = re.search(r"until it has (\d+) equal groups", str(refused.value))
    assert enough is not None
    more = np.repeat(np.arange(int(enough[1])), 10)
    assert least_share(len(more), 0.5, 0.95, "images", more) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("tested", [18, 50])
def test_an_equally_good_model_of_masks_is_mostly_shown_to_be_no_worse_than_the_margin(tested: int) -> None:
    """By the test that the gate asks; narrower margins would refuse most."""
    found = scores_margin(tested)
    rows = np.random.default_rng(1).normal(0, 0.1, (200, tested))

    def shown(width: float) -> float:
        return float(np.mean([betting_p(row, -width) <= 0.05 for row in rows]))

    assert found < 0.5
    assert shown(found) >= 0.7
    assert shown(found - 0.03) < 0.8


@pytest.mark.slow
def test_many_images_of_masks_need_no_margin_above_two_points() -> None:
    assert scores_margin(100_000) == 0.02


def test_fewer_images_need_a_wider_margin_and_many_none_below_two_points() -> None:
    assert [margin(n) for n in (47, 384, 100_000)] == [0.09, 0.03, 0.02]
