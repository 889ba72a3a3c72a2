"""How many images a policy asks for: what its thresholds on lower ends of intervals can be shown with."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scipy.stats import binom

from resnet_ops.evaluation.intervals import wilson
from resnet_ops_registry.gate.policy import Policy
from resnet_ops_registry.rules import Rule
from resnet_ops_registry.rules.threshold import Threshold

__all__ = ["Needed", "images_needed", "needs_of", "share_limits"]

MOST = 10_000_000
MOST_AHEAD = 2_000
_SHARE = re.compile(r".*\.(top1|top5|(recall|precision|slice)\..*|sensitivity|specificity)")
"""Metrics that are shares of images with Wilson's interval."""
_COUNTED = {"operating.sensitivity": "positives", "operating.specificity": "negatives"}


@dataclass(frozen=True)
class Needed:
    """What one rule asks for. `true`: the proportion that is assumed; `images` pass it in `power` of the cases."""

    metric: str
    limit: float
    of: str
    """What is counted: positives, negatives, or images of what the metric is about."""
    flawless: int | None
    """Where not one of them is wrong; None beyond ten millions."""
    true: float
    images: int | None
    """None beyond ten millions, or where the true proportion does not exceed the limit."""


def images_needed(limit: float, true: float, confidence: float, power: float) -> int | None:
    """The fewest images from which on Wilson's lower end reaches `limit` in `power` of the cases, images being
    independent.

    limit, true: proportions within 0 and 1. None where `true` does not exceed the limit, or beyond ten millions.
    """
    if true <= limit:
        return None
    low, high = 1, 1
    while not _reaches(high, limit, true, confidence, power):
        low, high = high, high * 2
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _reaches(middle, limit, true, confidence, power) else (middle, high)
    # the power goes up in saw teeth, one for each right answer more that the limit asks for: the last of them counts
    tooth = min(4 * math.ceil(1 / min(limit, 1 - limit)), MOST_AHEAD)
    ahead = high
    while ahead < high + tooth:
        if not _reaches(ahead, limit, true, confidence, power):
            high = ahead + 1
        ahead += 1
    return high


def needs_of(policy: Policy, true: float | None, confidence: float, power: float) -> list[Needed]:
    """One line for each threshold on the lower end of a share of images. true: None for halfway from the limit to 1."""
    found: dict[tuple[str, float], Needed] = {}
    for rule, limit in share_limits(rule for guard in policy.guards for rule in guard.rules):
        metric = rule.metric
        assumed = (1 + limit) / 2 if true is None else true
        needed = images_needed(limit, assumed, confidence, power)
        flawless = images_needed(limit, 1.0, confidence, power)
        of = _COUNTED.get(metric, "images")
        found[metric, limit] = Needed(metric, limit, of, flawless, assumed, needed)
    return list(found.values())


def share_limits(rules: Iterable[Rule]) -> Iterator[tuple[Threshold, float]]:
    """Each threshold on the lower end of a share of images, and its limit."""
    for rule in rules:
        if not isinstance(rule, Threshold) or rule.bound != "low" or rule.min is None or not 0 < rule.min < 1:
            continue
        if _SHARE.fullmatch(rule.metric):
            yield rule, rule.min


def _reaches(n: int, limit: float, true: float, confidence: float, power: float) -> bool:
    fewest, most = 0, n + 1  # right answers: the lower end grows with them
    while most - fewest > 1:
        middle = (fewest + most) // 2
        if wilson(middle, n, confidence)[0] >= limit:
            most = middle
        else:
            fewest = middle
    return bool(binom.sf(most - 1, n, true) >= power)
