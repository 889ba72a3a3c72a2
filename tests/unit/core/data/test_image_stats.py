"""Image statistics against a plain computation of each image by itself."""

import math
from collections import Counter

import numpy as np
import pytest

from resnet_ops.data import image_stats
from tests.unit.core.makers import random_images

BOUNDS = {"brightness": 1.0, "contrast": 0.5, "sharpness": 1.0, "saturation": 1.0, "entropy": 5.0}


def stats_of_one(image: np.ndarray) -> dict[str, float]:
    """The five numbers of one (H, W, C) image, pixel by pixel in double precision."""
    height, width, channels = image.shape
    grey, saturations = np.zeros((height, width)), []
    for y in range(height):
        for x in range(width):
            values = [float(value) / 255 for value in image[y, x]]
            weights = (0.299, 0.587, 0.114) if channels == 3 else (1.0,)
            grey[y, x] = sum(w * v for w, v in zip(weights, values, strict=True))
            saturations.append((max(values) - min(values)) / max(values) if max(values) else 0.0)
    mean = grey.sum() / grey.size
    down = [abs(grey[y + 1, x] - grey[y, x]) for y in range(height - 1) for x in range(width)]
    right = [abs(grey[y, x + 1] - grey[y, x]) for y in range(height) for x in range(width - 1)]
    bins = Counter(min(int(value * 32), 31) for value in grey.ravel())
    shares = [count / grey.size for count in bins.values()]
    return {
        "brightness": mean,
        "contrast": math.sqrt(((grey - mean) ** 2).sum() / grey.size),
        "sharpness": (sum(down) / len(down) + sum(right) / len(right)) / 2,
        "saturation": sum(saturations) / len(saturations),
        "entropy": -sum(share * math.log2(share) for share in shares),
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 11)])
def test_every_statistic_equals_that_of_each_image_by_itself(channels: int, height: int, width: int) -> None:
    images = random_images(12, channels, 11)[:, :height, :width]
    images[1], images[2, :2] = 0, 255
    stats = image_stats(images)
    for index, image in enumerate(images):
        for name, value in stats_of_one(image).items():
            assert stats[name][index] == pytest.approx(value, abs=2e-6), name


def test_known_images_have_known_values() -> None:
    images = np.zeros((4, 8, 8, 3), np.uint8)
    images[1] = 255
    images[2, :, ::2] = 255  # stripes
    images[3] = (255, 0, 0)
    stats = image_stats(images)
    assert stats["brightness"] == pytest.approx([0, 1, 0.5, 0.299])
    assert stats["contrast"] == pytest.approx([0, 0, 0.5, 0], abs=1e-6)
    assert stats["sharpness"] == pytest.approx([0, 0, 0.5, 0])
    assert stats["saturation"] == pytest.approx([0, 0, 0, 1])
    assert stats["entropy"] == pytest.approx([0, 0, 1, 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_values_are_float32_and_within_their_documented_bounds(channels: int) -> None:
    images = random_images(50, channels, 16)
    images[0], images[1], images[2, :8] = 0, 255, 255
    for name, values in image_stats(images).items():
        assert values.dtype == np.float32
        assert values.shape == (50,)
        assert values.min() >= 0
        assert values.max() <= BOUNDS[name] + 1e-6


@pytest.mark.parametrize("channels", [1, 3])
def test_no_images_give_no_values(channels: int) -> None:
    stats = image_stats(np.empty((0, 8, 8, channels), np.uint8))
    assert set(stats) == set(BOUNDS)
    assert all(values.shape == (0,) for values in stats.values())
