"""How models answer images with defects of very different sizes, to draw test sets from."""

import numpy as np

__all__ = ["boundary_population", "pixel_population"]


def pixel_population(n: int, rng: np.random.Generator, share: float = 0.75) -> np.ndarray:
    """(n, 2, 2) confusion matrices: that share of the images has a defect."""
    has, pixels = rng.random(n) < share, 4096
    size = np.where(has, np.clip(rng.lognormal(5, 1, n), 10, 2500), 0).astype(int)
    found = (size * rng.beta(3, 1.5, n)).astype(int)
    false = np.where(rng.random(n) < 0.3, 0, rng.lognormal(3, 1.2, n)).clip(0, 1500).astype(int)
    return np.stack([pixels - size - false, false, size - found, found], axis=1).reshape(n, 2, 2)


def boundary_population(
    n: int, rng: np.random.Generator, share: float = 0.75
) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) scores and bounded of `boundary_scores`: a tenth of the defects is missed, and a fifth of the images with
    none has a false alarm.
    """
    has = rng.random(n) < share
    defect = np.where(rng.random(n) < 0.1, 0.0, rng.beta(3, 1.5, n))
    ground = np.clip(defect + rng.normal(0, 0.05, n), 0, 1) * (defect > 0)
    alarm = np.where(rng.random(n) < 0.2, 0.0, np.nan)
    return np.where(has, (ground, defect), alarm).T, np.repeat(has[:, None], 2, axis=1)
