"""Which box of an answer is on which object of an image: greedily by score, as COCO matches, without crowds."""

import numpy as np

__all__ = ["image_precision", "inside", "overlaps", "pair"]

OVERLAP = 0.5
"""Intersection over union from which on a box is on an object."""


def overlaps(boxes: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """(D, G) intersection over union of boxes (D, 4) with objects (G, 4), each left, top, right and bottom."""
    both = _shared(boxes, objects)
    either = _areas(boxes)[:, None] + _areas(objects)[None] - both
    return np.asarray(np.divide(both, either, out=np.zeros_like(both), where=either > 0))


def inside(boxes: np.ndarray, crowds: np.ndarray, same: np.ndarray | None = None) -> np.ndarray:
    """(D,) whether OVERLAP of a box (D, 4), whatever its size, lies in one of crowds (G, 4), as COCO asks of these.

    same: (D, G) which of them count for a box; None for all.
    """
    both, areas = _shared(boxes, crowds), _areas(boxes)[:, None]
    shares = np.divide(both, areas, out=np.zeros_like(both), where=areas > 0)
    return np.asarray(
        (shares if same is None else np.where(same, shares, 0)).max(axis=1, initial=0) >= OVERLAP
    )


def _shared(boxes: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """(D, G) the area in which they lie both."""
    start = np.maximum(boxes[:, None, :2], objects[None, :, :2])
    stop = np.minimum(boxes[:, None, 2:], objects[None, :, 2:])
    return np.asarray((stop - start).clip(0).prod(axis=2))


def _areas(boxes: np.ndarray) -> np.ndarray:
    """(D,) of (D, 4)."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1))


def pair(allowed: np.ndarray, least: float = OVERLAP) -> np.ndarray:
    """(D,) the object that each box is on, -1 for none. allowed: (D, G) overlaps, 0 where a pair may not be. least: the
    overlap from which on it is one.

    Boxes by falling score; each takes the object that it overlaps most, of those that are left.
    """
    free, found = allowed.copy(), np.full(len(allowed), -1)
    for place in range(len(allowed) if allowed.shape[1] else 0):
        best = int(free[place].argmax())
        if free[place, best] >= least:
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
    unasked = (found < 0) & inside(rows[:, :4], objects[:, :4], same & ~asked)
    rows, hit = rows[~unasked], found[~unasked] >= 0
    if not asked.any():
        return float(1 - rows[:, 4].max(initial=0))
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float(precision[hit].sum() / asked.sum())
