"""What the portfolio's table says of one entry, for the page and for the terminal."""

from typing import NamedTuple

from resnet_ops_registry.attestations.evidence import Metric, show_number
from resnet_ops_registry.portfolio.portfolio import SIZE, Choice, Entry, Portfolio, latency, memory

__all__ = ["Cells", "cells_of"]


class Cells(NamedTuple):
    """Plain text. `p95s` and `peaks`: one for each profile; `verdicts`: one for each choice."""

    model: str
    score: str
    p95s: list[str]
    peaks: list[str]
    size: str
    verdicts: list[str]
    pareto: str


def cells_of(portfolio: Portfolio, entry: Entry) -> Cells:
    """The row of an entry; a star is at what was measured while something else ran."""
    peaks = [entry.metrics.get(memory(name).metric) for name in portfolio.profiles]
    size, rival = entry.metrics.get(SIZE.metric), portfolio.dominated_by(entry)
    return Cells(
        model=" ".join([_named(entry), *(f"@{alias}" for alias in entry.aliases)]),
        score=_number(entry.metrics[entry.by.metric]),
        p95s=[
            _number(entry.metrics.get(latency(name).metric)) + ("*" if name in entry.noisy else "")
            for name in portfolio.profiles
        ],
        peaks=[f"{peak.value:,.0f}" if peak else "-" for peak in peaks],
        size=f"{size.value / 1000:,.0f}" if size else "-",
        verdicts=[_verdict(choice, entry) for choice in portfolio.choices],
        pareto=f"worse than {rival.short}" if rival else "front",
    )


def _named(entry: Entry) -> str:
    """The label, with the format where the name does not tell it."""
    told = entry.format == "weights" or entry.name.endswith(f"-{entry.format}")
    return entry.label if told else f"{entry.label} ({entry.format})"


def _number(metric: Metric | None) -> str:
    if metric is None:
        return "-"
    if metric.low is None or metric.high is None:
        return show_number(metric.value)
    return f"{show_number(metric.value)} ({show_number(metric.low)}-{show_number(metric.high)})"


def _verdict(choice: Choice, entry: Entry) -> str:
    if entry.version is None:
        return "-"
    if choice.proposed is entry:
        return "proposed"
    return "passes" if entry.refusals.get(choice.target, "not judged") is None else "refused"
