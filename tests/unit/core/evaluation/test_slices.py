"""Slices of a split, and what is said of those that are too small."""

import numpy as np
import pytest

from resnet_ops.errors import ConfigError
from resnet_ops.evaluation.intervals import lowest_interval, wilson
from resnet_ops.evaluation.params import SliceParams
from resnet_ops.evaluation.slices import find_slices, measure_slices

N = 100
COLUMNS = {"site": np.repeat(["north", "south", "ship"], [60, 35, 5]), "same": np.repeat(["x"], N)}
STATISTICS = {
    "brightness": np.linspace(0, 1, N)[::-1],
    "flat": np.zeros(N),
    "steps": np.repeat([0, 1], [90, 10]),
}


def params(
    columns: tuple[str | tuple[str, ...], ...] = (), statistics: tuple[str, ...] = (), min_images: int = 10
) -> SliceParams:
    return SliceParams(columns=columns, statistics=statistics, quantiles=4, min_images=min_images)


def test_each_value_of_a_column_is_a_slice() -> None:
    found = find_slices(COLUMNS, STATISTICS, params(columns=("site",)))
    assert {each.name: len(each.rows) for each in found} == {
        "site.north": 60,
        "site.south": 35,
        "site.ship": 5,
    }
    assert all((COLUMNS["site"][each.rows] == each.value).all() for each in found)


def test_each_combination_of_columns_that_is_there_is_a_slice() -> None:
    scanner = np.tile(["a", "b"], N // 2)
    asked = params(columns=(("site", "scanner"), "same"))
    found = find_slices({**COLUMNS, "scanner": scanner}, STATISTICS, asked)
    assert {each.name: len(each.rows) for each in found} == {
        "site x scanner.north x a": 30,
        "site x scanner.north x b": 30,
        "site x scanner.ship x a": 2,
        "site x scanner.ship x b": 3,
        "site x scanner.south x a": 18,
        "site x scanner.south x b": 17,
    }
    for each in found:
        site, camera = each.value.split(" x ")
        assert (COLUMNS["site"][each.rows] == site).all()
        assert (scanner[each.rows] == camera).all()
    assert asked.named == ("site", "scanner", "same")


@pytest.mark.parametrize("columns", [(), ("site",), ("site", "site")])
def test_fewer_than_two_columns_together_are_a_mistake_in_the_settings(columns: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="two different ones"):
        params(columns=(columns,))


def test_the_worst_slice_of_each_column_knows_the_others_of_that_column_alone() -> None:
    right = np.ones(N, dtype=bool)
    right[60:67] = False
    asked = params(columns=("site",), statistics=("brightness",))
    measured = measure_slices(right, find_slices(COLUMNS, STATISTICS, asked), 10, "test", 0.95)
    of_site = measured["test.worst_slice.site"]
    assert (of_site.value, of_site.n) == (28 / 35, 35)
    assert (of_site.low, of_site.high) == lowest_interval([(60, 60), (28, 35)], 0.95)
    assert measured["test.worst_slice.brightness"].n == 25
    everywhere = measured["test.worst_slice"]
    assert everywhere.low is not None
    assert of_site.low is not None
    assert everywhere.low < of_site.low, "one of six is picked, not one of two"


def test_a_statistic_is_cut_at_its_quantiles_from_low_to_high() -> None:
    found = find_slices(COLUMNS, STATISTICS, params(statistics=("brightness",)))
    assert [each.name for each in found] == [f"brightness.{number}of4" for number in (1, 2, 3, 4)]
    assert [len(each.rows) for each in found] == [25] * 4
    highest = [STATISTICS["brightness"][each.rows].max() for each in found]
    assert highest == sorted(highest)
    assert found[0].within == "0 to 0.2424"


def test_what_is_the_same_for_every_image_makes_no_slice_and_equal_values_stay_together() -> None:
    assert find_slices(COLUMNS, STATISTICS, params(("same",), ("flat",))) == []
    found = find_slices(COLUMNS, STATISTICS, params(statistics=("steps",)))
    assert sum(len(each.rows) for each in found) == N
    assert all(len(np.unique(STATISTICS["steps"][each.rows])) == 1 for each in found)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (params(columns=("camera",)), "evaluate.slices.columns names camera; there are site, same"),
        (params(statistics=("warmth",)), "evaluate.slices.statistics names warmth; there are brightness"),
    ],
)
def test_a_slice_of_what_is_not_there_is_a_mistake_in_the_settings(asked: SliceParams, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_slices(COLUMNS, STATISTICS, asked)


def test_the_worst_slice_is_told_with_its_number_and_small_slices_are_counted() -> None:
    right = np.ones(N, bool)
    right[60:70] = False  # ten of the 35 in the south
    right[95:] = False  # all five on the ship
    slices = find_slices(COLUMNS, STATISTICS, params(columns=("site",)))
    measured = measure_slices(right, slices, 10, "test", 0.95)
    assert set(measured) == {
        "test.slice.site.north",
        "test.slice.site.south",
        "test.worst_slice",
        "test.worst_slice.site",
        "test.unmeasured.site",
    }
    south, worst = measured["test.slice.site.south"], measured["test.worst_slice"]
    assert (south.value, south.n, south.low, south.high) == (25 / 35, 35, *wilson(25, 35, 0.95))
    assert (worst.value, worst.n) == (25 / 35, 35)
    assert (worst.low, worst.high) == lowest_interval([(60, 60), (25, 35)], 0.95)
    assert measured["test.unmeasured.site"].value == 0.05


def test_where_every_slice_is_too_small_there_is_no_worst_one() -> None:
    slices = find_slices(COLUMNS, STATISTICS, params(columns=("site",)))
    measured = measure_slices(np.ones(N, bool), slices, 61, "test", 0.95)
    assert list(measured) == ["test.unmeasured.site"]
    assert measured["test.unmeasured.site"].value == 1


@pytest.mark.parametrize("odd", [{"scanner": "B x C"}, {"site": "A x B"}])
def test_values_that_would_merge_with_others_are_a_mistake(odd: dict[str, str]) -> None:
    columns = {
        name: np.array(["one", "two", odd.get(name, "three")] * 30, dtype=object)
        for name in ("site", "scanner")
    }
    with pytest.raises(ConfigError, match=r"takes site and scanner together, but '. x .' holds ' x '"):
        find_slices(columns, {}, params(columns=(("site", "scanner"),)))
    assert len(find_slices(columns, {}, params(columns=("site",)))) == 3


@pytest.mark.parametrize("columns", [("site", "site"), (("site", "scanner"), ("scanner", "site"))])
def test_columns_that_are_named_twice_are_a_mistake(columns: tuple[str | tuple[str, ...], ...]) -> None:
    with pytest.raises(ValueError, match="site twice"):
        params(columns=columns)
