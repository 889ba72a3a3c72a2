"""What happens to pictures on their way. Images are (N, C, H, W) floats within 0 and 1."""

import numpy as np
import torch
from torch.nn import functional as F

from resnet_ops.evaluation.corruptions.jpeg import through_jpeg
from resnet_ops.evaluation.corruptions.resampling import blur_matrix, box_matrix, on_both_sides
from resnet_ops.evaluation.corruptions.severities import Setting

__all__ = ["contrast", "elastic_transform", "jpeg_compression", "pixelate"]


def contrast(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Distances from each channel's mean are shrunk."""
    (kept,) = setting.values
    mean = images.mean(axis=(2, 3), keepdims=True)
    return np.asarray((images - mean) * np.float32(kept) + mean)


def elastic_transform(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Three points are moved at random with the whole picture, and then every pixel by a smooth field.

    Both in one interpolation; the paper interpolates twice.
    """
    strength, smoothness, shift = setting.values
    count, _, height, width = images.shape
    side = min(height, width)
    noise = rng.uniform(-1, 1, (count, 2, height, width)).astype(np.float32)
    sides = [blur_matrix(each, smoothness * side, 3.0, True) for each in (height, width)]
    moved = on_both_sides(noise, *sides) * np.float32(strength * side)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)))
    places = np.concatenate([grid + moved, np.ones((count, 1, height, width))], axis=1)
    source = np.einsum("nkhw,nkd->nhwd", places, _affine(count, height, width, shift * side, rng))
    normalised = source * 2 / np.maximum([width - 1, height - 1], 1) - 1
    sampled = F.grid_sample(
        torch.from_numpy(images),
        torch.from_numpy(normalised.astype(np.float32)),
        padding_mode="reflection",
        align_corners=True,
    )
    return np.asarray(sampled.numpy())


def _affine(count: int, height: int, width: int, shift: float, rng: np.random.Generator) -> np.ndarray:
    """(count, 3, 2) maps from (x, y, 1) in the result to (x, y) in the picture that undo a random move."""
    middle, reach = np.array([width // 2, height // 2]), min(height, width) // 3
    points = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + rng.uniform(-shift, shift, (count, 3, 2))
    corners = np.concatenate([moved, np.ones((count, 3, 1))], axis=2)
    return np.linalg.solve(corners, np.broadcast_to(points.astype(np.float64), (count, 3, 2)))


def pixelate(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Made smaller and larger again, in whole levels in between."""
    (share,) = setting.values
    smaller = [max(1, int(side * share)) for side in images.shape[2:]]
    down = [box_matrix(before, after) for before, after in zip(images.shape[2:], smaller, strict=True)]
    up = [box_matrix(before, after) for before, after in zip(smaller, images.shape[2:], strict=True)]
    return on_both_sides(
        np.rint(on_both_sides(images, *down) * setting.white) / np.float32(setting.white), *up
    )


def jpeg_compression(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Through JPEG at a quality; it has 8 bits, whatever the image had."""
    (quality,) = setting.values
    return through_jpeg(np.rint(images * 255), int(quality)) / np.float32(255)
