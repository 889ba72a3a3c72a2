"""Production sees boxes by how many there are, how large, how sure the detector is of them, and of which classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resnet_ops.tasks.task import CONFIDENCE

__all__ = ["NOTHING", "BoxesSeen", "box_numbers", "box_scalars"]

NOTHING = "(nothing)"
"""The kind of an image in which no box was found; the others are the class of most of its boxes."""


@dataclass(frozen=True, eq=False)
class BoxesSeen:
    """numbers: (N, M) float32 in the order of `box_scalars`. kinds: (N,) places in (NOTHING, *classes)."""

    numbers: np.ndarray
    kinds: np.ndarray


def box_scalars(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of an image's numbers."""
    return ("boxes", "mean area", CONFIDENCE, *(f"share of {name}" for name in classes))


def box_numbers(
    boxes: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    area: float,
    classes: int,
) -> BoxesSeen:
    """The numbers of N images, which each have (n, 4) boxes, (n,) scores in [0, 1] and (n,) places of classes.

    Boxes are x1, y1, x2, y2 in pixels. area: of an image in pixels, so that the mean area is a share of it. All numbers
    are 0 where there is no box. Of classes with as many boxes the first is the kind. Raises ValueError where the parts
    do not fit together.
    """
    numbers = np.zeros((len(boxes), 3 + classes), np.float32)
    kinds = np.zeros(len(boxes), np.int64)
    for place, (found, sure, label) in enumerate(zip(boxes, scores, labels, strict=True)):
        if found.shape != (len(sure), 4) or len(label) != len(sure):
            raise ValueError(
                f"image {place} has {found.shape} boxes, {len(sure)} scores and {len(label)} labels"
            )
        if not len(found):
            continue
        counts = np.bincount(label, minlength=classes)
        areas = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
        numbers[place] = [len(found), areas.mean() / area, sure.mean(), *(counts / len(found))]
        kinds[place] = 1 + counts.argmax()
    return BoxesSeen(numbers, kinds)
