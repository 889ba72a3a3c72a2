"""Statistics of images that tell a change of camera, light or dirt."""

import math

import numpy as np

from resnet_ops.data.depth import depth_of, white_of

__all__ = ["image_stats"]

CHUNK, VALUES = 32, 1 << 26
"""Images that are in memory as floats at once, and their values, at most."""


def image_stats(images: np.ndarray) -> dict[str, np.ndarray]:
    """Five numbers for each of N images, each an (N,) float32 array.

    images: (N, H, W, C), uint8 or uint16, C of 1 or 3.

    - brightness: mean of the luminance, in [0, 1]
    - contrast: standard deviation of the luminance, in [0, 0.5]
    - sharpness: mean absolute difference of neighbouring pixels, in [0, 1]
    - saturation: mean over the pixels of (max - min) / max over the channels, in [0, 1]; 0 for grey images
    - entropy: of the 32-bin histogram of the luminance, in bits, in [0, 5]
    """
    count = max(1, min(CHUNK, VALUES // max(1, math.prod(images.shape[1:]))))
    starts = range(0, max(len(images), 1), count)
    parts = [_stats_of(np.asarray(images[start : start + count])) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _stats_of(images: np.ndarray) -> dict[str, np.ndarray]:
    count = len(images)
    pixels = images.astype(np.float32) / white_of(depth_of(images))
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32) if images.shape[3] == 3 else pixels[..., 0]
    flat = grey.reshape(count, grey.shape[1] * grey.shape[2])
    steps = np.abs(np.diff(grey, axis=1)).mean((1, 2)) + np.abs(np.diff(grey, axis=2)).mean((1, 2))
    peak = pixels.max(axis=3)
    saturation = np.divide(peak - pixels.min(axis=3), peak, out=np.zeros_like(peak), where=peak > 0)
    bins = np.minimum((flat * 32).astype(np.int64), 31) + 32 * np.arange(count)[:, None]
    share = np.bincount(bins.ravel(), minlength=32 * count).reshape(count, 32) / max(flat.shape[1], 1)
    entropy = -np.sum(share * np.log2(share, out=np.zeros_like(share), where=share > 0), axis=1)
    stats = {
        "brightness": flat.mean(axis=1),
        "contrast": flat.std(axis=1),
        "sharpness": steps / 2,
        "saturation": saturation.mean(axis=(1, 2)),
        "entropy": entropy,
    }
    return {name: values.astype(np.float32) for name, values in stats.items()}
