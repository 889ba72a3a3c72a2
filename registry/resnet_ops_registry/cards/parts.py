"""What a model card is made of, before it is markdown or a page: facts, tables, sections."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from resnet_ops_registry.attestations.evidence import Metric, show_number

__all__ = [
    "LONGEST",
    "NOT_MEASURED",
    "Fact",
    "Row",
    "Section",
    "Table",
    "interval",
    "measured_table",
    "number",
]

NOT_MEASURED = "not measured"
LONGEST = 20
"""Rows of a table at most: the worst ones, where there are more."""


@dataclass(frozen=True)
class Fact:
    """A number that is seen first, with small print."""

    name: str
    value: str
    more: str = ""


@dataclass(frozen=True)
class Row:
    """Cells of plain text. A `hit` is bad news, a `note` is doubtful."""

    cells: tuple[str, ...]
    kind: Literal["", "hit", "note"] = ""


@dataclass(frozen=True)
class Table:
    """columns: (heading, is a number)."""

    columns: tuple[tuple[str, bool], ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Section:
    """Plain text all through. `by_hand`: people wrote it. `commands`: lines for a shell."""

    title: str
    notes: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    table: Table | None = None
    commands: tuple[str, ...] = ()
    by_hand: bool = False


def number(metric: Metric | None) -> str:
    """The value with its unit, or that it was not measured."""
    if metric is None:
        return NOT_MEASURED
    unit = f" {metric.unit}" if metric.unit and metric.unit not in ("fraction", "1") else ""
    return f"{show_number(metric.value)}{unit}"


def interval(metric: Metric | None) -> str:
    """Such as `0.929 to 0.967`, or a dash where there is none."""
    if metric is None or metric.low is None or metric.high is None:
        return "–"
    return f"{show_number(metric.low)} to {show_number(metric.high)}"


def measured_table(
    metrics: Mapping[str, Metric], rows: Iterable[tuple[str, str]], missing: bool = True
) -> Table:
    """rows: (in words, name in the evidence). What is missing is said to be, unless `missing` is False."""
    columns = (("", False), ("measured", True), ("interval", True), ("n", True), ("in the evidence", False))
    shown = [
        Row((words, number(found), interval(found), f"{found.n:,}" if found else "–", name))
        for words, name in rows
        if (found := metrics.get(name)) is not None or missing
    ]
    return Table(columns, tuple(shown))
