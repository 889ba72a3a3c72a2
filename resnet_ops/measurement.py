"""A measured number with what is needed to believe it: how many, how sure, in which unit."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

__all__ = ["Measurement", "deciding_values", "measurements_from_json", "measurements_to_json"]

_DECIDING = (
    *(
        "validation.top1",
        "validation.miou",
        "test.miou",
        "test.boundary_f1",
        "validation.ap",
        "test.ap",
        "test.ap50",
        "test.top1",
        "test.worst_class_recall",
        "operating.sensitivity",
        "operating.specificity",
        "reject.coverage",
        "reject.risk",
        "retrieval.recall_at_1",
        "calibrated.ece",
        "robustness.mean_accuracy",
    ),
    *(".latency_p95_ms", "size.bytes"),
)
"""How the names end of what is compared first."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number. `low` and `high` bound the interval that `method` names; all three are None where there is none."""

    value: float
    n: int
    """How many images, runs or items the number rests on."""
    low: float | None = None
    high: float | None = None
    method: str | None = None
    unit: str | None = None

    def bare(self) -> "Measurement":
        """The same without an interval, where none is known that would hold."""
        return replace(self, low=None, high=None, method=None)

    @property
    def shown(self) -> str:
        """For a person: the number, its interval where there is one, and what it rests on."""
        sure = "" if self.low is None or self.high is None else f"{self.low:.4f} to {self.high:.4f}, "
        return f"{self.value:.4f} ({sure}n {self.n})"

    def __post_init__(self) -> None:
        if not all(math.isfinite(x) for x in (self.value, self.low, self.high) if x is not None):
            raise ValueError(f"a measurement must be finite: {self}")


def measurements_to_json(measurements: Mapping[str, Measurement]) -> dict[str, dict[str, Any]]:
    """As plain dictionaries, for a JSON file."""
    return {name: asdict(measurement) for name, measurement in measurements.items()}


def measurements_from_json(content: Mapping[str, Mapping[str, Any]]) -> dict[str, Measurement]:
    """The inverse of `measurements_to_json`."""
    return {name: Measurement(**fields) for name, fields in content.items()}


def deciding_values(measurements: Mapping[str, Measurement]) -> dict[str, Any]:
    """The bare values of the few that a person compares first, for `dvc metrics`; all others are in measurements.json.

    They are nested at the first two dots of their names, as `dvc metrics` shows them best. A class may have dots in its
    name: `test.recall.v1` and `test.recall.v1.2` would stand beside each other.
    """
    tree: dict[str, Any] = {}
    for name, measurement in measurements.items():
        if not name.endswith(_DECIDING):
            continue
        *groups, leaf = name.split(".", 2)
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = measurement.value
    return tree
