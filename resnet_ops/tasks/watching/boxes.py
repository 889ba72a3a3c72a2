"""Production sees boxes by how many there are, how large, how sure the detector is of them, and of which classes."""

from dataclasses import dataclass

import numpy as np

from resnet_ops.tasks.task import CONFIDENCE

__all__ = ["COUNTED", "BoxesSeen", "box_numbers", "box_scalars"]

COUNTED = 0.5
"""The score from which boxes count where no evidence says it: a detector gives many that nobody would count."""


@dataclass(frozen=True, eq=False)
class BoxesSeen:
    """numbers: (N, M) float32 in the order of `box_scalars`. kinds: (N,) the class of most boxes, 0 without any."""

    numbers: np.ndarray
    kinds: np.ndarray


def box_scalars(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of an image's numbers. classes: the first stands for an image without objects."""
    return ("boxes", "mean area", CONFIDENCE, *(f"share of {name}" for name in classes[1:]))


def box_numbers(rows: np.ndarray, side: int, classes: int, threshold: float) -> BoxesSeen:
    """The numbers of N images whose boxes are (N, D, 6): left, top, right and bottom in pixels, score, class.

    Class 0 is no box. side: of the images in pixels, so that the mean area is a share of them. The share of a class is
    of the boxes. threshold: the score from which a box counts. All numbers are 0 where none counts, and not numbers
    where a row is not finite.
    """
    corners, scores = rows[..., :4].astype(np.float64), rows[..., 4].astype(np.float64)
    kinds = rows[..., 5]
    counted = (kinds > 0) & (scores >= threshold)
    many = counted.sum(axis=1)
    of_class = np.stack([(counted & (kinds == each)).sum(axis=1) for each in range(1, classes)], axis=1)
    with np.errstate(invalid="ignore"):
        areas = (corners[..., 2] - corners[..., 0]) * (corners[..., 3] - corners[..., 1]) / side**2
        sums = np.column_stack([(areas * counted).sum(axis=1), (scores * counted).sum(axis=1), of_class])
    numbers = np.column_stack([many, sums / np.maximum(many, 1)[:, None]]).astype(np.float32)
    numbers[~np.isfinite(rows).all(axis=(1, 2))] = np.nan
    return BoxesSeen(numbers, np.where(many > 0, of_class.argmax(axis=1) + 1, 0))
