"""The interval of a difference between two models on the same images."""

import math
from statistics import NormalDist

__all__ = ["images_needed", "paired_difference"]

STEPS = 60
"""Halvings: more than a float has bits."""


def paired_difference(first_only: int, second_only: int, n: int, confidence: float) -> tuple[float, float]:
    """Tango's score interval (1998) of the first's share of right answers less the second's, within -1 and 1.

    first_only, second_only: on how many of n images only one was right. Two models that never differ get an interval
    all the same: about plus and minus z² / n. Raises ValueError when the counts do not fit n.
    """
    if min(first_only, second_only) < 0 or first_only + second_only > n or n < 1:
        raise ValueError(f"{first_only} and {second_only} of {n} images: counts must fit the images")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    measured = (first_only - second_only) / n

    def end(outer: float, sign: int) -> float:
        inside, outside = measured, outer
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            if sign * _score(first_only, second_only, n, middle) > z:
                outside = middle
            else:
                inside = middle
        return inside

    return end(-1.0, 1), end(1.0, -1)


def images_needed(differing: float, margin: float, confidence: float) -> int:
    """The fewest images whose interval can end at `margin` or below, where the two are equally good.

    differing: on what share of the images just one of them is right, half of them the first; 0 gives the fewest with
    which anything can be shown. margin: above 0 and below 1.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return math.ceil((z / _score(differing / 2, differing / 2, 1, margin)) ** 2)


def _score(first_only: float, second_only: float, n: int, difference: float) -> float:
    """The standardised distance of what was counted from a true difference (Tango 1998, equation 5)."""
    distance = first_only - second_only - n * difference
    b = (2 * n - first_only + second_only) * difference - first_only - second_only
    c = -second_only * difference * (1 - difference)
    likely = (max(b * b - 8 * n * c, 0.0) ** 0.5 - b) / (4 * n)
    variance = n * (2 * likely + difference * (1 - difference))
    if variance <= 0:
        return 0.0 if distance == 0 else float("inf") * distance
    return float(distance / variance**0.5)
