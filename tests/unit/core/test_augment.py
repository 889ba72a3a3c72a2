"""Batched augmentation against a naive crop and flip of each image by itself."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from resnet_ops.training.augment import random_crop_flip, resized_crop
from resnet_ops.training.draws import Draws


def augment(images: Tensor, padding: int, flip: bool, seed: int = 0) -> Tensor:
    draws = Draws(torch.Generator().manual_seed(seed), len(images), slice(None))
    return random_crop_flip(images, padding, flip, draws)


def naive_crops(image: np.ndarray, padding: int, flip: bool) -> dict[bytes, tuple[int, int, bool]]:
    """Every image that cropping and mirroring one (C, H, W) image may give, with (top, left, mirrored)."""
    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    crops = {}
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            for mirrored in (False, True) if flip else (False,):
                crop = padded[:, top : top + height, left : left + width]
                crops[(crop[:, :, ::-1] if mirrored else crop).tobytes()] = (top, left, mirrored)
    return crops


def found_crops(images: Tensor, padding: int, flip: bool, seed: int = 0) -> list[tuple[int, int, bool]]:
    """How each image was cropped; fails where the result is no crop of its image."""
    result = augment(images, padding, flip, seed)
    assert result.shape == images.shape
    assert result.dtype == images.dtype
    return [
        naive_crops(before.numpy(), padding, flip)[after.numpy().tobytes()]
        for before, after in zip(images, result, strict=True)
    ]


@pytest.mark.parametrize("shape", [(40, 1, 8, 8), (40, 3, 6, 9)])
@pytest.mark.parametrize(("padding", "flip"), [(1, False), (2, True), (0, True)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_every_result_is_a_crop_of_its_own_padded_image(
    shape: tuple[int, ...], padding: int, flip: bool, dtype: torch.dtype
) -> None:
    images = torch.randint(1, 256, shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    crops = found_crops(images, padding, flip)
    assert len(set(crops)) > 1  # each has its own


def test_every_place_is_equally_likely_and_half_are_mirrored() -> None:
    n = 3000
    images = torch.randint(1, 256, (n, 1, 3, 3), generator=torch.Generator().manual_seed(1))
    crops = found_crops(images, 1, True)
    expected = n / 18
    counts = Counter(crops)
    assert len(counts) == 18
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 40.8  # the 0.999 quantile with 17 degrees of freedom


def test_without_flip_nothing_is_mirrored() -> None:
    images = torch.randint(1, 256, (200, 1, 4, 4), generator=torch.Generator().manual_seed(1))
    assert {crop[2] for crop in found_crops(images, 1, False)} == {False}


def test_without_padding_and_flip_images_stay_as_they_are() -> None:
    images = torch.randn(5, 3, 8, 8)
    assert torch.equal(augment(images, 0, False), images)


def test_the_generator_alone_decides() -> None:
    images = torch.randn(50, 1, 8, 8)
    first = augment(images, 2, True, seed=1)
    torch.manual_seed(99)
    assert torch.equal(augment(images, 2, True, seed=1), first)
    assert not torch.equal(augment(images, 2, True, seed=2), first)


def naive_resized_crops(images: Tensor, area: float, size: int, source: Draws) -> tuple[Tensor, list[float]]:
    """torchvision's cut and resize of each image, and the shares of the image that were cut out."""
    height, width = images.shape[1:3]
    results, shares = [], []
    for image, share, aspect, down, right in zip(images, *source.fractions(4), strict=True):
        pixels = (area + (1 - area) * share) * height * width
        ratio = (3 / 4) ** (1 - aspect) * (4 / 3) ** aspect
        tall = min(height, round(math.sqrt(pixels / ratio)))
        wide = min(width, round(math.sqrt(pixels * ratio)))
        top, left = int((height - tall + 1) * down), int((width - wide + 1) * right)
        planes = image.permute(2, 0, 1).float()
        to = [size or height, size or width]
        results.append(F.resized_crop(planes, top, left, tall, wide, to, antialias=True).permute(1, 2, 0))
        shares.append(tall * wide / height / width)
    return torch.stack(results), shares


@pytest.mark.parametrize("size", [0, 6, 10, 40])
@pytest.mark.parametrize("shape", [(60, 20, 20, 3), (60, 9, 14, 1)])
@pytest.mark.parametrize("area", [0.08, 0.5, 1])
def test_a_resized_crop_is_what_torchvision_makes_of_each_image(
    shape: tuple[int, ...], area: float, size: int
) -> None:
    images = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    draws = [Draws(torch.Generator().manual_seed(3), 60, slice(None)) for _ in range(2)]
    found = resized_crop(images, area, size, draws[0])
    expected, shares = naive_resized_crops(images, area, size, draws[1])
    assert found.dtype == torch.uint8
    assert (found.float() - expected).abs().max() <= 0.501
    assert min(shares) > 0.7 * area
    assert area == 1 or max(shares) - min(shares) > 0.3


def test_without_an_area_nothing_is_cut_and_nothing_drawn() -> None:
    images = torch.zeros(5, 8, 8, 3, dtype=torch.uint8)
    draws = Draws(torch.Generator().manual_seed(0), 5, slice(None))
    before = draws.generator.get_state()
    assert resized_crop(images, 0, 0, draws) is images
    assert torch.equal(draws.generator.get_state(), before)
