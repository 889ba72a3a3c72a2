"""Images that are larger than what a network sees at once: the grid of tiles, known without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from resnet_ops.errors import ConfigError
from resnet_ops.params import Settings

__all__ = ["LARGEST", "MOST_TILES", "Tiles", "cuts", "starts"]

LARGEST = 1024
"""Side in pixels of what a network sees at once."""
MOST_TILES = 64
"""That pass through a network together where its answer is asked for, so that memory does not grow with the images."""


@dataclass(frozen=True, kw_only=True)
class Tiles(Settings):
    """How a network sees images that are larger than its input. In `params.yaml` under `data.tiles`."""

    side: int
    """Side in pixels of the square tiles that the network sees, at most `image_size`."""
    overlap: int
    """Pixels that neighbouring tiles share at least, up to half a tile."""
    pool: Literal["mean", "max"] | None
    """What an image is called, from what its tiles are: `mean` takes the mean of their probabilities, `max` the answer
    of the tile that is least `normal`. Null for a class for each pixel, where tiles are put together."""
    normal: str | None
    """With `max`, the class of an image whose tiles are all of that class; else null."""

    def __post_init__(self) -> None:
        if not 8 <= self.side <= LARGEST:
            raise ValueError(f"side is {self.side}, but must be within 8 and {LARGEST}")
        if not 0 <= self.overlap <= self.side // 2:
            raise ValueError(
                f"overlap is {self.overlap}, but must be within 0 and {self.side // 2}, half a tile"
            )
        if self.pool not in (None, "mean", "max"):
            raise ValueError(f"pool is {self.pool!r}, but must be mean, max or null")
        if self.pool == "max" and not self.normal:
            raise ValueError("normal is missing: pool is max, so name the class of images without a find")
        if self.pool != "max" and self.normal is not None:
            raise ValueError(f"normal is {self.normal!r}, which is for pool: max; set it to null")

    def normal_class(self, classes: Sequence[str]) -> int | None:
        """Which of these `normal` is; None where it names none. Raises ConfigError where there is no such class."""
        if self.normal is None:
            return None
        if self.normal not in classes:
            raise ConfigError(
                f"params.yaml: data.tiles.normal is {self.normal!r}, but the classes are {', '.join(classes)}. Name "
                "the one of images without a find."
            )
        return list(classes).index(self.normal)

    def places(self, height: int, width: int) -> list[tuple[int, int]]:
        """Top and left of each tile of an image, row by row; one where the image is no larger than a tile."""
        return [
            (top, left)
            for top in starts(height, self.side, self.overlap)
            for left in starts(width, self.side, self.overlap)
        ]

    def images_at_once(self, side: int, most: int) -> int:
        """So many images of this side, at most `most`, have the tiles that pass through a network together."""
        return max(1, min(most, MOST_TILES // len(self.places(side, side))))


def starts(length: int, side: int, overlap: int) -> tuple[int, ...]:
    """Where tiles begin along a length in pixels, in order: the last one ends with it, so it may share more."""
    last = max(0, length - side)
    return (*range(0, last, side - overlap), last)


def cuts(length: int, side: int, overlap: int) -> tuple[int, ...]:
    """Borders of what is taken of each of these tiles, one more than tiles: half-way through what two share."""
    begins = starts(length, side, overlap)
    between = [(before + side + after) // 2 for before, after in pairwise(begins)]
    return (0, *between, length)
