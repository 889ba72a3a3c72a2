"""Which of several candidates are no compromise at all: Pareto dominance on measured numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from resnet_ops_registry.attestations.evidence import Metric

__all__ = ["Axis", "better_on", "dominates", "front"]

_K = TypeVar("_K")
Metrics = Mapping[str, Metric]


@dataclass(frozen=True)
class Axis:
    """A metric that is to be as high as possible, or as low as possible. `label`: what people call it."""

    metric: str
    highest: bool
    label: str

    def gain(self, metrics: Metrics) -> float | None:
        """The number, turned so that more is better; None where it was not measured."""
        found = metrics.get(self.metric)
        if found is None:
            return None
        return found.value if self.highest else -found.value


def better_on(one: Metrics, other: Metrics, axes: Sequence[Axis]) -> list[Axis] | None:
    """The axes on which `one` is strictly better; None where it is worse on any, or anything was not measured."""
    better = []
    for axis in axes:
        mine, others = axis.gain(one), axis.gain(other)
        if mine is None or others is None or mine < others:
            return None
        if mine > others:
            better.append(axis)
    return better


def dominates(one: Metrics, other: Metrics, axes: Sequence[Axis]) -> bool:
    """Whether `one` is nowhere worse than `other` and somewhere better, by the numbers without their intervals."""
    return bool(better_on(one, other, axes))


def front(candidates: Mapping[_K, Metrics], axes: Sequence[Axis]) -> list[_K]:
    """Those with a number on every axis that none dominates, in their order."""
    measured = {
        key: metrics
        for key, metrics in candidates.items()
        if all(axis.gain(metrics) is not None for axis in axes)
    }
    return [
        key
        for key, metrics in measured.items()
        if not any(dominates(other, metrics, axes) for other in measured.values())
    ]
