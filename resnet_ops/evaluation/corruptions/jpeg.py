"""JPEG's loss (ITU-T T.81) for a whole batch at once: all of it but the lossless packing into a file."""

import numpy as np

__all__ = ["through_jpeg"]

LUMINANCE = """
16 11 10 16 24 40 51 61  12 12 14 19 26 58 60 55  14 13 16 24 40 57 69 56  14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77  24 35 55 64 81 104 113 92  49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99
"""
CHROMINANCE = """
17 18 24 47 99 99 99 99  18 21 26 66 99 99 99 99  24 26 56 99 99 99 99 99  47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99
"""
TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
STEPS = np.arange(8)
COSINES = (np.cos((2 * STEPS + 1) * STEPS[:, None] * np.pi / 16) / 2).astype(np.float32)
COSINES[0] /= np.float32(2**0.5)
"""(frequency, place) of the cosine transform of eight values."""


def through_jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    """Images (N, C, H, W) of floats 0 to 255, C of 1 or 3, compressed at a quality of 1 to 100 and back.

    Tables and rounding as in libjpeg; colours at half the resolution (4:2:0), enlarged by linear interpolation.
    """
    if images.shape[1] == 1:
        return _quantise(images, _table(LUMINANCE, quality))
    colours = np.einsum("kc,nchw->nkhw", TO_YCC, images) + np.array([0, 128, 128], np.float32)[:, None, None]
    bright = _quantise(np.rint(colours[:, :1]), _table(LUMINANCE, quality))
    height, width = images.shape[2:]
    padded = np.pad(colours[:, 1:], [(0, 0), (0, 0), (0, height % 2), (0, width % 2)], mode="edge")
    rows, columns = (side // 2 for side in padded.shape[2:])
    halved = padded.reshape(*padded.shape[:2], rows, 2, columns, 2).mean(axis=(3, 5))
    halved = _quantise(np.rint(halved), _table(CHROMINANCE, quality))
    doubled = (_doubling(rows) @ halved @ _doubling(columns).T)[:, :, :height, :width]
    back = np.concatenate([bright, np.rint(doubled) - 128], axis=1)
    return np.asarray(np.clip(np.einsum("ck,nkhw->nchw", np.linalg.inv(TO_YCC), back), 0, 255))


def _table(text: str, quality: int) -> np.ndarray:
    """(8, 8) divisors at a quality, as libjpeg scales them."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = np.array(text.split(), np.int64).reshape(8, 8)
    return np.asarray(np.clip((table * percent + 50) // 100, 1, 255), np.float32)


def _quantise(planes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(N, C, H, W) with the frequencies of each 8x8 block rounded to multiples of the table."""
    height, width = planes.shape[2:]
    padded = np.pad(planes, [(0, 0), (0, 0), (0, -height % 8), (0, -width % 8)], mode="edge")
    shape = (*padded.shape[:2], padded.shape[2] // 8, 8, padded.shape[3] // 8, 8)
    blocks = padded.reshape(shape).swapaxes(3, 4) - np.float32(128)
    frequencies = np.rint(COSINES @ blocks @ COSINES.T / table) * table
    restored = np.rint(COSINES.T @ frequencies @ COSINES) + 128
    return np.asarray(np.clip(restored.swapaxes(3, 4).reshape(padded.shape)[:, :, :height, :width], 0, 255))


def _doubling(side: int) -> np.ndarray:
    """(2 side, side) linear interpolation to twice the resolution."""
    places = np.clip((np.arange(2 * side) - 0.5) / 2, 0, side - 1)
    left = np.minimum(places.astype(np.int64), max(side - 2, 0))
    matrix = np.zeros((2 * side, side), np.float32)
    matrix[np.arange(2 * side), left] = 1 - (places - left)
    matrix[np.arange(2 * side), np.minimum(left + 1, side - 1)] += places - left
    return matrix
