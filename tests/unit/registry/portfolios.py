"""Portfolios made by hand."""

from collections.abc import Mapping

from resnet_ops_registry.attestations.evidence import Metric
from resnet_ops_registry.portfolio.pareto import Axis
from resnet_ops_registry.portfolio.portfolio import (
    SIZE,
    Budget,
    Entry,
    Portfolio,
    choose,
    latency,
    memory,
)

__all__ = ["AXES", "entry", "portfolio_of"]

AXES = [Axis("test.top1", True, "top-1"), latency("edge"), memory("edge"), SIZE]


def entry(
    name: str,
    version: int | None,
    top1: float,
    *,
    p95: float = 1.0,
    megabytes: float = 100,
    size: float = 1000,
    refusals: Mapping[str, str | None] | None = None,
    format_: str = "weights",
    aliases: tuple[str, ...] = (),
) -> Entry:
    """What was measured on the profile `edge`; it passes for @champion, unless told otherwise."""
    metrics = {
        "test.top1": Metric(value=top1, n=360, low=top1 - 0.02, high=top1 + 0.01, method="wilson 0.95"),
        "edge.latency_p95_ms": Metric(value=p95, n=400, low=0.9 * p95, high=1.1 * p95, unit="ms"),
        "edge.peak_memory_mb": Metric(value=megabytes, n=1, unit="MiB"),
        "size.bytes": Metric(value=size, n=1, unit="bytes"),
    }
    said = {"@champion": None} if refusals is None and version is not None else refusals or {}
    return Entry(name=name, format=format_, version=version, metrics=metrics, refusals=said, aliases=aliases)


def portfolio_of(*entries: Entry, budgets: tuple[Budget, ...] = (), model: str = "digits") -> Portfolio:
    return Portfolio(
        model=model,
        policy=f"{model} policy 1",
        profiles=("edge",),
        entries=entries,
        budgets=budgets,
        choices=(choose("@champion", entries, AXES),),
        refused=(),
        unknown=(),
    )
