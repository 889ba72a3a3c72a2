"""Batched augmentation against a naive crop and flip of each image by itself."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from resnet_ops.training.augment import random_crop_flip


def augment(images: Tensor, padding: int, flip: bool, seed: int = 0) -> Tensor:
    return random_crop_flip(images, padding, flip, torch.Generator().manual_seed(seed))


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
