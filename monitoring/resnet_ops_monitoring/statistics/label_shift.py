"""How often each class truly comes, from what is predicted: black box shift estimation (Lipton et al. 2018).

Right as long as only the mix of classes has changed, and each class looks as it did when the reference was made.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelShift", "estimate_label_shift"]


@dataclass(frozen=True)
class LabelShift:
    """shares, low, high: (K,) of each class in the window, with intervals. accuracy: expected at these shares."""

    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    accuracy: float


def estimate_label_shift(
    confusion: NDArray[Any],
    predicted: NDArray[Any],
    confidence: float,
) -> LabelShift | None:
    """Shares of the true classes in a window whose predictions count `predicted`.

    confusion: (K, K) reference rows, [predicted class, true class]. predicted: (K,). Of rows that are alike, counts
    are those of as many independent ones. None where it cannot be told: the
    window is empty, a class is missing from the reference, or the matrix is ill-conditioned, that is no farther from a
    singular one (its smallest singular value) than chance at this size of the reference shifts it.
    """
    of_class, n = confusion.sum(axis=0), float(predicted.sum())
    if n == 0 or (of_class == 0).any():
        return None
    given = confusion / of_class
    noise = np.sqrt((given * (1 - given) / of_class).sum())
    if np.linalg.svd(given, compute_uv=False)[-1] <= noise:
        return None
    inverse = np.linalg.inv(given)
    seen = predicted / n
    raw = inverse @ seen
    spread = (np.diag(seen) - np.outer(seen, seen)) / n
    for share, column, rows in zip(np.clip(raw, 0, 1), given.T, of_class, strict=True):
        spread += share**2 * (np.diag(column) - np.outer(column, column)) / rows
    error = np.sqrt(np.diag(inverse @ spread @ inverse.T)) * NormalDist().inv_cdf((1 + confidence) / 2)
    shares = np.clip(raw, 0, None)
    shares /= shares.sum()
    return LabelShift(
        shares=tuple(shares.tolist()),
        low=tuple(np.clip(raw - error, 0, 1).tolist()),
        high=tuple(np.clip(raw + error, 0, 1).tolist()),
        accuracy=float(shares @ np.diag(given)),
    )
