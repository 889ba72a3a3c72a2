"""Images that are nearly equal to one that is trained on: a model that knows the one answers the other by heart."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from resnet_ops.data.depth import depth_of
from resnet_ops.data.prepared import PreparedData
from resnet_ops.threads import mapped

__all__ = ["LIKENESS", "NearDuplicate", "find_near_duplicates"]

SIDE = 16
"""Of the thumbnails that are compared; smaller images are compared as they are."""
LIKENESS = 0.995
"""Correlation of two grey thumbnails, the typical one taken out of both, from which on they count as nearly equal.

Of the digits and CIFAR-10 none is that like another, of Fashion-MNIST 1 in 2,000, of pictures of one design with noise
none; saved anew as JPEG of quality 50, brighter by a fifth or with noise 80 to 99 % are, shifted by a pixel none."""
MOST, TYPICAL = 20_000, 2_000
"""Images looked up among those trained on, and those whose mean is the typical one; of more, so many, evenly."""
CHUNK, BLOCK = 256, 4096
"""Images read at once, and thumbnails compared at once, to bound the memory."""


@dataclass(frozen=True)
class NearDuplicate:
    """An image of another split and the one of training that is most like it, as rows of the data."""

    row: int
    trained: int
    likeness: float


def find_near_duplicates(
    data: PreparedData, trained: str, others: tuple[str, ...]
) -> tuple[list[NearDuplicate], int]:
    """Images of the splits `others` that are nearly equal to one of split `trained`, most alike first.

    And how many were looked up. Equal images count too. An image of one value alone, or just the typical one, is like
    none. Raises DataError where a split has no image.
    """
    known, asked = data.places(trained), data.places(*others)
    asked = _evenly(asked, MOST)
    typical: np.ndarray = _thumbnails(data.images, _evenly(known, TYPICAL)).mean(axis=0)
    wanted = _deviations(_thumbnails(data.images, asked), typical)
    best, where = np.full(len(asked), -1.0, np.float32), np.zeros(len(asked), np.int64)
    for start in range(0, len(known), BLOCK):
        places = known[start : start + BLOCK]
        some = _deviations(_thumbnails(data.images, places), typical).T
        for first in range(0, len(asked), BLOCK):
            rows = slice(first, first + BLOCK)
            likeness = wanted[rows] @ some
            place = likeness.argmax(axis=1)
            found = np.take_along_axis(likeness, place[:, None], axis=1)[:, 0]
            better = found > best[rows]
            best[rows] = np.where(better, found, best[rows])
            where[rows] = np.where(better, places[place], where[rows])
    near = np.flatnonzero(best >= LIKENESS)
    order = near[np.argsort(-best[near], kind="stable")]
    pairs = [NearDuplicate(int(asked[i]), int(where[i]), min(float(best[i]), 1.0)) for i in order]
    return pairs, len(asked)


def _thumbnails(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(n, D) float32 grey thumbnails of these places without their mean, at length 1; 0 where nothing is to be seen."""
    starts = [places[start : start + CHUNK] for start in range(0, len(places), CHUNK)]
    grey = np.concatenate(list(mapped(lambda some: np.stack([_grey(images[i]) for i in some]), starts, 4)))
    grey -= grey.mean(axis=1, keepdims=True)
    return _at_length_1(grey)


def _deviations(thumbnails: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """How they differ from the typical one, at length 1: parts in one place before one camera are otherwise alike."""
    seen = thumbnails.any(axis=1, keepdims=True)
    return _at_length_1(np.where(seen, thumbnails - typical, np.float32(0)))


def _at_length_1(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-3))


def _evenly(places: np.ndarray, most: int) -> np.ndarray:
    """All of them, or so many evenly over them."""
    if len(places) <= most:
        return places
    chosen: np.ndarray = places[np.linspace(0, len(places) - 1, most).round().astype(int)]
    return chosen


def _grey(pixels: np.ndarray) -> np.ndarray:
    """(D,) float32 of (H, W, C), uint8 or uint16."""
    if depth_of(pixels) == 16:
        image = Image.fromarray(pixels[..., 0].astype(np.float32))
    else:
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("L")
    if max(image.size) > SIDE:
        image = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(image, np.float32).ravel()
