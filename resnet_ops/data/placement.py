"""Where an image lies in the square that is prepared of it, and boxes on their way between the two."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

__all__ = ["Box", "Placement", "frame"]

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


def frame(size: tuple[int, int], side: int, fit: Literal["crop", "pad"]) -> tuple[Box, tuple[int, int]]:
    """What is used of an image of (width, height), and at which size."""
    width, height = size
    if fit == "pad":
        scale = side / max(size)
        return (0, 0, width, height), (max(1, round(width * scale)), max(1, round(height * scale)))
    square = min(size)
    left, top = (width - square) / 2, (height - square) / 2
    return (left, top, left + square, top + square), (side, side)


@dataclass(frozen=True)
class Placement:
    """Of an image of `size` (width, height), as a viewer shows it, in a square of `side` pixels.

    A turn by its EXIF orientation changes neither the box nor the sides, since both lie in the middle.
    """

    size: tuple[int, int]
    side: int
    fit: Literal["crop", "pad"]

    @cached_property
    def area(self) -> Box:
        """The part of the square that shows the image; the rest is background."""
        _, (width, height) = frame(self.size, self.side, self.fit)
        left, top = (self.side - width) // 2, (self.side - height) // 2
        return left, top, left + width, top + height

    @property
    def pixels(self) -> tuple[slice, slice]:
        """The same part as rows and columns of the square."""
        left, top, right, bottom = map(int, self.area)
        return slice(top, bottom), slice(left, right)

    def to_square(self, boxes: np.ndarray) -> np.ndarray:
        """(M, 4) boxes in pixels of the image, in pixels of the square; not cut there."""
        start, scale = self._shift()
        return np.asarray((boxes - start) * scale + np.array(self.area[:2] * 2))

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """(M, 4) boxes in pixels of the square, in pixels of the image; cut where it ends."""
        start, scale = self._shift()
        found = (boxes - np.array(self.area[:2] * 2)) / scale + start
        return np.asarray(np.clip(found, 0, np.array(self.size * 2)))

    def _shift(self) -> tuple[np.ndarray, np.ndarray]:
        """(4,) where what is used of the image begins, and (4,) pixels of the square for one of the image."""
        box, size = frame(self.size, self.side, self.fit)
        scale = np.array([size[0] / (box[2] - box[0]), size[1] / (box[3] - box[1])] * 2)
        return np.array(box[:2] * 2), scale
