"""By how much a version misses a policy's limits on shares of images, and what would help, in plain words."""

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist

from scipy.stats import t

from resnet_ops.evaluation.intervals import score_interval
from resnet_ops_registry.attestations.evidence import Metric
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.gate.policy import Policy
from resnet_ops_registry.gate.power import images_needed, share_limits

__all__ = ["shortfalls"]

POWER = 0.8
"""How often a model should pass with the images that are named."""
STEPS = 50
"""Halvings that find how many single images are as uncertain as those of an interval."""
_METHOD = re.compile(r"wilson (0\.[1-9]\d{0,5})(?:, (\d+) groups)?")
"""Confidence, and the number of groups where images come in groups."""
_PART = re.compile(r"\w+\.(recall|precision|slice)\.(.+)", re.DOTALL)
_OF_PART = {"recall": " of ", "precision": " answered with ", "slice": " of "}


def shortfalls(
    policy: Policy, target: Target, metrics: Mapping[str, Metric], positive: Sequence[str]
) -> list[str]:
    """A text for each limit on lower ends of shares of images that is missed, about the share that misses it most.

    metrics, positive: of its evidence.
    """
    guard = policy.guard_of(target)
    found = list[str]()
    for rule, limit in share_limits(guard.rules if guard else ()):
        below = [
            (metric.low, name)
            for name, metric in rule.matching(metrics).items()
            if metric.low is not None and 0 <= metric.low < limit and metric.low <= metric.value <= 1
            if _METHOD.fullmatch(metric.method or "")
        ]
        if below:
            low, name = min(below)
            told = _told(metrics[name], low, limit, _images(name, positive))
            found.append(f"{name}: {' '.join(told)}")
    return found


def _told(metric: Metric, low: float, limit: float, of: str) -> Iterator[str]:
    """low: of the metric, below the limit. of: which images are counted."""
    method = _METHOD.fullmatch(metric.method or "")
    assert method is not None
    n, right, confidence = metric.n, round(metric.value * metric.n), float(method[1])
    worth = _worth(metric.value, low, n, confidence)
    about = "about " if worth < n - 0.5 else ""  # images of one group say less
    enough = bisect_left(
        range(n + 1), limit, lo=right, key=lambda k: score_interval(k / n, worth, confidence)[0]
    )
    asked = "not even all would be enough" if enough > n else f"{about}{enough} would have to be"
    yield (
        f"{right} of {n} {of} are right, {asked}: the lower end of the interval, {low:.3f}, misses {limit:g} by "
        f"{limit - low:.3f}."
    )
    fewer = 1.0 if method[2] is None else _students(int(method[2]), confidence)
    each = min(1.0, worth / fewer / n)
    if single := images_needed(limit, metric.value, confidence, POWER):
        passes = f"passes in {POWER:.0%} of cases from {about}{math.ceil(single / each):,} on"
        yield f"A model as good as this {passes}: more test images show it."
        return
    better = (1 + limit) / 2
    single = images_needed(limit, better, confidence, POWER)
    no = "hardly" if metric.value > limit else "no"
    often = "never" if single is None else f"from {about}{math.ceil(single / each):,} on"
    yield (
        f"More test images alone do not help, as {metric.value:.3f} itself is {no} higher than the limit. A better "
        f"model, right on {better:.3g} of them, passes in {POWER:.0%} of cases {often}."
    )


def _students(groups: int, confidence: float) -> float:
    """The share of their worth that is left to images since their groups are so few: Student's quantile is longer."""
    level = (1 + confidence) / 2
    return float(NormalDist().inv_cdf(level) / t.ppf(level, max(groups - 1, 1))) ** 2


def _worth(share: float, low: float, n: int, confidence: float) -> float:
    """How many single images, at most n, leave a share as uncertain as the lower end of its interval says."""
    fewest, most = 0.0, float(n)
    for _ in range(STEPS):
        middle = (fewest + most) / 2
        if score_interval(share, middle, confidence)[0] > low:
            most = middle
        else:
            fewest = middle
    return most


def _images(metric: str, positive: Sequence[str]) -> str:
    names = ", ".join(positive)
    of = {"operating.sensitivity": f" of {names}", "operating.specificity": f" without {names}"}
    part = _PART.fullmatch(metric)
    split = "test images" if metric.startswith(("test.", "operating.")) else "images"
    return split + (f"{_OF_PART[part[1]]}{part[2]}" if part else of.get(metric, ""))
