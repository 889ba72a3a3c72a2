"""Columns in bins: 256 for each column, at the reference's quantiles, so that counts of windows can be added."""

import numpy as np
from numpy.typing import NDArray

from resnet_ops_monitoring.frames import STATISTICS

__all__ = ["BINS", "column_names", "count", "edges_of", "exact_sum", "mean_of", "negative_entropy"]

BINS = 256
"""A Kolmogorov-Smirnov distance at their edges misses the exact one by at most 1/256."""
_UNIT = 2**20
"""Sums are whole numbers of 1/_UNIT: those add up to the same in any order, floats do not."""
_LARGEST = 2.0**16
"""A value beyond counts as this in a sum: the sums of 10^8 such rows still fit into 64 bits."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def column_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """What is counted in bins, in this order: image statistics, a probability for each class, negative entropy."""
    return (*STATISTICS, *(f"probability of {name}" for name in classes), "negative entropy")


def negative_entropy(probabilities: NDArray[np.float32]) -> Floats:
    """(n,) in [-log K, 0] of (n, K) softmax rows: how sure the model is."""
    p = probabilities.astype(np.float64)
    return np.asarray((p * np.log(np.maximum(p, 1e-30))).sum(axis=1), dtype=np.float64)


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


def count(values: Floats | NDArray[np.float32], edges: Floats) -> Counts:
    """(256,) how many of `values` fall into each bin; those that are not finite into none."""
    ordered = np.sort(
        values[np.isfinite(values)]
    )  # sorting is vectorised: five times faster than a search for each
    below = np.searchsorted(ordered.astype(np.float64), edges, side="right")
    return np.diff(below, prepend=0, append=len(ordered)).astype(np.int64)


def exact_sum(values: Floats | NDArray[np.float32]) -> int:
    """The sum of the finite `values` as a whole number of units, the same in any order and any parts."""
    finite = np.clip(values[np.isfinite(values)].astype(np.float64), -_LARGEST, _LARGEST)
    return int(np.rint(finite * _UNIT).astype(np.int64).sum())


def mean_of(total: int, n: int) -> float:
    """The mean of n values with this `exact_sum`."""
    return total / _UNIT / n
