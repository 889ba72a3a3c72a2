"""A first policy that the data can support: an honest model can pass it, a model that guesses cannot."""

import math

from scipy.stats import binom

from resnet_ops.errors import DataError
from resnet_ops.evaluation.intervals import wilson

__all__ = ["least_share", "margin"]

LUCK = 0.01
"""How often a model that guesses may pass, at most."""
MISTAKES, POWER = 0.1, 0.8
"""A model that makes one in ten of the mistakes of guessing passes in four of five cases, at least."""
DISAGREE = 0.05
"""Share of images on which two equally good models differ, as neighbours in benchmarks/RESULTS.md do."""
MOST = 2000


def least_share(tested: int, chance: float, confidence: float, of: str) -> float:
    """The limit, of two digits, for the lower end of the interval of a share of right answers.

    tested: images, or groups of them, that the test split has `of` this kind. chance: the share that is right by
    guessing. The limit lies halfway from chance to what a model without a mistake shows, or higher where luck would
    pass. Raises DataError where so few can tell no model that has learned something from one that guesses.
    """
    if (limit := _limit(tested, chance, confidence)) is not None:
        return limit
    enough = next((n for n in range(tested + 1, MOST) if _limit(n, chance, confidence) is not None), None)
    raise DataError(
        f"The test split has {tested} {of}, and guessing is right on {chance:.0%} of them: no policy could tell a "
        "model that has learned something from one that guesses. "
        f"Add images until it has {enough or f'more than {MOST}'} (a fifth of all go there)."
    )


def margin(tested: int) -> float:
    """How much worse a new champion may be, of two digits: an equally good one is shown not to be, in 4 of 5 cases."""
    return max(0.02, math.ceil(100 * (1.645 + 0.84) * math.sqrt(DISAGREE / tested)) / 100)


def _limit(tested: int, chance: float, confidence: float) -> float | None:
    highest = wilson(tested, tested, confidence)[0]
    first = math.ceil(100 * (chance + highest) / 2)
    for limit in (percent / 100 for percent in range(first, math.floor(100 * highest) + 1)):
        right = next(each for each in range(tested + 1) if wilson(each, tested, confidence)[0] >= limit)
        if binom.sf(right - 1, tested, chance) <= LUCK:
            return limit if binom.sf(right - 1, tested, 1 - MISTAKES * (1 - chance)) >= POWER else None
    return None
