"""Boundary F1: how near the outlines in an answer are to those in its mask (Csurka et al. 2013)."""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from resnet_ops.measurement import Measurement
from resnet_ops.tasks.measuring.overlap import mean_of_ratios
from resnet_ops.tasks.task import IGNORED

__all__ = ["boundary_scores", "measure_boundaries", "tolerance_of"]

TOLERANCE = 0.0075
"""Share of an image's diagonal, as in Csurka et al. 2013. No setting: scores by several could not be compared."""


def tolerance_of(height: int, width: int) -> float:
    """Pixels up to which outlines of an image of this size are apart and yet agree: TOLERANCE, but at least one."""
    return float(max(1.0, TOLERANCE * np.hypot(height, width)))


def boundary_scores(predicted: np.ndarray, masks: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) boundary F1 of each image and class, and (N, K) bool whether the mask has a boundary of it.

    predicted, masks: (N, H, W) class indices. A class's boundary are its pixels beside (not diagonally) one of another
    class; the frame of the image is none. Precision is the share of the answer's boundary within `tolerance_of` of the
    mask's, by the distance between pixels' centres, recall that of the mask's within it of the answer's, and F1 their
    harmonic mean; not a number where neither has a boundary. An IGNORED pixel is of no class, so it bounds none; pixels
    within the tolerance of one are not counted, since what they should meet may be hidden. A share of no pixel is 1.
    """
    scores = np.full((len(masks), classes), np.nan)
    bounded = np.zeros((len(masks), classes), bool)
    for place, (answer, mask) in enumerate(zip(predicted, masks, strict=True)):
        tolerance = tolerance_of(*mask.shape)
        counted = mask != IGNORED
        hidden = cKDTree(np.argwhere(~counted & _edges(counted, np.ones_like(counted))))
        said, true = (_Outlines(each, counted, hidden, tolerance) for each in (answer, mask))
        bounded[place, np.unique(true.kinds[true.counts])] = True
        for kind in np.unique(np.concatenate([each.kinds[each.counts] for each in (said, true)])):
            precision, recall = said.share_near(true, kind), true.share_near(said, kind)
            both = precision + recall
            scores[place, kind] = 2 * precision * recall / both if both else 0.0
    return scores, bounded


class _Outlines:
    """The boundary pixels of a mask (H, W): where they are, of which class, and which of them are counted."""

    def __init__(self, mask: np.ndarray, counted: np.ndarray, hidden: cKDTree, tolerance: float) -> None:
        self.places = np.argwhere(_edges(mask, counted))
        self.kinds = mask[tuple(self.places.T)]
        self.counts = hidden.query(self.places)[0] > tolerance
        self.tolerance = tolerance

    def share_near(self, others: "_Outlines", kind: int) -> float:
        """Of the pixels of a class that are counted, the share with one of `others` near."""
        asked = self.places[(self.kinds == kind) & self.counts]
        distances = cKDTree(others.places[others.kinds == kind]).query(asked)[0]
        return float((distances <= self.tolerance).mean()) if len(asked) else 1.0


def _edges(mask: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """(H, W) bool, which pixels have a neighbour of another class; both must be `counted`."""
    found = np.zeros(mask.shape, bool)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (mask[here] != mask[there]) & counted[here] & counted[there]
        found[here] |= differ
        found[there] |= differ
    return found


def measure_boundaries(
    scores: np.ndarray,
    bounded: np.ndarray,
    classes: tuple[str, ...],
    split: str,
    confidence: float,
    seed: int,
) -> dict[str, Measurement]:
    """`<split>.boundary_f1.<class>`, the mean over images with one, and `<split>.boundary_f1`, that over classes.

    scores, bounded: of `boundary_scores`. Intervals as in `mean_of_ratios`. A class that no mask has a boundary of is
    left out, so that nothing is measured of masks whose boundaries are all ignored.
    """
    there = bounded.any(axis=0)
    below = np.isfinite(scores) & there
    above, seen = np.where(below, scores, 0.0), bounded.sum(axis=0)
    found: dict[str, Measurement] = {}
    for name, place in [("", None), *((f".{name}", place) for place, name in enumerate(classes))]:
        rests_on = below if place is None else below[:, [place]]
        if rests_on.any():
            measured = mean_of_ratios(above, below.astype(float), seen, confidence, seed, place)
            found[f"{split}.boundary_f1{name}"] = replace(measured, n=int(rests_on.any(axis=1).sum()))
    return found
