"""Blurs. Images are (N, C, H, W) floats within 0 and 1."""

import numpy as np
import torch
from torch.nn import functional as F

from resnet_ops.evaluation.corruptions.resampling import blur_matrix, enlarge, on_both_sides
from resnet_ops.evaluation.corruptions.severities import Setting

__all__ = ["defocus_blur", "glass_blur", "motion_blur", "smear", "zoom_blur"]

INVISIBLE = 1e-4
"""A weight below changes no pixel by one of 255 levels."""


def defocus_blur(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Convolution with a disk: the picture is out of focus."""
    radius, softness = setting.values
    kernel = torch.from_numpy(_disk(radius * setting.scale, softness, 2 if radius > 8 else 1))
    channels, reach = images.shape[1], kernel.shape[0] // 2
    padded = F.pad(torch.from_numpy(images), [reach] * 4, mode="reflect")
    weight = kernel.expand(channels, 1, *kernel.shape)
    return np.asarray(F.conv2d(padded, weight, groups=channels).numpy())


def _disk(radius: float, softness: float, soft_reach: int) -> np.ndarray:
    """A disk on a grid, its rim blurred by a small Gaussian of 3 or 5 pixels."""
    reach = int(radius) + soft_reach
    steps = np.arange(-reach, reach + 1)
    disk = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.float64)
    soft = np.exp(-0.5 * (np.arange(-soft_reach, soft_reach + 1) / softness) ** 2)
    rows = np.apply_along_axis(np.convolve, 0, disk, soft, mode="same")
    both = np.apply_along_axis(np.convolve, 1, rows, soft, mode="same")
    return np.asarray(both / both.sum(), np.float32)


def glass_blur(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Blur, swap each pixel with a near one, blur: seen through frosted glass.

    The pixels are visited as in the paper, bottom right first, all images at once. They are swapped, as the paper
    says; its code copies one over the other.
    """
    sigma, reach, rounds = setting.values
    count, channels, height, width = images.shape
    sigma, reach = sigma * setting.scale, max(1, round(reach * setting.scale))
    sides = [blur_matrix(side, sigma, 4.0, False) for side in (height, width)]
    # in whole levels in between, as in the paper
    blurred = np.floor(on_both_sides(images, *sides) * setting.white) / setting.white
    order = np.tile(np.arange(height * width, dtype=np.int32)[:, None], count)
    every, rows, columns = (
        np.arange(count),
        range(height - reach, reach, -1),
        range(width - reach, reach, -1),
    )
    for _ in range(int(rounds)):
        moves = rng.integers(-reach, reach, (len(rows), len(columns), 2, count), dtype=np.int8)
        for row, row_moves in zip(rows, moves, strict=True):
            for column, (down, along) in zip(columns, row_moves, strict=True):
                here = row * width + column
                there = here + down.astype(np.int32) * width + along
                kept = order[here].copy()
                order[here] = order[there, every]
                order[there, every] = kept
    flat = blurred.reshape(count, channels, height * width)
    shuffled = np.take_along_axis(flat, order.T[:, None].astype(np.int64), axis=2)
    return on_both_sides(shuffled.reshape(images.shape).astype(np.float32), *sides)


def motion_blur(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Smeared along a line between -45 and 45 degrees: the camera moves."""
    radius, sigma = setting.values
    angles = rng.uniform(-45, 45, len(images))
    return smear(images, radius * setting.scale, sigma * setting.scale, angles)


def smear(images: np.ndarray, radius: float, sigma: float, angles: np.ndarray) -> np.ndarray:
    """ImageMagick's motion blur: half a Gaussian of 2 * radius + 1 pixels along each image's angle, in degrees."""
    count, _, height, width = images.shape
    steps = np.arange(2 * int(np.ceil(radius)) + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    weights, steps = weights[weights > INVISIBLE], steps[weights > INVISIBLE]
    radians = np.deg2rad(angles)[:, None]
    downs, alongs = (
        np.ceil(steps * part - 0.5).astype(np.int64) for part in (np.sin(radians), np.cos(radians))
    )
    # (steps, N, H or W): where each image's rows and columns are fetched from, and its place among all images
    rows = np.clip(np.arange(height) + downs.T[:, :, None], 0, height - 1) * width
    rows += (np.arange(count) * height * width)[:, None]
    columns = np.clip(np.arange(width) + alongs.T[:, :, None], 0, width - 1)
    planes = [plane.ravel() for plane in images.swapaxes(0, 1)]
    result = np.zeros_like(images)
    for weight, row, column in zip(weights, rows, columns, strict=True):
        places = row[:, :, None] + column[:, None, :]
        for channel, plane in enumerate(planes):
            result[:, channel] += weight * plane.take(places)
    return result


def zoom_blur(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """The mean of the picture and of enlargements of its middle: the camera comes nearer.

    Enlargements are exact; the paper's are rounded to whole pixels.
    """
    end, step = setting.values
    factors = np.arange(1, end, step)
    total = images.copy()
    for factor in factors:
        total += enlarge(images, float(factor))
    return total / np.float32(len(factors) + 1)
