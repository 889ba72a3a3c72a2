"""Noise. Images are (N, C, H, W) floats within 0 and 1."""

import numpy as np

from resnet_ops.evaluation.corruptions.severities import Setting

__all__ = ["gaussian_noise", "impulse_noise", "shot_noise"]


def gaussian_noise(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Normal noise of a standard deviation: poor light."""
    (deviation,) = setting.values
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    return np.asarray(images + np.float32(deviation) * noise)


def shot_noise(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """Poisson noise of so many photons at full light."""
    (photons,) = setting.values
    return np.asarray(rng.poisson(images * photons) / photons)


def impulse_noise(images: np.ndarray, setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """A share of the values becomes 0 or 1, each half of the time: bit errors."""
    (share,) = setting.values
    drawn = rng.random(images.shape, dtype=np.float32)
    return np.where(drawn < share / 2, np.float32(0), np.where(drawn < share, np.float32(1), images))
