"""A first policy that the data can support: an honest model can pass it, a model that guesses cannot."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import partial
from statistics import NormalDist

import numpy as np
from scipy.stats import binom, t

from resnet_ops.errors import DataError
from resnet_ops.evaluation.intervals import effective_groups, score_interval
from resnet_ops.evaluation.metrics import FEWEST_GROUPS, share_right
from resnet_ops.tasks.measuring.overlap import FEWEST_IMAGES
from resnet_ops_registry.rules.paired_scores import betting_p

__all__ = ["ALPHA", "PART", "least_iou", "least_share", "margin", "require_objects", "scores_margin", "worth"]

ALPHA = 0.05
"""Of the comparison with a champion."""

LUCK = 0.01
"""How often a model that guesses may pass, at most."""
MISTAKES, POWER = 0.1, 0.8
"""A model that makes one in ten of the mistakes of guessing passes in four of five cases, at least."""
DISAGREE = 0.05
"""Share of images on which two equally good models differ, as neighbours in benchmarks/RESULTS.md do."""
EXACT, MOST = 2000, 1_000_000
"""How many images would be enough is found to one of them up to the first, and within a tenth up to the second."""
SPREAD = 0.1
"""Of the differences of two equally good models' scores an image: their standard deviation, as docs/segmentation.md
has it."""
DRAWS, ENOUGH, WIDEST = 200, 500, 49
"""Comparisons that are tried, of so many images at most; the widest margin in points, below a rule's limit."""
PART = 0.1
"""Of the way from the same answer for all pixels to no mistake, that mIoU and AP50 must be shown to have gone."""
STEPS = 5
"""Limits that lie between guessing and no mistake, at least: two digits from one half on, three from 0.96."""


def least_share(
    tested: int, chance: float, confidence: float, of: str, groups: np.ndarray | None = None
) -> float:
    """The limit, of two digits or more, for the lower end of the interval of a share of right answers.

    tested: images that the test split has `of` this kind. chance: the share that is right by guessing. groups:
    (tested,) which group each is of, where they come in groups; what these are worth counts then, and a limit that
    these very groups cannot show is none. The limit lies halfway from chance to what a model without a mistake shows,
    or higher where luck would pass. Raises DataError where so few can tell no model that has learned something from
    one that guesses.
    """
    count, grouped, highest = worth(tested, groups), groups is not None and len(set(groups)) < tested, 1.0
    if grouped and count >= FEWEST_GROUPS:
        highest = share_right(np.ones(tested, bool), confidence, groups).low or 0.0
    if (limit := _limit(count, chance, confidence, grouped, highest)) is not None:
        return limit
    enough = next((n for n in _more(count) if _limit(n, chance, confidence, grouped) is not None), None)
    unit, others = ("equal groups", " of other groups") if grouped else ("images", "")
    remedy = f"Not even {MOST:,} {unit} would be enough: add images of the other classes."
    if enough is not None:
        about = f"{'' if enough <= EXACT else 'about '}{enough:,} {unit}"
        remedy = f"Add images{others} until it has {about} (a fifth of all go there)."
    raise DataError(
        f"The test split has {tested} {of}{f', worth {count} {unit}' if grouped else ''}, and guessing is right on "
        f"{100 * chance:.6g}% of them: no policy could tell a model that has learned something from one that "
        f"guesses. {remedy}"
    )


def least_iou(pixels: Mapping[str, float], masks: Mapping[str, int]) -> float:
    """The limit, of two digits, for the lower end of mIoU's interval: what the same answer for all pixels shows, and a
    part of the way from there to no mistake.

    pixels: by class the share of all. masks: by class how many of the test split have it. Raises DataError where a
    class is in too few for an interval.
    """
    few = {name: count for name, count in masks.items() if count < FEWEST_IMAGES}
    if few:
        what = ", ".join(f"{name} in {count}" for name, count in few.items())
        raise DataError(
            f"Of the test split's masks, too few have a class for an interval of mIoU: {what}, and it takes "
            f"{FEWEST_IMAGES}. Add images until five times as many have it (a fifth of all go there), or merge classes."
        )
    same = max(pixels.values()) / len(pixels)
    return math.ceil(100 * (same + PART * (1 - same))) / 100


def require_objects(asked: np.ndarray) -> None:
    """Raise DataError where too few images of the test split have objects for an interval of average precision.

    asked: (N, K) objects of each class in each image.
    """
    objects = asked.sum(axis=1).astype(float)
    worth = float(objects.sum()) ** 2 / max(float(objects @ objects), 1.0)
    if worth < FEWEST_GROUPS:
        raise DataError(
            f"The test split has objects in {int((objects > 0).sum())} images, worth {worth:.3g} with equally many, and"
            f" an interval of average precision takes {FEWEST_GROUPS}. Add images (a fifth of all go there)."
        )


def worth(tested: int, groups: np.ndarray | None) -> int:
    """As many images, or groups of equal size where they come in groups, as the interval of a share counts."""
    return tested if groups is None else math.floor(effective_groups(groups) + 1e-9)


def margin(tested: int) -> float:
    """How much worse a new champion may be, of two digits: an equally good one is shown not to be, in 4 of 5 cases."""
    return max(0.02, math.ceil(100 * (1.645 + 0.84) * math.sqrt(DISAGREE / tested)) / 100)


def scores_margin(tested: int) -> float:
    """Likewise where images have scores, by the comparison's own test of drawn differences."""
    some = min(tested, ENOUGH)
    rows = np.random.default_rng(0).normal(0, SPREAD, (DRAWS, some)).clip(-1, 1)

    def suffices(step: int) -> bool:
        shown = [betting_p(row, -step / 100) <= ALPHA for row in rows]
        return float(np.mean(shown)) >= POWER

    return bisect_left(range(WIDEST), True, lo=2, key=suffices) / 100


def _more(count: int) -> Iterator[int]:
    yield from range(count + 1, EXACT + 1)
    n = max(count, EXACT)
    while (n := math.ceil(1.1 * n)) <= MOST:
        yield n


def _limit(
    tested: int, chance: float, confidence: float, grouped: bool, highest: float = 1.0
) -> float | None:
    """None where there is none. highest: that a limit may be, for other reasons than that there are so few."""
    if grouped and tested < FEWEST_GROUPS:
        return None
    low = partial(_low, tested=tested, confidence=confidence, grouped=grouped)
    highest, digits = min(highest, low(tested)), max(2, math.ceil(math.log10(STEPS / (1 - chance)) - 1e-9))
    first, last = (chance + highest) / 2 * 10**digits, highest * 10**digits
    for limit in (step / 10**digits for step in range(math.ceil(first), math.floor(last) + 1)):
        right = bisect_left(range(tested + 1), limit, key=low)
        if binom.sf(right - 1, tested, chance) <= LUCK:
            return limit if binom.sf(right - 1, tested, 1 - MISTAKES * (1 - chance)) >= POWER else None
    return None


def _low(right: int, tested: int, confidence: float, grouped: bool) -> float:
    """Of the interval of a share. Of groups it is `clustered`'s where each is of one size, and all right or all wrong:
    Wilson's, by Student's quantile.
    """
    shorter = 1.0
    if grouped:
        level = (1 + confidence) / 2
        shorter = NormalDist().inv_cdf(level) / float(t.ppf(level, tested - 1))
    return score_interval(right / tested, tested * shorter**2, confidence)[0]
