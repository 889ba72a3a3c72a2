"""Which perturbation a window's is most like, and when that may be said: where it is right nine times in ten."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.drift.words import family

__all__ = ["SILENT", "Likeness", "margin_of", "most_like", "named"]

Floats = NDArray[np.float64]
SILENT = float("inf")
"""The margin of a reference whose accuracy calibration tells no reasons apart: none is named."""
_ALIKE = 0.7
"""Cosine of two shifts of the embeddings from which on they count as of one kind (docs/drift-measured.md)."""
_RIGHT = 0.9
"""Share of named reasons that must be right in the accuracy calibration."""
_ROWS = 100
"""Of the windows by which the margin is found; larger ones are clearer."""
_LEAST = 5
"""Fewer named trials than this prove no margin."""


@dataclass(frozen=True)
class Likeness:
    """The kind that shifts the embeddings most alike; the cosine of both shifts; its lead over other families."""

    kind: str
    cosine: float
    margin: float


def most_like(kinds: NDArray[np.str_], shifted: Floats, now: Floats) -> Likeness | None:
    """kinds: (R,). shifted: (R, F) of them, now: (F,) of a window, both whitened; None where there are no kinds."""
    if not len(kinds):
        return None
    lengths = np.linalg.norm(shifted, axis=1) * np.linalg.norm(now)
    cosines = shifted @ now / np.maximum(lengths, 1e-30)
    best = int(cosines.argmax())
    others = np.array([family(kind) != family(kinds[best]) for kind in kinds.tolist()])
    second = float(cosines[others].max()) if others.any() else -1.0
    return Likeness(str(kinds[best]), float(cosines[best]), float(cosines[best]) - second)


def margin_of(kinds: NDArray[np.str_], shifted: Floats, rows: int, seed: int) -> float:
    """The least margin at which reasons are right in `_RIGHT` of the perturbations that get one; else SILENT.

    Each change, as a window of `_ROWS` rows shows it, is compared with the others three times: without itself, without
    its kind, and without its family. A reason is right when it is of the change's family, so the third time none is.
    rows: behind what is compared with.
    """
    rng = np.random.default_rng((seed, 3))
    families = np.array([family(kind) for kind in kinds.tolist()])
    margins, right = [], []
    for place in range(len(kinds)):
        now = shifted[place] + rng.normal(0, np.sqrt(1 / _ROWS + 1 / rows), shifted.shape[1])
        itself = np.arange(len(kinds)) == place
        for out in (itself, kinds == kinds[place], families == families[place]):
            found = most_like(kinds[~out], shifted[~out], now)
            if found is not None and found.cosine >= _ALIKE:
                margins.append(found.margin)
                right.append(family(found.kind) == families[place])
    order = np.argsort(margins)[::-1]
    share = np.cumsum(np.array(right, dtype=float)[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((share >= _RIGHT) & (np.arange(len(order)) >= _LEAST - 1))
    return float(np.array(margins)[order][good[-1]]) if len(good) else SILENT


def named(found: Likeness | None, margin: float) -> str | None:
    """The kind, where it may be said."""
    return found.kind if found and found.cosine >= _ALIKE and found.margin >= margin else None
