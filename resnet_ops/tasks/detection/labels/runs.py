"""COCO's run-length encoding of pixels, column by column; read here, since a library trusts what it is given."""

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["inside", "runs_of"]

MOST_BITS = 40
"""Of a number in compressed text."""


def runs_of(stated: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """(R,) lengths of runs, in turn outside and inside of an object. size: (width, height) of the image.

    stated: `size` [height, width] and `counts`, a list of lengths or COCO's compressed text. Raises ValueError of
    what it does wrong.
    """
    width, height = size
    if stated.get("size") != [height, width]:
        raise ValueError(
            f"is of the size {str(stated.get('size'))[:50]}, but its image has height {height} and width {width}"
        )
    counts = stated.get("counts")
    runs = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(each) is int and each >= 0 for each in runs):
        raise ValueError("has `counts` that are neither whole numbers from 0 on nor COCO's compressed text")
    if sum(runs) != width * height:
        raise ValueError(f"covers {sum(runs):,} pixels, but its image has {width * height:,}")
    return np.array(runs, np.int64)


def _decompressed(text: str) -> list[int]:
    """Five bits a sign, the lowest first, a sixth where more follow; from the fourth on less the one two before."""
    runs: list[int] = []
    value = bits = 0
    for code in (ord(sign) - ord("0") for sign in text):
        if not 0 <= code < 64 or bits > MOST_BITS:
            return [-1]
        value |= (code & 31) << bits
        bits += 5
        if not code & 32:
            value -= (code & 16) << (bits - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = bits = 0
    return runs if bits == 0 else [-1]


def inside(runs: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool of an object's pixels."""
    width, height = size
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
