"""By how much a version misses a policy's limits on shares of images, and what would help, in plain words."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

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
_LEVEL = re.compile(r"wilson (0\.\d+)(, \d+ groups)?")


def shortfalls(
    policy: Policy, target: Target, metrics: Mapping[str, Metric], positive: Sequence[str]
) -> list[str]:
    """A text for each lower end of a share of images that is below its limit; for nothing else that a version lacks.

    metrics, positive: of its evidence.
    """
    guard = policy.guard_of(target)
    found = list[str]()
    for name, limit in share_limits(guard.rules if guard else ()):
        metric = metrics.get(name)
        level = _LEVEL.fullmatch(metric.method or "") if metric else None
        if metric and level and metric.low is not None and metric.low < limit:
            told = _told(metric, metric.low, limit, float(level[1]), _images(name, positive))
            found.append(f"{name}: {' '.join(told)}")
    return found


def _told(metric: Metric, low: float, limit: float, confidence: float, of: str) -> Iterator[str]:
    """low: of the metric, below the limit. of: which images are counted."""
    n, right = metric.n, round(metric.value * metric.n)
    worth = _worth(metric.value, low, n, confidence)
    about = "about " if worth < n - 0.5 else ""  # images of one group say less
    enough = next(
        (k for k in range(right, n + 1) if score_interval(k / n, worth, confidence)[0] >= limit), None
    )
    asked = "not even all would be enough" if enough is None else f"{about}{enough} would have to be"
    yield (
        f"{right} of {n} {of} are right, {asked}: the lower end of the interval, {low:.3f}, misses {limit:g} by "
        f"{limit - low:.3f}."
    )
    true = metric.value if (near := metric.value > limit) else (1 + limit) / 2
    single = images_needed(limit, true, confidence, POWER)
    often = "never" if single is None else f"from {about}{math.ceil(single * n / worth):,} on"
    if near:
        yield f"A model as good as this passes in {POWER:.0%} of cases {often}: more test images show it."
    else:
        yield (
            f"More test images alone do not help, as {metric.value:.3f} itself is no higher than the limit. A better "
            f"model, right on {true:.3g} of them, passes in {POWER:.0%} of cases {often}."
        )


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
    return f"test images{of.get(metric, '')}"
