"""Two models on the same images: is the one better than the other by more than a difference?

Of right and wrong answers, everything rests on the images on which they disagree: `won` (only the candidate is right)
and `lost` (only the champion is right), of n. The null hypothesis is that the true difference of accuracies,
p_won - p_lost, is at most `difference`; a small p-value speaks against it. Non-inferiority with a margin m is the
difference -m. Scores in [0, 1] are compared likewise, by the mean of their differences.
"""

import numpy as np
from scipy.special import bdtr, bdtrc, betaincinv, gammaln, ndtri, stdtr, stdtrit, xlogy

__all__ = ["bootstrap_p", "exact_p", "mcnemar_p", "single_images", "student_p", "unconditional_p"]

NUISANCE_SHARE = 0.02
"""Share of alpha that is spent on not knowing how often the models disagree (Berger and Boos 1994)."""
GRID = 64
RESAMPLES = 10_000
LOST_WHOLE = 2
"""Images that `student_p` adds."""


def exact_p(won: int, lost: int, n: int, difference: float, alpha: float) -> float:
    """McNemar's exact test where `difference` is 0, else its unconditional extension to a difference."""
    return mcnemar_p(won, lost) if difference == 0 else unconditional_p(won, lost, n, difference, alpha)


def single_images(differences: np.ndarray, groups: np.ndarray, alpha: float) -> tuple[int, int, int]:
    """Wins, losses and n of single images that tell as much as these do, which come in groups.

    differences: (n,) 1 where the candidate alone is right, -1 where the champion is. groups: (n,) numbers from 0 on.
    All three are divided by the design effect of the difference (Kish 1965; Rao and Scott 1992): its variance by group
    totals over that of single images, or what the likeness of disagreements within groups makes of groups of the usual
    size, whichever is larger: where most groups are single images, the first says nothing of the large ones. A group of
    the usual size that the candidate loses whole is added to both, so that a few disagreements are not taken for
    independent ones; few groups count for less still, by Student's quantile. Wins and n are rounded down, losses up.
    """
    sizes, n = np.bincount(groups), len(groups)
    usual = float(sizes @ sizes) / n
    if usual == 1:
        return int((differences > 0).sum()), int((differences < 0).sum()), n
    totals, changed = (np.bincount(groups, weights=each) for each in (differences, differences != 0))
    squares, pairs = float(totals @ totals) + usual**2, float((sizes - 1) @ changed) + usual * (usual - 1)
    likeness = (squares - changed.sum() - usual) / pairs
    effect = max(1.0, squares / (changed.sum() + usual), 1 + likeness * (usual - 1))
    freedom = n / usual - 1
    effect *= float(stdtrit(freedom, alpha) / ndtri(alpha)) ** 2 if freedom > 0 else np.inf
    won, lost = np.count_nonzero(differences > 0) / effect, np.count_nonzero(differences < 0) / effect
    return int(won), int(np.ceil(lost)), max(int(n / effect), int(won) + int(np.ceil(lost)), 1)


def mcnemar_p(won: int, lost: int) -> float:
    """One-sided exact McNemar test: the chance of at least `won` heads in won + lost tosses of a fair coin."""
    return 1.0 if won == 0 else float(bdtrc(won - 1, won + lost, 0.5))


def unconditional_p(won: int, lost: int, n: int, difference: float, alpha: float) -> float:
    """Exact unconditional p-value, ordering outcomes by Tango's score (Tango 1998; Sidik 2003).

    The p-value is the largest over how often the models may disagree, within an interval that misses the truth
    with chance 0.02 alpha; that chance is added.
    """
    spent = NUISANCE_SHARE * alpha
    low, high = _disagreement(won + lost, n, abs(difference), spent)
    rates = np.linspace(low, high, GRID)
    observed = _score(np.array([won]), np.array([lost]), n, difference)[0]
    spread = 7 * np.sqrt(n * high * (1 - low)) + 10
    totals = np.arange(max(0, int(n * low - spread)), min(n, int(n * high + spread)) + 1)
    needed = _fewest_won(totals, observed, n, difference)
    chance_won = 0.5 * (1 + difference / rates)
    tails = _tail(needed[None, :], totals[None, :], chance_won[:, None])
    p = float((_binomial(totals, n, rates) * tails).sum(axis=1).max())
    return min(1.0, p + spent)


def bootstrap_p(won: int, lost: int, n: int, difference: float, seed: int = 0) -> float:
    """Share of paired resamples whose difference of accuracies is at most `difference`.

    One pair on which the champion wins is added before resampling, and the share counts the sample itself, so that
    few disagreements are not mistaken for none.
    """
    shares = np.array([won, lost + 1, n - won - lost], dtype=float)
    drawn = np.random.default_rng(seed).multinomial(n + 1, shares / shares.sum(), size=RESAMPLES)
    at_most = np.count_nonzero(drawn[:, 0] - drawn[:, 1] <= difference * n)
    return float((at_most + 1) / (RESAMPLES + 1))


def student_p(differences: np.ndarray, difference: float) -> float:
    """Student's paired test of scores in [0, 1]: that the mean of what the candidate has more is at most `difference`.

    differences: (n,) the candidate's score less the champion's. Two images that the candidate loses whole are added, so
    that rare losses that no image of the sample shows are not taken for none: where each loss is a whole score, or a
    half or a quarter, candidates that are just too bad pass in at most alpha of samples of 30 images or more.
    """
    added = np.append(differences, np.full(LOST_WHOLE, -1.0))
    n = len(added)
    error = float(added.std(ddof=1)) / n**0.5
    if error == 0:  # it lost every image whole
        return 1.0
    return float(stdtr(n - 1, -(float(added.mean()) - difference) / error))


def _disagreement(total: int, n: int, least: float, spent: float) -> tuple[float, float]:
    """Clopper-Pearson interval of the rate of disagreement, at least the difference itself."""
    low = 0.0 if total == 0 else float(betaincinv(total, n - total + 1, spent / 2))
    high = 1.0 if total == n else float(betaincinv(total + 1, n - total, 1 - spent / 2))
    return max(low, least), max(high, least)


def _score(won: np.ndarray, lost: np.ndarray, n: int, difference: float) -> np.ndarray:
    """Tango's score of (won, lost): the distance from the null in standard errors under the null."""
    a = 2 * n
    b = -won - lost + (2 * n - won + lost) * difference
    c = -lost * difference * (1 - difference)
    lost_rate = (np.sqrt(np.maximum(b * b - 4 * a * c, 0)) - b) / (2 * a)
    variance = n * (2 * lost_rate + difference * (1 - difference))
    distance = won - lost - n * difference
    deviation = np.sqrt(np.maximum(variance, 1e-12))
    return np.asarray(distance / deviation)


def _fewest_won(totals: np.ndarray, observed: float, n: int, difference: float) -> np.ndarray:
    """For each number of disagreements the fewest wins whose score reaches `observed`; total + 1 where none does."""
    low, high = np.zeros_like(totals), totals + 1
    while np.any(low < high):
        middle = (low + high) // 2
        reached = _score(middle, totals - middle, n, difference) >= observed - 1e-9
        high = np.where(reached, middle, high)
        low = np.where(reached | (low >= high), low, middle + 1)
    return high


def _tail(needed: np.ndarray, total: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """The chance of at least `needed` successes in `total` tries."""
    inside = np.minimum(np.maximum(needed - 1, 0), total)
    clipped = np.clip(chance, 0.0, 1.0)
    tail = 1 - bdtr(inside, total, clipped)
    return np.where(needed <= 0, 1.0, np.where(needed > total, 0.0, tail))


def _binomial(totals: np.ndarray, n: int, rates: np.ndarray) -> np.ndarray:
    """(rates, totals) chances of so many disagreements."""
    k, rate = totals[None, :], rates[:, None]
    logs = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + xlogy(k, rate) + xlogy(n - k, 1 - rate)
    return np.asarray(np.exp(logs))
