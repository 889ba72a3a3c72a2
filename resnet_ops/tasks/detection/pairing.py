"""Which box of an answer is on which object of an image: greedily by score, as COCO matches, without crowds."""

import numpy as np

__all__ = ["image_precision", "overlaps", "pair"]

OVERLAP = 0.5
"""Intersection over union from which on a box is on an object."""


def overlaps(boxes: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """(D, G) intersection over union of boxes (D, 4) with objects (G, 4), each left, top, right and bottom."""
    start = np.maximum(boxes[:, None, :2], objects[None, :, :2])
    stop = np.minimum(boxes[:, None, 2:], objects[None, :, 2:])
    both = (stop - start).clip(0).prod(axis=2)
    sizes = [(each[:, 2:] - each[:, :2]).clip(0).prod(axis=1) for each in (boxes, objects)]
    either = sizes[0][:, None] + sizes[1][None] - both
    return np.asarray(np.divide(both, either, out=np.zeros_like(both), where=either > 0))


def pair(allowed: np.ndarray) -> np.ndarray:
    """(D,) the object that each box is on, -1 for none. allowed: (D, G) overlaps, 0 where a pair may not be.

    Boxes by falling score; each takes the object that it overlaps most, of those that are left.
    """
    free, found = allowed.copy(), np.full(len(allowed), -1)
    for place in range(len(allowed) if allowed.shape[1] else 0):
        best = int(free[place].argmax())
        if free[place, best] >= OVERLAP:
            found[place] = best
            free[:, best] = 0
    return found


def image_precision(rows: np.ndarray, target: np.ndarray) -> float:
    """A score in [0, 1] of one image, whatever the threshold: average precision at OVERLAP over all of its boxes.

    The sum of the precisions at which objects were found, by objects. An image without objects has 1 less the highest
    score of a box. rows: (D, 6) as a detector answers, by falling score. target: (M, 6) as prepared data have it.
    """
    rows, objects = rows[rows[:, 5] > 0], target[target[:, 4] > 0]
    near = overlaps(rows[:, :4], objects[:, :4])
    asked = objects[:, 5] == 0
    same = rows[:, 5, None] == objects[None, :, 4]
    found = pair(np.where(same & asked, near, 0))
    unasked = (found < 0) & (np.where(same & ~asked, near, 0).max(axis=1, initial=0) >= OVERLAP)
    rows, hit = rows[~unasked], found[~unasked] >= 0
    if not asked.any():
        return float(1 - rows[:, 4].max(initial=0))
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float(precision[hit].sum() / asked.sum())
