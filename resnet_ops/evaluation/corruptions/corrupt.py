"""One corruption of a batch of images."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from resnet_ops.data.depth import depth_of, white_of
from resnet_ops.evaluation.corruptions.blur import defocus_blur, glass_blur, motion_blur, zoom_blur
from resnet_ops.evaluation.corruptions.digital import (
    contrast,
    elastic_transform,
    jpeg_compression,
    pixelate,
)
from resnet_ops.evaluation.corruptions.noise import gaussian_noise, impulse_noise, shot_noise
from resnet_ops.evaluation.corruptions.severities import Setting, setting
from resnet_ops.evaluation.corruptions.weather import brightness, fog, frost, snow

__all__ = ["CORRUPTIONS", "SEVERITIES", "corrupt"]

_CORRUPTIONS: tuple[Callable[[np.ndarray, Setting, np.random.Generator], np.ndarray], ...] = (
    gaussian_noise,
    shot_noise,
    impulse_noise,
    defocus_blur,
    glass_blur,
    motion_blur,
    zoom_blur,
    snow,
    frost,
    fog,
    brightness,
    contrast,
    elastic_transform,
    pixelate,
    jpeg_compression,
)
_BY_NAME = {each.__name__: each for each in _CORRUPTIONS}

CORRUPTIONS = tuple(_BY_NAME)
"""In the paper's order."""
SEVERITIES = (1, 2, 3, 4, 5)


def corrupt(images: np.ndarray, name: str, severity: int, seed: int | tuple[int, ...]) -> np.ndarray:
    """A corrupted copy of images (N, H, W, C), uint8 or uint16, C of 1 or 3; each image gets randomness of its own.

    name: one of CORRUPTIONS. severity: 1 to 5, with the paper's settings for 32 or 224 pixels, whichever is nearer.
    The same seed gives the same copy. Raises KeyError for another name, and IndexError for another severity.
    """
    if len(images) == 0:
        return images.copy()
    white = white_of(depth_of(images))
    floats = np.ascontiguousarray(images.transpose(0, 3, 1, 2)) / np.float32(white)
    chosen = replace(setting(name, severity, min(images.shape[1:3])), white=white)
    result = _BY_NAME[name](floats, chosen, np.random.default_rng(seed))
    levels = np.rint(np.clip(result, 0, 1) * white).astype(images.dtype)
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1))
