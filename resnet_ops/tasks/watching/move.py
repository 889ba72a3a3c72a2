"""How a camera that was turned or moved changes where things are."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Move"]


@dataclass(frozen=True)
class Move:
    """What happens to the places in images."""

    maps: Callable[[np.ndarray], np.ndarray]
    """(N, H, W) maps to the same afterwards, by the nearest pixel; 0 comes in from outside."""
    shift: tuple[float, float] | None
    """Pixels down and to the right by which all moves; None where it is turned."""
