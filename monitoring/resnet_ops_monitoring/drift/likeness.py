"""Which perturbation a window's is most like, and when that may be said: where it is right nine times in ten."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.drift.words import family

__all__ = ["SILENT", "Likeness", "cosines_of", "margin_of", "most_like", "named"]

Floats = NDArray[np.float64]
SILENT = float("inf")
"""The margin of a version whose perturbations tell no reasons apart: none is named."""
_ALIKE = 0.7
"""Cosine of two shifts of the embeddings from which on they count as of one kind (docs/drift-measured.md)."""
_RIGHT = 0.9
"""Share of named reasons that must be right in the accuracy calibration."""
_ROWS = 100
"""Of the windows by which the margin is found; larger ones are clearer."""
_LEAST = 5
"""Fewer named trials than this prove no margin."""
_SEED = 3


@dataclass(frozen=True)
class Likeness:
    """The kind that shifts the embeddings most alike; the cosine of both shifts; and its lead: how many times farther
    the nearest kind of another family is, in squares of the distance between directions, 1 - cosine.

    A ratio, since a difference of cosines makes little of the step from .9 to .99, by which the direction is ten times
    as near.
    """

    kind: str
    cosine: float
    lead: float


def most_like(kinds: NDArray[np.str_], cosines: Floats) -> Likeness | None:
    """cosines: (R,) of a window's shift with that of each of the (R,) kinds; None where there are no kinds."""
    if not len(kinds):
        return None
    best = int(cosines.argmax())
    others = np.array([family(kind) != family(kinds[best]) for kind in kinds.tolist()])
    second = float(cosines[others].max()) if others.any() else -1.0
    lead = (1 - second) / max(1 - float(cosines[best]), 1e-12)
    return Likeness(str(kinds[best]), float(cosines[best]), lead)


def cosines_of(shifted: Floats, now: Floats) -> Floats:
    """(R,) of (R, F) shifts with (F,) another one; 0 where there is none."""
    lengths = np.linalg.norm(shifted, axis=1) * np.linalg.norm(now)
    return np.asarray(shifted @ now / np.maximum(lengths, 1e-30), dtype=np.float64)


def margin_of(kinds: NDArray[np.str_], shifted: Floats, rows: int) -> float:
    """The least lead at which reasons are right in `_RIGHT` of the perturbations that get one; else SILENT.

    kinds: (R,). shifted: (R, F) of them, whitened. Each change, as a window of `_ROWS` rows shows it, is compared with
    the others three times: without itself, without its kind, and without its family. A reason is right when it is of
    the change's family, so the third time none is. rows: behind what is compared with.
    """
    rng = np.random.default_rng(_SEED)
    families = np.array([family(kind) for kind in kinds.tolist()])
    leads, right = [], []
    for place in range(len(kinds)):
        now = shifted[place] + rng.normal(0, np.sqrt(1 / _ROWS + 1 / rows), shifted.shape[1])
        cosines, itself = cosines_of(shifted, now), np.arange(len(kinds)) == place
        for out in (itself, kinds == kinds[place], families == families[place]):
            found = most_like(kinds[~out], cosines[~out])
            if found is not None and found.cosine >= _ALIKE:
                leads.append(found.lead)
                right.append(family(found.kind) == families[place])
    order = np.argsort(leads)[::-1]
    share = np.cumsum(np.array(right, dtype=float)[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((share >= _RIGHT) & (np.arange(len(order)) >= _LEAST - 1))
    return float(np.array(leads)[order][good[-1]]) if len(good) else SILENT


def named(found: Likeness | None, margin: float) -> str | None:
    """The kind, where it may be said."""
    return found.kind if found and found.cosine >= _ALIKE and found.lead >= margin else None
