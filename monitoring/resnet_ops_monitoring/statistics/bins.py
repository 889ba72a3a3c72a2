"""Columns in bins: 256 for each column, at the reference's quantiles, so that counts of windows can be added."""

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.inference_log.frames import STATISTICS

__all__ = ["BINS", "column_names", "count", "edges_of", "mean_of"]

BINS = 256
"""A Kolmogorov-Smirnov distance at their edges misses the exact one by at most 1/256."""
_UNIT = 2**20
"""Sums are whole numbers of 1/_UNIT: those add up to the same in any order, floats do not."""
_LARGEST = 2.0**16
"""A value beyond counts as this in a sum: the sums of 10^8 such rows still fit into 64 bits."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def column_names(classes: tuple[str, ...], scalars: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What is counted in bins, in this order: image statistics, a probability for each class or else the task's
    scalars, and how sure the model is.
    """
    numbers = scalars or tuple(f"probability of {name}" for name in classes)
    return (*STATISTICS, *numbers, "certainty" if scalars else "negative entropy")


def edges_of(values: Floats | NDArray[np.float32]) -> Floats:
    """(255,) upper edges of the bins, the last bin has none; ascending. values: (n,), those not finite are left out.

    They are quantiles. Where one value fills several bins, the first of its edges goes just below it, so that a window
    of slightly smaller values is told apart from it.
    """
    finite = np.sort(values[np.isfinite(values)].astype(np.float64))
    if not len(finite):
        return np.zeros(BINS - 1)
    places = np.ceil(np.arange(1, BINS) * len(finite) / BINS).astype(np.int64) - 1
    edges = finite[np.maximum(places, 0)]
    repeated = np.append(edges[1:] == edges[:-1], False) & np.append(True, edges[1:] != edges[:-1])
    edges[repeated] = np.nextafter(edges[repeated], -np.inf)
    return np.asarray(edges, dtype=np.float64)


def count(values: Floats | NDArray[np.float32], edges: Floats) -> tuple[Counts, int]:
    """(256,) how many of `values` fall into each bin, and their sum; those that are not finite are in neither.

    The sum is a whole number of units, the same in any order and any parts.
    """
    ordered = np.sort(values)  # sorting is vectorised: five times faster than a search for each
    if not np.isfinite(ordered[:1]).all() or not np.isfinite(ordered[-1:]).all():  # they stand at the ends
        ordered = ordered[np.isfinite(ordered)]
    exact: Floats = ordered.astype(np.float64)
    below = np.searchsorted(exact, edges, side="right")
    counts = np.diff(below, prepend=0, append=len(exact)).astype(np.int64)
    units = np.multiply(np.clip(exact, -_LARGEST, _LARGEST, out=exact), _UNIT, out=exact)
    return counts, int(np.rint(units, out=units).astype(np.int64).sum())


def mean_of(total: int, n: int) -> float:
    """The mean of n values with this sum by `count`."""
    return total / _UNIT / n
