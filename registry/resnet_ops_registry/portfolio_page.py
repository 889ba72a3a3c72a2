"""The portfolio as a page: the choices in words, the picture, the table. Self-contained, without scripts."""

from html import escape

from resnet_ops.page import document, table
from resnet_ops_registry.evidence import Metric, show_number
from resnet_ops_registry.portfolio import ACCURACY, SIZE, Choice, Entry, Portfolio, latency, memory
from resnet_ops_registry.portfolio_picture import draw_portfolio

__all__ = ["portfolio_page", "portfolio_table"]


def portfolio_page(portfolio: Portfolio) -> str:
    """The whole page."""
    title = f"Portfolio of {portfolio.model}"
    judged = (
        f"judged by {portfolio.policy}" if portfolio.policy else "with the verdicts on the versions' pages"
    )
    count = sum(entry.version is not None for entry in portfolio.entries)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{count} versions, {escape(judged)}, and {len(portfolio.entries) - count} exports that are no '
        "version of their own.</p>",
        *(_choice(choice) for choice in portfolio.choices),
        "<h2>Accuracy against what it costs</h2>",
        draw_portfolio(portfolio),
        "<h2>Every member, format and device</h2>",
        _table(portfolio),
        "<h2>Why not the others</h2>",
        *(_others(choice) for choice in portfolio.choices if choice.others),
        _notes(portfolio),
    ]
    return document(title, "\n".join(filter(None, parts)), broad=True)


def portfolio_table(portfolio: Portfolio) -> tuple[list[tuple[str, bool]], list[tuple[Entry, list[str]]]]:
    """Columns (heading, is a number), and for each entry its cells."""
    columns = [("model", False), ("format", False), ("top-1", True)]
    columns += [(f"p95 ms, {profile}", True) for profile in portfolio.profiles]
    columns += [(f"MiB, {profile}", True) for profile in portfolio.profiles]
    columns += [("KB", True)]
    columns += [(choice.target, False) for choice in portfolio.choices]
    columns += [("Pareto", False)]
    return columns, [(entry, _cells(portfolio, entry)) for entry in portfolio.entries]


def _cells(portfolio: Portfolio, entry: Entry) -> list[str]:
    p95s = [_number(entry.metrics.get(latency(name).metric)) for name in portfolio.profiles]
    starred = [
        f"{cell}*" if name in entry.disturbed else cell
        for name, cell in zip(portfolio.profiles, p95s, strict=True)
    ]
    peaks = [entry.metrics.get(memory(name).metric) for name in portfolio.profiles]
    size = entry.metrics.get(SIZE.metric)
    rival = portfolio.dominated_by(entry)
    return [
        " ".join([entry.label, *(f"@{alias}" for alias in entry.aliases)]),
        entry.format,
        _number(entry.metrics[ACCURACY.metric]),
        *starred,
        *(f"{peak.value:,.0f}" if peak else "-" for peak in peaks),
        f"{size.value / 1000:,.0f}" if size else "-",
        *(_verdict(choice, entry) for choice in portfolio.choices),
        f"worse than {rival.short}" if rival else "front",
    ]


def _number(metric: Metric | None) -> str:
    if metric is None:
        return "-"
    if metric.low is None or metric.high is None:
        return show_number(metric.value)
    return f"{show_number(metric.value)} ({show_number(metric.low)}-{show_number(metric.high)})"


def _verdict(choice: Choice, entry: Entry) -> str:
    if entry.version is None:
        return "no version"
    if choice.proposed is entry:
        return "proposed"
    return "passes" if entry.refusals.get(choice.target, "not judged") is None else "refused"


def _choice(choice: Choice) -> str:
    tone = "good" if choice.proposed else "bad"
    named = choice.proposed.label if choice.proposed else "no version"
    return (
        f'<section class="verdict {tone}"><h2>{escape(choice.target)}: {escape(named)}</h2>'
        f"<p>{escape(choice.reason)}</p></section>"
    )


def _table(portfolio: Portfolio) -> str:
    columns, rows = portfolio_table(portfolio)
    return table(columns, [("pick" if portfolio.proposed_for(entry) else "", cells) for entry, cells in rows])


def _others(choice: Choice) -> str:
    items = "".join(f"<li><b>{escape(entry.label)}</b> {escape(why)}</li>" for entry, why in choice.others)
    return f"<h3>{escape(choice.target)}</h3><ul>{items}</ul>"


def _notes(portfolio: Portfolio) -> str:
    notes = [
        "Proposed is the most accurate version that the gate lets pass; of equally accurate ones the earlier.",
        "Worse than another means: nowhere better and somewhere worse, by the numbers without their intervals.",
        "Exports that are no version are timed with single images and fewer requests; profiles with the same device "
        "and threads share that measurement.",
    ]
    if any(entry.disturbed for entry in portfolio.entries):
        notes.append("* something else ran on the machine while this was measured, or nobody can tell.")
    if not portfolio.policy:
        notes.append("The policy in force is known on the server alone, so its limits are not drawn.")
    notes += [f"Not shown: {each}." for each in portfolio.unknown]
    return "".join(f'<p class="soft small">{escape(note)}</p>' for note in notes)
