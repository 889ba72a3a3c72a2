"""Augmentation of whole batches as tensors, on the device where they are trained on."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_ops.training.augmentation.draws import Draws, send

__all__ = ["draw_crop", "draw_shift", "random_crop_flip", "resized_crop"]

ASPECT = (3 / 4, 4 / 3)
"""Of what is cut out, width to height; as in the paper."""


def draw_shift(padding: int, flip: bool, draws: Draws) -> Tensor:
    """(3, N) int64: for `random_crop_flip`, from which row and column of the padded image on, and 1 where mirrored."""
    offsets = draws.integers(2 * padding + 1, 2)
    mirrored = draws.booleans() & flip
    return torch.stack([*offsets, mirrored])


def draw_crop(area: float, height: int, width: int, draws: Draws) -> Tensor:
    """(4, N) float32: for `resized_crop`, top, height, left and width of what is cut out."""
    share, aspect, down, right = draws.fractions(4)
    pixels = (area + (1 - area) * share) * height * width
    low, high = (math.log(value) for value in ASPECT)
    ratio = torch.exp(low + (high - low) * aspect)
    tall = torch.sqrt(pixels / ratio).round().clamp(1, height)
    wide = torch.sqrt(pixels * ratio).round().clamp(1, width)
    top, left = ((height - tall + 1) * down).floor(), ((width - wide + 1) * right).floor()
    return torch.stack([top, tall, left, wide])


def random_crop_flip(images: Tensor, padding: int, flip: bool, draws: Draws) -> Tensor:
    """Cut each image at its own random place after zero padding, and mirror half of them where `flip` is set.

    images: (N, C, H, W), any type; the result has the same shape, and lies in memory channels-last.
    """
    n, channels, height, width = images.shape
    if not padding and not flip:
        return images
    tall, wide = height + 2 * padding, width + 2 * padding
    drawn = draw_shift(padding, flip, draws)
    kind = torch.int32 if n * tall * wide < 2**31 else torch.int64  # half the memory to write and read
    top, left, mirrored = send(drawn.to(kind), images.device)[..., None]
    across, down, image = (
        torch.arange(count, dtype=kind, device=images.device) for count in (width, height, n)
    )
    rows = (image[:, None] * tall + top + down) * wide
    columns = left + (mirrored * (width - 1) - across).abs()
    index = (rows[:, :, None] + columns[:, None]).flatten()
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    pixels = padded.reshape(n * tall * wide, channels).index_select(0, index)
    return pixels.view(n, height, width, channels).permute(0, 3, 1, 2)


def resized_crop(images: Tensor, area: float, size: int, draws: Draws, nearest: bool = False) -> Tensor:
    """Cut a rectangle out of each image and resize it, bilinear and without aliasing (Szegedy et al. 2014).

    images: (N, H, W, C); the result is (N, size, size, C), or as large as the image where size is 0. area:
    smallest share of the image that is cut out, 0 for no cut. Drawn are area and aspect; a side that would be longer
    than the image's is cut at that. nearest: take the nearest pixel instead, so that no new values come: for masks.
    """
    if not area:
        return images
    height, width = images.shape[1:3]
    top, tall, left, wide = send(draw_crop(area, height, width, draws), images.device)
    weights = _nearest if nearest else _resize
    rows = weights(height, top, tall, size or height)
    columns = weights(width, left, wide, size or width)
    planes = images.permute(0, 3, 1, 2).float()
    scaled = rows[:, None] @ planes @ columns[:, None].mT
    return scaled.round().clamp(0, torch.iinfo(images.dtype).max).to(images.dtype).permute(0, 2, 3, 1)


def _resize(places: int, start: Tensor, length: Tensor, size: int) -> Tensor:
    """(N, size, places): what each place gives to each place of the resized stretch; a triangle as wide as a step."""
    step = (length / size)[:, None, None]
    centre = start[:, None, None] + (torch.arange(size, device=start.device)[:, None] + 0.5) * step
    where = torch.arange(places, device=start.device) + 0.5
    inside = (where > start[:, None, None]) & (where < (start + length)[:, None, None])
    weights = (1 - (where - centre).abs() / step.clamp(min=1)).clamp(min=0) * inside
    return weights / weights.sum(2, keepdim=True)


def _nearest(places: int, start: Tensor, length: Tensor, size: int) -> Tensor:
    """(N, size, places): 1 for the place in which the middle of each place of the resized stretch lies."""
    middle = torch.arange(size, device=start.device) + 0.5
    place = (start[:, None] + middle * (length / size)[:, None]).floor().clamp(max=places - 1)
    return (place[:, :, None] == torch.arange(places, device=start.device)).float()
