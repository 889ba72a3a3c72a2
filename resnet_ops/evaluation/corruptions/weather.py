"""Weather. Images are (N, C, H, W) floats within 0 and 1."""

import numpy as np

from resnet_ops.evaluation.corruptions.blur import smear
from resnet_ops.evaluation.corruptions.resampling import enlarge
from resnet_ops.evaluation.corruptions.severities import Setting

__all__ = ["brightness", "fog", "frost", "plasma", "snow"]

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32).reshape(1, 3, 1, 1)
ICE = np.array([0.86, 0.94, 1.0], np.float32).reshape(1, 3, 1, 1)
ICE_DECAY = 1.6
"""How fast the frost's pattern calms down towards fine detail, as `plasma` takes it."""


def snow(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """A paler picture with smeared flakes, and the same flakes turned round."""
    mean, deviation, zoom, threshold, radius, sigma, kept = setting.values
    count, _, height, width = images.shape
    flakes = rng.normal(mean, deviation, (count, 1, height, width)).astype(np.float32)
    flakes = enlarge(flakes, max(1.0, zoom * setting.scale))
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
    angles = np.asarray(rng.uniform(-135, -45, count))
    flakes = smear(flakes, radius * setting.scale, sigma * setting.scale, angles)
    grey = (images * LUMINANCE).sum(axis=1, keepdims=True) if images.shape[1] == 3 else images
    paler = kept * images + (1 - kept) * np.maximum(images, grey * 1.5 + 0.5)
    return np.asarray(paler + flakes + flakes[:, :, ::-1, ::-1])


def frost(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Ice crystals over a darker picture, mixed as the paper does.

    The paper's crystals are six photographs; ours are made: the ridges of a fractal landscape, bluish white.
    """
    kept, added = setting.values
    landscape = plasma(len(images), images.shape[2:], ICE_DECAY, rng)
    ridges = (1 - np.abs(2 * landscape - 1)) ** 2
    crystals = 0.75 * ridges * (ICE if images.shape[1] == 3 else np.float32(1))
    return np.asarray(kept * images + added * crystals)


def fog(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """A fractal haze is added, and the whole darkened to the brightness it had."""
    amount, decay = setting.values
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    hazy = images + amount * plasma(len(images), images.shape[2:], decay, rng)
    return np.asarray(hazy * brightest / (brightest + amount))


def brightness(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """The value of each pixel in hue, saturation and value is raised; hue and saturation stay."""
    (added,) = setting.values
    value = images.max(axis=1, keepdims=True)
    raised = np.minimum(value + np.float32(added), 1)
    return np.asarray(np.where(value > 0, images * (raised / np.maximum(value, 1e-6)), raised))


def plasma(count: int, shape: tuple[int, ...], decay: float, rng: np.random.Generator) -> np.ndarray:
    """(count, 1, H, W) fractal landscapes within 0 and 1, by the diamond-square algorithm on a torus.

    decay: how much calmer each halving of the step is.
    """
    side = 1 << max(1, (max(shape) - 1).bit_length())
    heights = np.zeros((count, side, side))
    step, wildness = side, 100.0
    while step >= 2:
        half, every = step // 2, slice(0, side, step)
        middle = slice(half, side, step)

        def jolt(corners: np.ndarray, wildness: float = wildness) -> np.ndarray:
            return corners / 4 + rng.uniform(-(wildness**2), wildness**2, corners.shape)

        corners = heights[:, every, every]
        squares = corners + np.roll(corners, -1, axis=1)
        heights[:, middle, middle] = jolt(squares + np.roll(squares, -1, axis=2))
        centres = heights[:, middle, middle]
        across = centres + np.roll(centres, 1, axis=1) + corners + np.roll(corners, -1, axis=2)
        heights[:, every, middle] = jolt(across)
        down = centres + np.roll(centres, 1, axis=2) + corners + np.roll(corners, -1, axis=1)
        heights[:, middle, every] = jolt(down)
        step, wildness = half, wildness / decay
    low, high = (f(heights, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    cut = ((heights - low) / (high - low))[:, : shape[0], : shape[1]]
    return np.asarray(cut[:, None], np.float32)
