"""Augmentation of whole batches as tensors, on the device where they are trained on."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_ops.training.draws import Draws

__all__ = ["random_crop_flip", "resized_crop"]

ASPECT = (3 / 4, 4 / 3)
"""Of what is cut out, width to height; as in the paper."""


def random_crop_flip(images: Tensor, padding: int, flip: bool, draws: Draws) -> Tensor:
    """Cut each image at its own random place after zero padding, and mirror half of them where `flip` is set.

    images: (N, C, H, W), any type; the result has the same shape.
    """
    n, channels, height, width = images.shape
    if not padding and not flip:
        return images
    offsets = draws.integers(2 * padding + 1, 2)
    mirrored = draws.booleans() & flip
    rows = torch.arange(height) + offsets[0, :, None]
    columns = torch.arange(width).expand(n, width)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns) + offsets[1, :, None]
    padded_width, padded_height = width + 2 * padding, height + 2 * padding
    flat = (rows[:, :, None] * padded_width + columns[:, None, :]).view(n, 1, height * width)
    padded = F.pad(images, (padding, padding, padding, padding)).view(
        n, channels, padded_height * padded_width
    )
    index = flat.expand(n, channels, height * width).to(images.device)
    return padded.gather(2, index).view(n, channels, height, width)


def resized_crop(images: Tensor, area: float, size: int, draws: Draws) -> Tensor:
    """Cut a rectangle out of each image and resize it, bilinear and without aliasing (Szegedy et al. 2014).

    images: (N, H, W, C) uint8; the result is (N, size, size, C), or as large as the image where size is 0. area:
    smallest share of the image that is cut out, 0 for no cut. Drawn are area and aspect; a side that would be longer
    than the image's is cut at that.
    """
    if not area:
        return images
    height, width = images.shape[1:3]
    share, aspect, down, right = draws.fractions(4)
    pixels = (area + (1 - area) * share) * height * width
    low, high = (math.log(value) for value in ASPECT)
    ratio = torch.exp(low + (high - low) * aspect)
    tall = torch.sqrt(pixels / ratio).round().clamp(1, height)
    wide = torch.sqrt(pixels * ratio).round().clamp(1, width)
    rows = _resize(height, ((height - tall + 1) * down).floor(), tall, size or height)
    columns = _resize(width, ((width - wide + 1) * right).floor(), wide, size or width)
    planes = images.permute(0, 3, 1, 2).float()
    scaled = rows[:, None].to(images.device) @ planes @ columns[:, None].mT.to(images.device)
    return scaled.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _resize(places: int, start: Tensor, length: Tensor, size: int) -> Tensor:
    """(N, size, places): what each place gives to each place of the resized stretch; a triangle as wide as a step."""
    step = (length / size)[:, None, None]
    centre = start[:, None, None] + (torch.arange(size)[:, None] + 0.5) * step
    where = torch.arange(places) + 0.5
    inside = (where > start[:, None, None]) & (where < (start + length)[:, None, None])
    weights = (1 - (where - centre).abs() / step.clamp(min=1)).clamp(min=0) * inside
    return weights / weights.sum(2, keepdim=True)
