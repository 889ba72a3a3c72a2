"""Images are mirrored in training only where a mirrored one looks like its class."""

import numpy as np
from sklearn.datasets import load_digits

from resnet_ops_pipelines.new_project.mirrors import may_mirror, may_mirror_objects


def test_digits_may_not_be_mirrored() -> None:
    digits = load_digits()
    images = np.round(digits.images[:400, ..., None] * 255 / 16).astype(np.uint8)
    assert not may_mirror(images, digits.target[:400])


def test_what_has_no_side_may_be_mirrored_and_what_points_to_one_side_may_not() -> None:
    draws = np.random.default_rng(0)
    labels = np.zeros(200, np.int64)
    noise = draws.integers(0, 60, (200, 24, 24, 1))
    spots = noise.copy()
    for image, (down, right) in zip(spots, draws.integers(0, 16, (200, 2)), strict=True):
        image[down : down + 8, right : right + 8] += 150
    assert may_mirror(spots.astype(np.uint8), labels)
    ramps = noise + np.linspace(0, 180, 24).astype(np.int64)[:, None]
    assert not may_mirror(ramps.astype(np.uint8), labels)


def test_too_few_images_say_nothing_and_are_not_mirrored() -> None:
    assert not may_mirror(np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1]))


def test_objects_are_looked_at_and_not_the_light_of_their_pictures() -> None:
    draws = np.random.default_rng(0)
    images = draws.integers(0, 30, (60, 48, 48, 1)) + np.linspace(0, 120, 48).astype(np.int64)[:, None]
    targets = np.zeros((60, 2, 6), np.float32)
    for image, rows in zip(images, targets, strict=True):
        left, top = draws.integers(0, 28, 2)
        image[top : top + 20, left : left + 20] = draws.integers(150, 250, (20, 20, 1))
        image[top + 8 : top + 12, left : left + 20] = 30
        rows[0] = (left, top, left + 20, top + 20, 1, 0)
    pixels = images.astype(np.uint8)
    assert not may_mirror(pixels, np.zeros(60, np.int64))
    assert may_mirror_objects(pixels, targets)
    for image, (row, _) in zip(pixels, targets, strict=True):
        left, top = row[:2].astype(int)
        image[top : top + 20, left : left + 6] = 30  # now they point to one side
    assert not may_mirror_objects(pixels, targets)
