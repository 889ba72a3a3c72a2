"""How deep pixels are: 8 bits a value, or 16 where grey keeps all levels that its detector wrote."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Depth", "Pixels", "depth_of", "dtype_of", "noted_depth", "shown", "white_of"]

Depth = Literal[8, 16]
Pixels = NDArray[np.unsignedinteger[Any]]
"""(N, H, W, C) uint8, or uint16 at a depth of 16."""


def dtype_of(depth: Depth) -> type[np.uint8] | type[np.uint16]:
    """How such pixels are kept."""
    return np.uint16 if depth == 16 else np.uint8


def depth_of(pixels: np.ndarray) -> Depth:
    """Of uint8 or uint16 pixels."""
    return 16 if pixels.dtype == np.uint16 else 8


def white_of(depth: Depth) -> int:
    """The brightest level, 255 or 65535; black is 0."""
    return (1 << depth) - 1


def shown(pixels: np.ndarray) -> np.ndarray:
    """uint8 of the same shape: the upper 8 bits, for screens."""
    return (pixels >> 8).astype(np.uint8) if depth_of(pixels) == 16 else pixels


def noted_depth(depth: Depth) -> dict[str, Depth]:
    """What a description says of it under `depth`: nothing of 8, which came first."""
    return {} if depth == 8 else {"depth": depth}
