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
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


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


def order_statistic(values: np.ndarray, quantile: float, confidence: float) -> tuple[float, float] | None:
    """Distribution-free interval of a quantile from the order statistics (David & Nagaraja 2003, section 7.1).

    values: (n,) observations; quantile within 0 and 1, neither. The ranks come from the exact binomial
    distribution. None where n is too small for this confidence: at 0.95 the 0.5 quantile needs 6 observations,
    the 0.95 quantile 72, and the 0.99 quantile 368.
    """
    ordered = np.sort(values)
    n = len(ordered)
    below = np.arange(n + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_share = log_factorial[n] - log_factorial[below] - log_factorial[n - below]
    share = np.exp(log_share + below * np.log(quantile) + (n - below) * np.log1p(-quantile))
    at_most = np.cumsum(share)
    tail = (1 - confidence) / 2
    low_rank = int(np.searchsorted(at_most, tail, side="right")) - 1
    high_rank = int(np.searchsorted(at_most, 1 - tail, side="left"))
    if low_rank < 0 or high_rank >= n:
        return None
    return float(ordered[low_rank]), float(ordered[high_rank])
