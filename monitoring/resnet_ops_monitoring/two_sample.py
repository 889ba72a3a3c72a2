"""Two-sample tests that hold their level at any size: Kolmogorov-Smirnov, predicted classes, MMD."""

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "binned_kolmogorov_smirnov",
    "class_shift",
    "embedding_distances",
    "kolmogorov_smirnov",
    "mean_discrepancy",
]

Floats = NDArray[np.float32] | NDArray[np.float64]


def kolmogorov_smirnov(reference: Floats, window: Floats) -> tuple[float, float]:
    """Distance in [0, 1] of two samples' distribution functions, and its p value.

    reference: (m,), window: (n,), finite. The p value is Kolmogorov's limit with Stephens' (1970) correction for
    small samples; with ties it errs on the side of silence.
    """
    left, right = np.sort(reference), np.sort(window)
    points = np.concatenate([left, right])
    steps = np.searchsorted(left, points, "right") / len(left) - np.searchsorted(
        right, points, "right"
    ) / len(right)
    distance = float(np.abs(steps).max())
    root = np.sqrt(len(left) * len(right) / (len(left) + len(right)))
    return distance, float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))


def binned_kolmogorov_smirnov(reference: NDArray[np.int64], window: NDArray[np.int64]) -> tuple[float, float]:
    """The same from counts in shared bins, (B,) each: the distance at the bins' edges."""
    m, n = int(reference.sum()), int(window.sum())
    distance = float(np.abs(reference.cumsum() / m - window.cumsum() / n).max())
    root = np.sqrt(m * n / (m + n))
    return distance, float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))


def class_shift(
    reference: NDArray[np.int64], window: NDArray[np.int64], permutations: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Chi-square of two samples' class counts, its p value, and the total variation distance in [0, 1].

    reference, window: (K,) counts. The p value is a permutation test: under no change the window's counts are
    a draw without replacement from both together, so rare and missing classes are no special case.
    """
    pooled = reference + window
    m, n = int(reference.sum()), int(window.sum())
    expected = pooled * (n / (m + n))
    scale = np.where(pooled > 0, expected * (m / (m + n)), 1.0)

    def statistic(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray((((counts - expected) ** 2) / scale).sum(axis=-1), dtype=np.float64)

    observed = float(statistic(window))
    drawn = rng.multivariate_hypergeometric(pooled, n, size=permutations, method="marginals")
    as_far = int((statistic(drawn) >= observed * (1 - 1e-12)).sum())
    shift = float(np.abs(reference / m - window / n).sum() / 2)
    return observed, (1 + as_far) / (1 + permutations), shift


def mean_discrepancy(
    reference: Floats, window: Floats, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Unbiased squared maximum mean discrepancy (Gretton et al. 2012) and its permutation p value.

    reference: (m, F), window: (n, F), finite. The kernel is Gaussian with the median distance of all rows as its
    width. With the kernel centred, the statistic of a relabelling is a quadratic form in its 0/1 vector, so that
    all relabellings are one matrix product.
    """
    m, n = len(reference), len(window)
    rows = np.concatenate([window, reference]).astype(np.float32)
    squares = _squared_distances(rows)
    width = float(np.median(squares[np.triu_indices(m + n, k=1)]))
    kernel = np.exp(squares / np.float32(-(width if width > 0 else 1.0)))
    centred = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
    labels = np.zeros((m + n, permutations + 1), dtype=np.float32)
    labels[:n] = 1
    labels[:, 1:] = rng.permuted(labels[:, 1:], axis=0)
    forms = np.einsum("ij,ij->j", labels, centred @ labels, dtype=np.float64)
    biased = (1 / m + 1 / n) ** 2 * forms
    as_far = int((biased[1:] >= biased[0] * (1 - 1e-6)).sum())
    inner = kernel[:n, :n].sum(dtype=np.float64) - n, kernel[n:, n:].sum(dtype=np.float64) - m
    unbiased = inner[0] / (n * (n - 1)) + inner[1] / (m * (m - 1)) - 2 * kernel[:n, n:].mean(dtype=np.float64)
    return float(unbiased), (1 + as_far) / (1 + permutations)


def _squared_distances(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = rows - rows.mean(axis=0)
    lengths = np.einsum("ij,ij->i", centred, centred)
    squares = lengths[:, None] + lengths[None, :] - 2 * (centred @ centred.T)
    return np.asarray(np.maximum(squares, 0), dtype=np.float32)


def embedding_distances(reference: Floats, window: Floats, neighbours: int = 5) -> NDArray[np.float32]:
    """(n,) mean distance of each window row to its nearest reference rows: how new an image is to the model."""
    count = min(neighbours, len(reference))
    squares = _squared_distances(np.concatenate([window, reference]).astype(np.float32))
    near = np.partition(squares[: len(window), len(window) :], count - 1, axis=1)[:, :count]
    return np.asarray(np.sqrt(near).mean(axis=1), dtype=np.float32)
