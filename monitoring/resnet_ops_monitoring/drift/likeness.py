"""Which perturbation a window's is most like, and when that may be said: where it is right nine times in ten, and the
window is as near to the kind in other numbers, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.drift.words import family

__all__ = [
    "SILENT",
    "TRIED_ONCE",
    "Likeness",
    "apart",
    "cosines_of",
    "margin_of",
    "most_like",
    "named",
    "reach_of",
]

Floats = NDArray[np.float64]
TRIED_ONCE = ("inverted",)
"""Kinds that have no severities and a family of their own: tried for their names alone."""
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
_CLEAR = 3.0
"""Lead from which on a kind that no trial was wrongly named is said, whatever others are taken for each other."""
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


def margin_of(kinds: NDArray[np.str_], shifted: Floats, rows: int, kind: str) -> float:
    """The least lead from which on `kind` may be said: that at which reasons are right in `_RIGHT` of the perturbations
    that get one, else SILENT; where no trial got this kind's name wrongly, that of its own trials, or `_CLEAR`.

    kinds: (R,). shifted: (R, F) of them, whitened. Each change, as a window of `_ROWS` rows shows it, is compared with
    the others three times: without itself, without its kind, and without its family. A reason is right when it is of
    the change's family, so the third time none is. `TRIED_ONCE` is left out: without itself nothing is right for it.
    rows: behind what is compared with.
    """
    graded = ~np.isin(kinds, TRIED_ONCE)
    kinds, shifted = kinds[graded], shifted[graded]
    families = np.array([family(each) for each in kinds.tolist()])
    leads, right, said = [], [], []
    for place, now in _as_windows(shifted, rows):
        cosines, itself = cosines_of(shifted, now), np.arange(len(kinds)) == place
        for out in (itself, kinds == kinds[place], families == families[place]):
            found = most_like(kinds[~out], cosines[~out])
            if found is not None and found.cosine >= _ALIKE:
                leads.append(found.lead)
                right.append(family(found.kind) == families[place])
                said.append(found.kind)
    order = np.argsort(leads)[::-1]
    share = np.cumsum(np.array(right, dtype=float)[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((share >= _RIGHT) & (np.arange(len(order)) >= _LEAST - 1))
    margin = float(np.array(leads)[order][good[-1]]) if len(good) else SILENT
    own = np.array(said) == kind
    if own.sum() >= _LEAST and np.array(right)[own].all():
        return min(margin, max(float(np.array(leads)[own].min()), _CLEAR))
    return margin


def reach_of(kinds: NDArray[np.str_], shifted: Floats, numbers: Floats, shown: Floats, rows: int) -> float:
    """How far `apart` from the named kind nine in ten perturbations lie that get a name of their family; 0: none does.

    kinds, shifted, rows: as for `margin_of`. numbers: (R, K) of each, and shown: as a window shows them. Each is
    compared with the others.
    """
    found = []
    for place, now in _as_windows(shifted, rows):
        others = np.arange(len(kinds)) != place
        like = most_like(kinds[others], cosines_of(shifted[others], now))
        if like is not None and family(like.kind) == family(str(kinds[place])):
            of = others & (kinds == like.kind)
            found.append(apart(shifted[of], numbers[of], now, shown[place]))
    return float(np.quantile(found, _RIGHT)) if found else 0.0


def apart(shifted: Floats, numbers: Floats, now: Floats, known: Floats) -> float:
    """How far a window's numbers are from those of a kind that is as strong.

    shifted, numbers: (S, F) and (S, K) of the kind's severities; between them, and from no change to the least, it goes
    straight. now, known: (F,) and (K,) of the window; it is compared with where its shift is nearest.
    """
    order = np.argsort(np.linalg.norm(shifted, axis=1))
    ends = np.concatenate([np.zeros((1, shifted.shape[1])), shifted[order]])
    values = np.concatenate([np.zeros((1, numbers.shape[1])), numbers[order]])
    steps = np.diff(ends, axis=0)
    along = ((now - ends[:-1]) * steps).sum(axis=1) / np.maximum(np.square(steps).sum(axis=1), 1e-30)
    along = np.clip(along, 0, 1)[:, None]
    nearest = int(np.square(now - ends[:-1] - along * steps).sum(axis=1).argmin())
    there = values[nearest] + along[nearest] * (values[nearest + 1] - values[nearest])
    return float(np.linalg.norm(known - there))


def _as_windows(shifted: Floats, rows: int) -> Iterator[tuple[int, Floats]]:
    """The place of each of (R, F) shifts, and the (F,) shift that a window of `_ROWS` rows shows of it."""
    rng = np.random.default_rng(_SEED)
    for place, each in enumerate(shifted):
        yield place, each + rng.normal(0, np.sqrt(1 / _ROWS + 1 / rows), len(each))


def named(found: Likeness | None, margin: float) -> str | None:
    """The kind, where it may be said."""
    return found.kind if found and found.cosine >= _ALIKE and found.lead >= margin else None
