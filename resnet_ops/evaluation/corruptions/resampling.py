"""Blurring and zooming rows and columns by one matrix each: exact, at every border rule, for a whole batch at once."""

from functools import lru_cache

import numpy as np

__all__ = ["blur_matrix", "box_matrix", "enlarge", "on_both_sides"]


def on_both_sides(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(N, C, H, W) images with `rows` (h, H) applied to their columns and `columns` (w, W) to their rows."""
    for matrix in (columns, rows):
        # one large product: numpy is slow at many small ones
        flat = np.ascontiguousarray(images).reshape(-1, images.shape[3]) @ matrix.T
        images = flat.reshape(*images.shape[:3], -1).swapaxes(2, 3)
    return images


@lru_cache(maxsize=64)
def blur_matrix(side: int, sigma: float, truncate: float, mirror: bool) -> np.ndarray:
    """(side, side) Gaussian blur cut off at `truncate` sigmas; beyond the border the edge or a mirror image."""
    radius = int(truncate * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / max(sigma, 1e-12)) ** 2)
    places = np.arange(side)[:, None] + offsets
    if mirror:
        places = places % (2 * side)
        places = np.minimum(places, 2 * side - 1 - places)
    places = np.clip(places, 0, side - 1)
    matrix = np.zeros((side, side))
    np.add.at(matrix, (np.arange(side)[:, None], places), weights / weights.sum())
    return matrix.astype(np.float32)


def enlarge(images: np.ndarray, factor: float) -> np.ndarray:
    """(N, C, H, W) images whose middle is enlarged by `factor`, at least 1, by linear interpolation."""
    for axis in (2, 3):
        side = images.shape[axis]
        places = (side - 1) / 2 + (np.arange(side) - (side - 1) / 2) / factor
        left = places.astype(np.int64)
        share = (places - left).astype(np.float32).reshape(-1, *[1] * (3 - axis))
        before = images.take(left, axis)
        images = before + share * (images.take(np.minimum(left + 1, side - 1), axis) - before)
    return images


@lru_cache(maxsize=64)
def box_matrix(before: int, after: int) -> np.ndarray:
    """(after, before) resizing by the mean of what each new pixel covers, as Pillow's BOX does."""
    scale = before / after
    middles = (np.arange(after) + 0.5) * scale
    distance = (np.arange(before) + 0.5 - middles[:, None]) / max(scale, 1)
    covered = (distance > -0.5) & (distance <= 0.5)
    return np.asarray(covered / covered.sum(axis=1, keepdims=True), np.float32)
