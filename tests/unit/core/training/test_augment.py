"""Batched augmentation against a naive crop and flip of each image by itself."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from resnet_ops.training.augmentation.augment import random_crop_flip, resized_crop
from resnet_ops.training.augmentation.draws import Draws


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


@pytest.mark.parametrize("share", [slice(None), slice(7, 31)])
@pytest.mark.parametrize(
    ("shape", "padding", "flip"), [((40, 8, 8, 1), 1, False), ((40, 17, 32, 3), 4, True)]
)
def test_each_image_gets_the_crop_that_was_drawn_for_it(
    shape: tuple[int, ...], padding: int, flip: bool, share: slice
) -> None:
    """The draws are a part of every trained model: their order and meaning stay."""
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1)).permute(0, 3, 1, 2)
    for seed in range(5):
        found = random_crop_flip(
            images, padding, flip, Draws(torch.Generator().manual_seed(seed), 40, slice(None))
        )
        part = Draws(torch.Generator().manual_seed(seed), 40, share)
        assert torch.equal(random_crop_flip(images[share], padding, flip, part), found[share])
        source = torch.Generator().manual_seed(seed)
        tops, lefts = torch.randint(0, 2 * padding + 1, (2, 40), generator=source)
        mirrored = torch.randint(0, 2, (40,), generator=source, dtype=torch.bool) & flip
        for image, top, left, mirror, mine in zip(images, tops, lefts, mirrored, found, strict=True):
            padded = torch.nn.functional.pad(image, (padding,) * 4)
            crop = padded[:, top : top + shape[1], left : left + shape[2]]
            assert torch.equal(mine, crop.flip(2) if mirror else crop)


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


def weights_of(places: int, start: Tensor, length: Tensor, size: int) -> Tensor:
    """(N, size, places) by triangles around each centre, cut at the crop's ends."""
    steps = (length / size).view(-1, 1, 1)
    centres = start.view(-1, 1, 1) + (torch.arange(size).view(1, -1, 1) + 0.5) * steps
    middles = (torch.arange(places) + 0.5).view(1, 1, -1)
    heights = (1 - (middles - centres).abs() / steps.clamp(min=1)).clamp(min=0)
    ends = (start + length).view(-1, 1, 1)
    heights = heights * ((middles > start.view(-1, 1, 1)) & (middles < ends))
    return heights / heights.sum(2, keepdim=True)


@pytest.mark.parametrize("size", [0, 24])
@pytest.mark.parametrize("shape", [(20, 8, 8, 1), (20, 21, 32, 3)])
def test_a_resized_crop_has_the_bits_of_its_drawn_rectangle(shape: tuple[int, ...], size: int) -> None:
    images = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    for seed in range(5):
        found = resized_crop(images, 0.2, size, Draws(torch.Generator().manual_seed(seed), 20, slice(None)))
        share, aspect, down, right = torch.rand(4, 20, generator=torch.Generator().manual_seed(seed))
        pixels = (0.2 + (1 - 0.2) * share) * shape[1] * shape[2]
        ratio = torch.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * aspect)
        tall = torch.sqrt(pixels / ratio).round().clamp(1, shape[1])
        wide = torch.sqrt(pixels * ratio).round().clamp(1, shape[2])
        rows = weights_of(shape[1], ((shape[1] - tall + 1) * down).floor(), tall, size or shape[1])
        columns = weights_of(shape[2], ((shape[2] - wide + 1) * right).floor(), wide, size or shape[2])
        scaled = rows[:, None] @ images.permute(0, 3, 1, 2).float() @ columns[:, None].mT
        expected = scaled.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        assert torch.equal(found, expected)


def test_without_an_area_nothing_is_cut_and_nothing_drawn() -> None:
    images = torch.zeros(5, 8, 8, 3, dtype=torch.uint8)
    draws = Draws(torch.Generator().manual_seed(0), 5, slice(None))
    before = draws.generator.get_state()
    assert resized_crop(images, 0, 0, draws) is images
    assert torch.equal(draws.generator.get_state(), before)
