"""The first policy of a project: honest models can pass it, models that guess cannot."""

import re

import pytest
from scipy.stats import binom

from resnet_ops.errors import DataError
from resnet_ops.evaluation.intervals import wilson
from resnet_ops_pipelines.new_project.first_policy import least_share, margin


def passes(share: float, tested: int, limit: float) -> float:
    """How often a model of this share of right answers passes, exactly."""
    right = [each for each in range(tested + 1) if wilson(each, tested, 0.95)[0] >= limit]
    return float(sum(binom.pmf(each, tested, share) for each in right))


@pytest.mark.parametrize("chance", [0.01, 0.1, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("tested", [30, 100, 400, 2000])
def test_guessing_seldom_passes_and_a_tenth_of_its_mistakes_mostly_does(tested: int, chance: float) -> None:
    try:
        limit = least_share(tested, chance, 0.95, "images")
    except DataError:
        assert tested * (1 - chance) < 20, "only where hardly an image tells the two apart"
        return
    assert passes(chance, tested, limit) <= 0.01
    assert passes(1 - 0.1 * (1 - chance), tested, limit) >= 0.8


@pytest.mark.parametrize(("tested", "chance"), [(1, 0.5), (4, 0.25), (20, 0.9)])
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


def test_fewer_images_need_a_wider_margin_and_many_none_below_two_points() -> None:
    assert [margin(n) for n in (47, 384, 100_000)] == [0.09, 0.03, 0.02]
