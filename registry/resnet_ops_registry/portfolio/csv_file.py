"""The portfolio as a table for other programs, such as `dvc plots`."""

from collections.abc import Iterator

from resnet_ops.files import csv_text
from resnet_ops_registry.portfolio.portfolio import SIZE, Portfolio, latency, memory

__all__ = ["portfolio_csv"]

COLUMNS = (
    *("model", "format", "version", "profile", "proposed_for", "score", "score_low", "score_high"),
    *("latency_p95_ms", "latency_p95_low", "latency_p95_high", "peak_memory_mb", "bytes"),
)


def portfolio_csv(portfolio: Portfolio) -> str:
    """One line for each entry and profile on which it was measured."""
    return csv_text(COLUMNS, _rows(portfolio))


def _rows(portfolio: Portfolio) -> Iterator[list[object]]:
    for entry in portfolio.entries:
        for profile in portfolio.profiles:
            p95 = entry.metrics.get(latency(profile).metric)
            if p95 is None:
                continue
            intervals = (entry.metrics[entry.by.metric], p95)
            rest = [entry.metrics.get(axis.metric) for axis in (memory(profile), SIZE)]
            yield [
                *(entry.name, entry.format, entry.version, profile, " ".join(portfolio.proposed_for(entry))),
                *(bound for each in intervals for bound in (each.value, each.low, each.high)),
                *(each.value if each else None for each in rest),
            ]
