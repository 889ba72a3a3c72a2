"""Two-sample tests that hold their level at any size: columns, predicted classes, softmax rows, embeddings."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special, stats

__all__ = [
    "Whitening",
    "centre_shift",
    "class_shift",
    "copies",
    "copies_shift",
    "embedding_distances",
    "farthest_relabelled",
    "kolmogorov_smirnov",
    "kolmogorov_smirnov_counts",
    "number_shifts",
    "probability_shift",
]

Floats = NDArray[np.float32] | NDArray[np.float64]
WIDTH = 0.2
"""Of the kernel: narrow enough that a model that is a little less sure of many rows is seen."""
SAME = 1e-3
"""Standard deviations by which no number of two embeddings of one image differs."""
FEATURES = 64
"""Random frequencies, a cosine and a sine each."""


def kolmogorov_smirnov(reference: Floats, window: Floats) -> tuple[float, float]:
    """Distance in [0, 1] of two samples' distribution functions, and its p value.

    reference: (m,), window: (n,), finite. The p value is Kolmogorov's limit with Stephens' (1970) correction for
    small samples; with ties it errs on the side of silence.
    """
    values = np.unique(np.concatenate([reference, window]))
    known, now = (
        np.bincount(np.searchsorted(values, each), minlength=len(values)) for each in (reference, window)
    )
    return kolmogorov_smirnov_counts(known, now)


def kolmogorov_smirnov_counts(
    reference: NDArray[np.int64],
    window: NDArray[np.int64],
    reference_worth: float = 1.0,
    window_worth: float = 1.0,
) -> tuple[float, float]:
    """The same from counts in shared bins, (B,) each: the distance at the bins' edges.

    The worths: how many independent values each is worth, in (0, 1], where values come in groups that are alike.
    """
    m, n = float(reference.sum()), float(window.sum())
    distance = float(np.abs(reference.cumsum() / m - window.cumsum() / n).max())
    m, n = m * reference_worth, n * window_worth
    root = np.sqrt(m * n / (m + n))
    return distance, float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))


def class_shift(
    reference: NDArray[np.int64], window: NDArray[np.int64], permutations: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Largest deviance of one class in two samples' counts, its p value, and the total variation distance in [0, 1].

    reference, window: (K,) counts. A class's deviance is twice the log likelihood ratio of two Poisson rates against
    one. The largest, and not the sum over classes that chi-square is: a kind of image that stays away or is new shifts
    one class, and what shifts all a little shifts the probabilities too. The p value is a permutation test: under no
    change the window's counts are a draw without replacement from both together, so rare and missing classes are no
    special case.
    """
    pooled = reference + window
    m, n = int(reference.sum()), int(window.sum())
    expected = pooled * (n / (m + n)), pooled * (m / (m + n))

    def statistic(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = zip((counts, pooled - counts), expected, strict=True)
        deviances = 2 * sum(special.rel_entr(seen, due) for seen, due in parts)
        return np.asarray(deviances.max(axis=-1), dtype=np.float64)

    observed = float(statistic(window))
    drawn = rng.multivariate_hypergeometric(pooled, n, size=permutations, method="marginals")
    as_far = int((statistic(drawn) >= observed * (1 - 1e-12)).sum())
    shift = float(np.abs(reference / m - window / n).sum() / 2)
    return observed, (1 + as_far) / (1 + permutations), shift


def probability_shift(
    reference: Floats, window: Floats, permutations: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Squared maximum mean discrepancy of two samples' softmax rows, its permutation p value, and the shift.

    reference: (m, K), window: (n, K) softmax rows. The kernel is Gaussian in the square roots (Hellinger's distance):
    unlike for ranks, a probability that goes from .001 to .003 is next to nothing. It is approximated by random
    features (Rahimi and Recht 2007) that do not depend on who is who, so the test keeps its level. The shift is the
    total variation distance of the mean rows, in [0, 1].
    """
    n = len(window)
    rows = np.concatenate([window, reference]).astype(np.float64)
    statistic, p_value = _discrepancy(_roots(rows), n, permutations, rng)
    shift = float(np.abs(rows[:n].mean(axis=0) - rows[n:].mean(axis=0)).sum() / 2)
    return statistic, p_value, shift


def number_shifts(
    reference: Floats, window: Floats, permutations: int, rng: np.random.Generator
) -> tuple[float, float, NDArray[np.float64]]:
    """The same of rows of numbers in units of their own: its permutation p value, and (M,) how far each is shifted.

    reference: (m, M), window: (n, M). Numbers are compared by their ranks among both samples together, which do not
    depend on who is who either, so that areas, counts and shares weigh alike. A shift is Cliff's delta (1993), in
    [-1, 1]: how much more often a number of the window is above one of the reference than below it.
    """
    n = len(window)
    ranks = _ranks(np.concatenate([window, reference]))
    statistic, p_value = _discrepancy(ranks, n, permutations, rng)
    return statistic, p_value, 2 * (ranks[:n].mean(axis=0) - ranks[n:].mean(axis=0))


def farthest_relabelled(
    rows: Floats, n: int, far: int, permutations: int, rng: np.random.Generator, *, ranked: bool
) -> NDArray[np.bool_]:
    """(far, N) which of (N, K) rows are the window's, in the relabellings of n rows that shift these the farthest.

    ranked: by the statistic of `number_shifts`, else by that of `probability_shift`.
    """
    features = _centred_features(_ranks(rows) if ranked else _roots(rows.astype(np.float64)), rng)
    labels = _labels(len(rows), n, permutations, rng)[1:]
    squares = np.square(labels @ features.astype(np.float32)).sum(axis=1)
    return np.asarray(labels[np.argsort(squares)[::-1][:far]] > 0)


def _roots(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(np.maximum(rows, 0))


def _ranks(rows: Floats) -> NDArray[np.float64]:
    return np.asarray(np.apply_along_axis(stats.rankdata, 0, rows) / len(rows))


def _discrepancy(
    points: NDArray[np.float64], n: int, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Squared maximum mean discrepancy of the first n of the points and the others, and its permutation p value."""
    m = len(points) - n
    features = _centred_features(points, rng)
    squares = np.square(_relabelled_sums(features, n, permutations, rng)).sum(axis=1)
    as_far = int((squares[1:] >= squares[0] * (1 - 1e-6) - 1e-9).sum())
    return float((1 / m + 1 / n) ** 2 * squares[0]), (1 + as_far) / (1 + permutations)


def _centred_features(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    features = _gaussian_features(points, rng)
    return np.asarray(features - features.mean(axis=0))


def _gaussian_features(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(N, 2 FEATURES) whose inner products are about a Gaussian kernel of WIDTH times the median squared distance."""
    few = points[rng.choice(len(points), min(len(points), 300), replace=False)]
    squares = np.square(few[:, None] - few).sum(axis=2)[np.triu_indices(len(few), k=1)]
    width = WIDTH * float(np.median(squares))
    scale = np.sqrt(2 / width) if width > 1e-12 else 1.0
    angles = points @ rng.normal(0, scale, (points.shape[1], FEATURES))
    return np.asarray(np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(FEATURES))


def _relabelled_sums(
    rows: NDArray[np.float64], n: int, permutations: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(1 + permutations, K) sums of n of the rows, which are centred: of the first n, then of n drawn each time."""
    labels = _labels(len(rows), n, permutations, rng)
    return np.asarray(labels @ rows.astype(np.float32), dtype=np.float64)


def _labels(count: int, n: int, permutations: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(1 + permutations, count) of which n are 1 in each row, and the others 0: the first n, then n drawn each time."""
    labels = np.zeros((permutations + 1, count), dtype=np.float32)
    labels[0, :n] = 1
    for row in labels[1:]:
        row[rng.choice(count, n, replace=False, shuffle=False)] = 1
    return labels


@dataclass(frozen=True, eq=False)
class Whitening:
    """How embeddings vary when all is well: what counts as far. scale: (F,); root: (F, F), lower triangular."""

    scale: NDArray[np.float64]
    root: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Floats) -> "Whitening":
        """From (m, F) rows, m > 1; their covariance is shrunk (Ledoit and Wolf 2004), so F may exceed m."""
        from sklearn.covariance import ledoit_wolf

        exact = rows.astype(np.float64)
        spread = exact.std(axis=0)
        scale = np.maximum(
            spread, 0.05 * spread.mean() + 1e-12
        )  # else what hardly ever varies is all that counts
        covariance, _ = ledoit_wolf((exact - exact.mean(axis=0)) / scale)
        return cls(scale, linalg.cholesky(covariance + 1e-9 * np.eye(len(covariance)), lower=True))

    def white(self, rows: Floats) -> NDArray[np.float64]:
        """(n, F) rows in standard deviations, all directions alike."""
        return np.asarray(linalg.solve_triangular(self.root, (rows / self.scale).T, lower=True).T)


def centre_shift(
    known: Floats, window: Floats, metric: Whitening, permutations: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Squared Mahalanobis distance of two samples' means (Hotelling 1931), its permutation p value, and the effect.

    known: (m, F), window: (n, F). metric: of rows in neither, so that the test is exact. The effect, in [0, 1], is by
    how much the best straight cut tells the two apart better than a coin does, less what chance would.
    """
    m, n = len(known), len(window)
    rows = np.concatenate([window, known]).astype(np.float64)
    white = metric.white(rows - rows.mean(axis=0))
    squares = np.square(_relabelled_sums(white, n, permutations, rng)).sum(axis=1) * (1 / m + 1 / n) ** 2
    as_far = int((squares[1:] >= squares[0] * (1 - 1e-6) - 1e-12).sum())
    distance = math.sqrt(max(float(squares[0] - squares[1:].mean()), 0.0))
    return float(squares[0]), (1 + as_far) / (1 + permutations), float(2 * special.ndtr(distance / 2) - 1)


def copies(rows: Floats) -> int:
    """How many of (n, F) rows repeat another one, but for rounding: n less the number of distinct ones.

    Rows are put in order of a fixed projection, where equal ones lie side by side.
    """
    if len(rows) < 2:
        return 0
    exact = rows.astype(np.float64)
    scale = exact.std(axis=0)
    exact = exact / np.where(scale > 0, scale, 1)
    order = np.argsort(exact @ np.random.default_rng(0).normal(0, 1, exact.shape[1]), kind="stable")
    apart = np.abs(np.diff(exact[order], axis=0)).max(axis=1)
    return int((apart <= SAME).sum())


def copies_shift(known: int, known_rows: int, window: int, window_rows: int) -> float:
    """p value that a window of so many rows holds `window` copies, where the reference's rows held `known`.

    Where any two rows are copies with the same small probability, counts grow with the number of pairs; where one image
    comes again and again, such as a black one, with the number of rows. Both counts are about Poisson, so that given
    their sum the window's is binomial in its share of all pairs, or rows (Przyborowski and Wilenski 1940). The larger p
    value of the two is given: it holds whichever is the case.
    """
    if not window:
        return 1.0
    pairs = [rows * (rows - 1) / 2 for rows in (window_rows, known_rows)]
    shares = pairs[0] / max(sum(pairs), 1), window_rows / (window_rows + known_rows)
    return max(float(special.bdtrc(window - 1, known + window, share)) for share in shares)


def embedding_distances(reference: Floats, window: Floats, neighbours: int = 5) -> NDArray[np.float32]:
    """(n,) mean distance of each window row to its nearest reference rows: how new an image is to the model."""
    count = min(neighbours, len(reference))
    centre = reference.mean(axis=0)
    known, new = (np.asarray(rows - centre, dtype=np.float32) for rows in (reference, window))
    squares = (new**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * (new @ known.T)
    near = np.partition(squares, count - 1, axis=1)[:, :count]
    return np.asarray(np.sqrt(np.maximum(near, 0)).mean(axis=1), dtype=np.float32)
