"""Confidence intervals."""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

__all__ = ["bootstrap", "order_statistic", "wilson"]


def wilson(successes: int, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), fractions in [0, 1].

    successes of n trials; n = 0 gives (0, 1). Raises ValueError when successes is not within 0..n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes is {successes}, but must be within 0 and n = {n}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * ((p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(
    statistic: Callable[[np.ndarray], float], n: int, confidence: float, draws: int, seed: int
) -> tuple[float, float]:
    """Percentile bootstrap (Efron 1979) of a statistic of resampled row indices.

    statistic: takes (n,) row indices and gives a number. The same seed gives the same interval.
    """
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(0, n, n)) for _ in range(draws)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def order_statistic(values: np.ndarray, quantile: float, confidence: float) -> tuple[float, float]:
    """Distribution-free interval of a quantile from the order statistics (normal approximation of the ranks).

    values: (n,) observations. Where n is too small for an upper or lower rank, the extreme value stands in.
    """
    ordered = np.sort(values)
    n = len(ordered)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    half = z * (n * quantile * (1 - quantile)) ** 0.5
    low_rank = int(np.floor(n * quantile - half))
    high_rank = int(np.ceil(n * quantile + half))
    return float(ordered[max(low_rank, 0)]), float(ordered[min(high_rank, n - 1)])
