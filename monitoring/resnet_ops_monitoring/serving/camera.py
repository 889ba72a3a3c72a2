"""A simulated camera with dirt and poor light. Nothing here is real traffic, and whoever shows its output says so."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from resnet_ops.data.depth import Pixels, depth_of, white_of
from resnet_ops.errors import DataError

__all__ = ["SIMULATION", "degrade"]

_VALUES = 1 << 26
"""Of images that are in memory as floats at once, at most, or of one."""
SIMULATION = "Simulated: real images passed through a simulated camera with dirt on the lens and poor light."


def degrade(images: Pixels, seed: int) -> Pixels:
    """The same images as a neglected camera would deliver them.

    images: (N, H, W, C), C 1 or 3, H and W at least 8. In this order: slight blur (a lens out of focus), light
    reduced to 55 % with darker corners, dark specks at the same places in every image (dirt on the lens), sensor
    noise. The same seed gives the same bytes. Raises DataError for other shapes.
    """
    if images.ndim != 4 or images.shape[3] not in (1, 3) or min(images.shape[1:3]) < 8:
        raise DataError(f"The camera takes (N, H, W, 1 or 3) images of at least 8x8, not {images.shape}.")
    rng = np.random.default_rng(seed)
    height, width = images.shape[1:3]
    lens = (_light(height, width) * _dirt(height, width, rng))[None, :, :, None]
    blur = 0.04 * min(height, width)
    white, count = white_of(depth_of(images)), max(1, _VALUES // math.prod(images.shape[1:]))
    found = np.empty(images.shape, images.dtype)
    for start in range(0, len(images), count):
        part = images[start : start + count]
        seen = ndimage.gaussian_filter(part.astype(np.float32), sigma=(0, blur, blur, 0))
        noise = rng.normal(0.0, 5.0, part.shape) * (white / 255)
        found[start : start + count] = np.clip(np.rint(seen * lens + noise), 0, white)
    return found


def _light(height: int, width: int) -> NDArray[np.float64]:
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.asarray(0.55 * (1 - 0.35 * (x**2 + y**2) / 2))


def _dirt(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(H, W) transmission in [0.2, 1]: six soft specks, each about a twelfth of the picture wide."""
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    shade = np.zeros((height, width))
    for _ in range(6):
        top, left = rng.uniform(0.1, 0.9, size=2) * (height - 1, width - 1)
        radius = rng.uniform(0.05, 0.11) * min(height, width)
        distance = np.hypot(y - top, x - left)
        shade = np.maximum(shade, rng.uniform(0.5, 0.8) / (1 + np.exp((distance - radius) / (0.25 * radius))))
    return np.asarray(1 - shade)
