"""Boxes around objects, as everything here holds them."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["BoxedImage", "Labels"]


@dataclass(frozen=True)
class BoxedImage:
    """One image and its M objects; M = 0 is an image that shows that nothing is there."""

    id: str
    """By which detections name it: a COCO id, else the file's name."""
    file: str
    width: int
    height: int
    boxes: np.ndarray
    """(M, 4) float64, left, top, right and bottom in pixels."""
    classes: np.ndarray
    """(M,) class indices."""
    crowd: np.ndarray
    """(M,) bool: a group, or an object that is too hard to see; found or not, it does not count."""
    areas: np.ndarray
    """(M,) float64 in square pixels, of the object where it is stated, else of its box."""


@dataclass(frozen=True)
class Labels:
    """N images with their objects."""

    classes: tuple[str, ...]
    class_ids: dict[str, int]
    """What a file of detections may write for a class (its name, or its number if it has one) -> its index."""
    images: tuple[BoxedImage, ...]
    notes: tuple[str, ...]
    """What a person should know of how they were read."""
    faults: tuple[str, ...] = ()
    """What was wrong, and was dropped or clipped: one line each."""

    @cached_property
    def _known(self) -> str:
        return hashlib.sha256(json.dumps(sorted(self.classes)).encode()).hexdigest()

    def described(self, place: int) -> str:
        """All that is asked of an image, the same text whatever format said it and in whatever order.

        With what there is to find, of which a false alarm can be, also where no object of it is.
        """
        image = self.images[place]
        columns = (image.classes, image.boxes, image.crowd, image.areas)
        objects = [
            [self.classes[kind], *box, crowd, area]
            for kind, box, crowd, area in zip(*(column.tolist() for column in columns), strict=True)
        ]
        return json.dumps([self._known, image.width, image.height, sorted(objects)])
