"""Confidence intervals."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

__all__ = [
    "clustered",
    "effective_groups",
    "lowest_interval",
    "mean_interval",
    "order_statistic",
    "score_interval",
    "studentised_bootstrap",
    "wilson",
]

BLOCK = 2_000_000
"""Values that are resampled at once, to bound the memory."""


def wilson(successes: int, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), fractions in [0, 1].

    successes of n trials; n = 0 gives (0, 1). Raises ValueError when successes is not within 0..n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes is {successes}, but must be within 0 and n = {n}")
    if n == 0:
        return 0.0, 1.0
    return score_interval(successes / n, n, confidence)


def score_interval(p: float, n: float, confidence: float) -> tuple[float, float]:
    """Wilson's for a share p that is as uncertain as one of n images, whole or not."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * ((p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5) / (1 + z * z / n)
    low = 0.0 if p == 0 else max(0.0, centre - half)
    high = 1.0 if p == 1 else min(1.0, centre + half)
    return float(low), float(high)


def effective_groups(groups: np.ndarray) -> float:
    """As many equal groups as are worth these (n,): n^2 by the sum of squared sizes (Kish 1965)."""
    sizes = np.unique(groups, return_counts=True)[1]
    return float(len(groups)) ** 2 / float(sizes @ sizes)


def clustered(right: np.ndarray, groups: np.ndarray, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a proportion of images that come in groups, such as several of one patient.

    right: (n,) bool; groups: (n,) which group each is of. The variance is that of the ratio of group totals; as many
    single images as would be as uncertain stand in for n (Korn and Graubard 1998), never more than n, and fewer by
    Student's quantile for the effective number of groups. A group as large as that of a usual image that is all right,
    and one that is all wrong, are added for the variance, so that groups without a mistake are not taken for certainty;
    and no mistake brings an end beyond that of a flawless sample.
    """
    _, of, sizes = np.unique(groups, return_inverse=True, return_counts=True)

    def interval(counted: np.ndarray) -> tuple[float, float]:
        return score_interval(
            float(counted.sum() / len(right)), _images(counted, sizes, confidence), confidence
        )

    low, high = interval(np.bincount(of, weights=right, minlength=len(sizes)))
    return min(low, interval(sizes)[0]), max(high, interval(np.zeros(len(sizes)))[1])


def _images(counted: np.ndarray, sizes: np.ndarray, confidence: float) -> float:
    """How many single images are as uncertain as groups of these sizes with so many right ones."""
    from scipy.stats import t

    n, usual = sizes.sum(), float(sizes @ sizes) / sizes.sum()
    counted, sizes = np.append(counted, [usual, 0.0]), np.append(sizes, [usual, usual])
    share, many = counted.sum() / sizes.sum(), len(sizes)
    misfit = counted - share * sizes
    variance = many / (many - 1) * float(misfit @ misfit) / sizes.sum() ** 2
    freedom = sizes.sum() ** 2 / float(sizes @ sizes) - 1
    shorter = NormalDist().inv_cdf((1 + confidence) / 2) / float(t.ppf((1 + confidence) / 2, freedom))
    return float(min(n, share * (1 - share) / variance) * shorter**2)


def mean_interval(values: np.ndarray, confidence: float, lowest: float = 0.0) -> tuple[float, float]:
    """Wilson's interval of a mean that lies within 0 and 1, at the effective number of its values.

    values: (n,) one number an image, such as half its Brier score. As many coin tosses as would be as uncertain as
    these values stand in for n (the design effect of Kish 1965; with Wilson's interval: Korn and Graubard 1998).
    The spread is estimated with the value `lowest` and a 1 added, so that a sample without a mistake is not taken for
    certainty. A value may lie outside of 0 and 1, as those of linearised statistics do, where the mean does not.
    """
    ends = np.concatenate([values, [lowest, 1.0]])
    mean, share = np.clip([values.mean(), ends.mean()], [0, 1e-9], [1, 1 - 1e-9])
    return score_interval(float(mean), float(len(values) * share * (1 - share) / ends.var()), confidence)


def studentised_bootstrap(
    values: np.ndarray, confidence: float, draws: int, seed: int
) -> tuple[float, float]:
    """Bootstrap-t interval of a mean (Efron 1982; Hall 1988), for skewed values without an upper end.

    values: (n,) one number an image, not all equal. The same seed gives the same interval.
    """
    rng = np.random.default_rng(seed)
    n, mean, error = len(values), values.mean(), values.std(ddof=1)
    distances: list[np.ndarray] = []
    per_block = max(1, BLOCK // n)
    for start in range(0, draws, per_block):
        drawn = values[rng.integers(0, n, (min(per_block, draws - start), n))]
        spread = np.maximum(drawn.std(axis=1, ddof=1), np.finfo(float).tiny)
        distances.append((drawn.mean(axis=1) - mean) / spread)
    tail = (1 - confidence) / 2
    below, above = np.quantile(np.concatenate(distances), [tail, 1 - tail])
    return float(mean - above * error), float(mean - below * error)


def lowest_interval(counts: Sequence[tuple[int, int]], confidence: float) -> tuple[float, float]:
    """Interval of the lowest of several proportions, which may share images.

    counts: (successes, n) of each. Wilson's intervals at a level that holds for all at once (Bonferroni): the interval
    of the one that came out lowest would forget that it was picked for being low.
    """
    each = 1 - (1 - confidence) / len(counts)
    intervals = [wilson(successes, n, each) for successes, n in counts]
    return min(low for low, _ in intervals), min(high for _, high in intervals)


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
