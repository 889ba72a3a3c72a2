"""Slices: is the model as good on every part of the data as on the whole?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from resnet_ops.errors import ConfigError
from resnet_ops.evaluation.metrics import lowest_of, share_right
from resnet_ops.evaluation.params import SliceParams, together
from resnet_ops.measurement import Measurement

__all__ = ["Slice", "find_slices", "measure_slices"]

JOINED = " x "
"""Between columns that are taken together, and between their values."""


@dataclass(frozen=True)
class Slice:
    """A part of N images. `within` says in words which: a value, or a range."""

    column: str
    value: str
    within: str
    rows: np.ndarray
    """(n,) places of its images."""

    @property
    def name(self) -> str:
        return f"{self.column}.{self.value}"


def find_slices(
    columns: Mapping[str, np.ndarray], statistics: Mapping[str, np.ndarray], params: SliceParams
) -> list[Slice]:
    """Every slice that `params` asks for, small ones too, but for those that hold all images.

    columns: (N,) texts, by name. statistics: (N,) numbers, by name. Raises ConfigError when one is not there.
    """
    _require("columns", params.named, columns)
    _require("statistics", params.statistics, statistics)
    slices = []
    for names in map(together, params.columns):
        values = [columns[name].astype(str) for name in names]
        _require_separable(names, values)
        slices += _by_value(
            JOINED.join(names), np.array([JOINED.join(row) for row in zip(*values, strict=True)])
        )
    for name in params.statistics:
        slices += _by_quantile(name, statistics[name], params.quantiles)
    return slices


def _require(key: str, wanted: tuple[str, ...], there: Mapping[str, np.ndarray]) -> None:
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise ConfigError(
            f"params.yaml: evaluate.slices.{key} names {', '.join(unknown)}; there are {', '.join(there)}"
        )


def _require_separable(names: tuple[str, ...], values: list[np.ndarray]) -> None:
    """Columns are taken together as texts: what stands between them may stand in none, or slices would merge."""
    if len(names) == 1:
        return
    mixed = next((str(each) for column in (names, *values) for each in column if JOINED in str(each)), None)
    if mixed is not None:
        raise ConfigError(
            f"params.yaml: evaluate.slices.columns takes {' and '.join(names)} together, but {mixed!r} holds "
            f"{JOINED!r}, which stands between their values. Rename it, or name the columns alone"
        )


def _by_value(name: str, values: np.ndarray) -> list[Slice]:
    found, group = np.unique(values, return_inverse=True)
    if len(found) == 1:
        return []
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(group))[:-1])
    return [Slice(name, str(value), str(value), rows) for value, rows in zip(found, parts, strict=True)]


def _by_quantile(name: str, values: np.ndarray, quantiles: int) -> list[Slice]:
    """Slices of about equal size, from the lowest values to the highest; equal values stay together."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = (np.cumsum(count) - count / 2) / len(values)
    group = (middle * quantiles).astype(np.int64)[place]
    slices = []
    for number in range(quantiles):
        rows = np.flatnonzero(group == number)
        if 0 < len(rows) < len(values):
            within = f"{values[rows].min():.4g} to {values[rows].max():.4g}"
            slices.append(Slice(name, f"{number + 1}of{quantiles}", within, rows))
    return slices


def measure_slices(
    right: np.ndarray,
    slices: list[Slice],
    min_images: int,
    split: str,
    confidence: float,
    groups: np.ndarray | None = None,
) -> dict[str, Measurement]:
    """Accuracy on each slice, `<split>.slice.<column>.<value>`, and on the worst, `<split>.worst_slice`.

    `<split>.worst_slice.<column>` is the worst of each column. right: (N,) bool. A slice below min_images is not
    measured; `<split>.unmeasured.<column>` is the share of images that lie in such slices. Without a slice there is no
    worst one. groups: (N,) which group each image is of.
    """
    measured, left_out = {}, dict.fromkeys([each.column for each in slices], 0)
    large = [each for each in slices if len(each.rows) >= min_images]
    for each in slices:
        left_out[each.column] += len(each.rows) if len(each.rows) < min_images else 0
    for each in large:
        some = None if groups is None else groups[each.rows]
        measured[f"{split}.slice.{each.name}"] = share_right(right[each.rows], confidence, some)
    of_column = {f".{column}": [each for each in large if each.column == column] for column in left_out}
    for name, parts in {"": large, **of_column}.items():
        if parts:
            rows = [each.rows for each in parts]
            measured[f"{split}.worst_slice{name}"] = lowest_of(rows, right, groups, confidence)
    for column, images in left_out.items():
        measured[f"{split}.unmeasured.{column}"] = Measurement(
            value=images / len(right), n=len(right), unit="fraction"
        )
    return measured
