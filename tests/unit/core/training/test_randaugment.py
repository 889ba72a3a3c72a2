"""RandAugment on batches against torchvision's own, image by image."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from resnet_ops.training.augmentation.draws import Draws
from resnet_ops.training.augmentation.randaugment import LAYERS, OPERATIONS, rand_augment

TWINS = {name: name.title().replace("_", "") for name in OPERATIONS} | {"autocontrast": "AutoContrast"}
"""torchvision's names."""


def pictures(count: int, channels: int, side: int = 12) -> Tensor:
    """(count, side, side, channels) uint8, with edges and slopes."""
    source = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, channels, 4, 4, generator=source) * 200 + 20
    noise = torch.rand(count, channels, side, side, generator=source) * 30
    smooth = torch.nn.functional.interpolate(coarse, side, mode="bilinear") + noise
    return smooth.round().to(torch.uint8).permute(0, 2, 3, 1)


def draws(count: int, share: slice = slice(None), seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), count, share)


class OneOperation(v2.RandAugment):  # type: ignore[misc]
    """torchvision's, with the operation given."""

    def __init__(self, name: str, magnitude: int) -> None:
        super().__init__(num_ops=1, magnitude=magnitude)
        self.name = name

    def _get_random_item(self, space: dict[str, Any]) -> tuple[str, Any]:
        return self.name, space[self.name]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_does_to_a_batch_what_torchvision_does_to_each_image(name: str, channels: int) -> None:
    batch = pictures(6, channels).permute(0, 3, 1, 2)
    for magnitude in (0, 5, 10):
        library = OneOperation(TWINS[name], 3 * magnitude)  # of 31 bins, the last is the strongest
        strengths, signed = library._AUGMENTATION_SPACE[TWINS[name]]
        share = magnitude / 10
        if signed:  # its strengths are of single precision, which turns what lies between two levels over
            each = strengths(library.num_magnitude_bins, *batch.shape[2:]).tolist()
            share = each[3 * magnitude] / round(each[-1], 6)
        for seed in range(4):
            torch.manual_seed(seed)
            negative = signed and bool(torch.rand(()) <= 0.5)
            found = OPERATIONS[name](batch, -share if negative else share)
            for picture, mine in zip(batch, found, strict=True):
                torch.manual_seed(seed)
                difference = (library(picture).int() - mine.int()).abs()
                assert difference.max() <= 1
                assert difference.float().mean() < 0.03


def by_torchvision(name: str, batch: Tensor, strength: float) -> Tensor:
    """The operations for which `resnet_ops` has code of its own, as torchvision has them."""
    height, width = batch.shape[2:]
    share = {"x": (strength, 0.0), "y": (0.0, strength)}.get(name[-1], (0.0, 0.0))
    still = {"angle": 0.0, "scale": 1.0}
    if name.startswith("shear"):
        angles = [math.degrees(math.atan(0.3 * each)) for each in share]
        return F.affine(batch, translate=[0, 0], shear=angles, center=[0, 0], **still)  # type: ignore[no-any-return]
    if name.startswith("translate"):
        way = [int(150 / 331 * side * each) for side, each in zip((width, height), share, strict=True)]
        return F.affine(batch, translate=way, shear=[0.0, 0.0], **still)  # type: ignore[no-any-return]
    if name == "rotate":
        return F.rotate(batch, 30 * strength)  # type: ignore[no-any-return]
    if name == "sharpness":
        return F.adjust_sharpness(batch, 1 + 0.9 * strength)  # type: ignore[no-any-return]
    return F.autocontrast(batch)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 32, 32), (3, 27, 40), (3, 2, 5)])
@pytest.mark.parametrize(
    "name", ["shear_x", "shear_y", "translate_x", "translate_y", "rotate", "sharpness", "autocontrast"]
)
def test_what_is_not_torchvisions_has_its_bits(name: str, channels: int, height: int, width: int) -> None:
    source = torch.Generator().manual_seed(1)
    batch = torch.randint(0, 256, (9, channels, height, width), generator=source).to(torch.uint8)
    batch[0] = 77
    batch[1, 0] = batch[1, 0].clamp(20, 60)
    batch = batch.contiguous(memory_format=torch.channels_last)
    for strength in (-1.0, -0.613, -0.1, 0.0, 0.05, 0.5, 0.87, 1.0):
        before = batch.clone()
        assert torch.equal(OPERATIONS[name](batch, strength), by_torchvision(name, batch, strength)), strength
        assert torch.equal(batch, before), "what was given stays as it was"


def naive(images: Tensor, magnitude: float, spread: float, source: Draws) -> Iterator[Tensor]:
    """One image after the other."""
    rng = source.for_the_batch()
    layers = []
    for _ in range(LAYERS):
        (operations,), negative = source.integers(len(OPERATIONS), 1), source.booleans()
        layers.append((operations, negative, rng.normal(magnitude, spread, len(OPERATIONS)).clip(0, 10) / 10))
    for place, image in enumerate(images.permute(0, 3, 1, 2)):
        for operations, negative, strengths in layers:
            which = int(operations[place])
            sign = -1 if negative[place] else 1
            image = list(OPERATIONS.values())[which](image[None], sign * float(strengths[which]))[0]
        yield image.permute(1, 2, 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_grouping_gives_each_image_what_it_would_get_alone(channels: int) -> None:
    images = pictures(120, channels)
    found = rand_augment(images, 6, 0.5, draws(120))
    assert found.dtype == torch.uint8
    assert torch.equal(found, torch.stack(list(naive(images, 6, 0.5, draws(120)))))
    assert torch.equal(images, pictures(120, channels)), "what was given stays as it was"
    changed = (found != images).flatten(1).any(1).float().mean()
    assert 0.7 < changed < 1


def test_a_part_of_a_batch_gets_what_it_gets_in_the_whole() -> None:
    images = pictures(40, 3)
    whole = rand_augment(images, 6, 0.5, draws(40))
    assert torch.equal(rand_augment(images[10:25], 6, 0.5, draws(40, slice(10, 25))), whole[10:25])


def test_the_magnitude_spreads_and_stays_within_its_scale() -> None:
    images = pictures(60, 3)
    assert not torch.equal(rand_augment(images, 6, 0, draws(60)), rand_augment(images, 6, 2, draws(60)))
    assert torch.equal(rand_augment(images, 10, 0, draws(60)), rand_augment(images, 1e9, 1, draws(60)))


def test_at_magnitude_0_nothing_happens_and_nothing_is_drawn() -> None:
    images, source = pictures(5, 3), draws(5)
    assert rand_augment(images, 0, 0.5, source) is images
    assert torch.equal(source.generator.get_state(), draws(5).generator.get_state())


def test_torchs_own_random_state_has_no_say() -> None:
    images = pictures(60, 3)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(rand_augment(images, 6, 0.5, draws(60)))
    assert torch.equal(*found)
    assert not torch.equal(found[0], rand_augment(images, 6, 0.5, draws(60, seed=1)))
