"""Boxes between an image and the square that is prepared of it."""

from typing import Literal

import numpy as np
import pytest

from resnet_ops.data.placement import Placement


@pytest.mark.parametrize("size", [(64, 32), (31, 97), (500, 333), (7, 7)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_box_that_is_whole_in_the_square_comes_back(
    size: tuple[int, int], fit: Literal["crop", "pad"]
) -> None:
    placed = Placement(size, 48, fit)
    middle, half = np.array(size * 2) / 2, min(size) / 4
    box = middle[None] + np.array([-half, -half, half, half / 2])
    square = placed.to_square(box)
    assert square.min() >= 0
    assert square.max() <= 48
    np.testing.assert_allclose(placed.to_image(square), box)


def test_what_reaches_into_the_padding_ends_where_the_image_does() -> None:
    placed = Placement((100, 50), 20, "pad")
    assert placed.area == (0, 5, 20, 15)
    np.testing.assert_allclose(placed.to_image(np.array([[-1.0, 0, 21, 20]])), [[0, 0, 100, 50]])


def test_a_cropped_image_shows_its_middle() -> None:
    placed = Placement((100, 50), 20, "crop")
    assert placed.area == (0, 0, 20, 20)
    np.testing.assert_allclose(placed.to_image(np.array([[0.0, 0, 20, 20]])), [[25, 0, 75, 50]])
    np.testing.assert_allclose(placed.to_square(np.array([[0.0, 0, 100, 50]])), [[-10, 0, 30, 20]])


def test_the_part_of_the_square_that_shows_the_image_is_rows_and_columns() -> None:
    assert Placement((100, 50), 20, "pad").pixels == (slice(5, 15), slice(0, 20))
    assert Placement((50, 100), 20, "pad").pixels == (slice(0, 20), slice(5, 15))
    assert Placement((100, 50), 20, "crop").pixels == (slice(0, 20), slice(0, 20))
