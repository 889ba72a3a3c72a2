"""Boxes in prepared data: one array for all images.

Targets are (N, M, 6) float32, where M is the most objects of an image: left, top, right and bottom in pixels of the
prepared image, class from 1, and 1 where the object does not count, found or not. Rows of class 0 are none.
"""

from collections.abc import Sequence

import numpy as np

from resnet_ops.tasks.detection.boxes import BoxedImage

__all__ = ["THINNEST", "VISIBLE", "as_targets"]

VISIBLE = 0.25
"""Share of an object's box that must be left where it is cut, for the object to be asked for."""


THINNEST = 0.1
"""Pixels of an object's box that must be left at each side."""


def as_targets(images: Sequence[BoxedImage]) -> np.ndarray:
    """(N, M, 6). Objects are in one order, so that equal ones are equal bytes."""
    targets = np.zeros(
        (len(images), max((len(each.boxes) for each in images), default=1) or 1, 6), np.float32
    )
    for target, image in zip(targets, images, strict=True):
        rows = np.column_stack([image.boxes, image.classes + 1, image.crowd]).astype(np.float32)
        target[: len(rows)] = rows[np.lexsort(rows.T)]
    return targets
