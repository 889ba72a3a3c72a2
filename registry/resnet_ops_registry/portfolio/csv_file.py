"""The portfolio as a table for other programs, such as `dvc plots`."""

import csv
import io

from resnet_ops_registry.portfolio.portfolio import SIZE, Portfolio, latency, memory

__all__ = ["portfolio_csv"]

COLUMNS = (
    *("model", "format", "version", "profile", "proposed_for", "score", "score_low", "score_high"),
    *("latency_p95_ms", "latency_p95_low", "latency_p95_high", "peak_memory_mb", "bytes"),
)


def portfolio_csv(portfolio: Portfolio) -> str:
    """One line for each entry and profile on which it was measured."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ends = ("value", "low", "high")
    writer.writerow(COLUMNS)
    for entry in portfolio.entries:
        for profile in portfolio.profiles:
            p95 = entry.metrics.get(latency(profile).metric)
            if p95 is None:
                continue
            score = entry.metrics[entry.by.metric]
            rest = [entry.metrics.get(axis.metric) for axis in (memory(profile), SIZE)]
            writer.writerow(
                [entry.name, entry.format, entry.version, profile, " ".join(portfolio.proposed_for(entry))]
                + [getattr(metric, end) for metric in (score, p95) for end in ends]
                + [metric.value if metric else None for metric in rest]
            )
    return out.getvalue()
