"""The portfolio as a page: the choices in words, the picture, the table. Self-contained, without scripts."""

from html import escape

from resnet_ops.page import document, table
from resnet_ops_registry.portfolio.cells import cells_of
from resnet_ops_registry.portfolio.picture import draw_portfolio
from resnet_ops_registry.portfolio.portfolio import Choice, Portfolio

__all__ = ["portfolio_page"]


def portfolio_page(portfolio: Portfolio) -> str:
    """The whole page."""
    title = f"Portfolio of {portfolio.model}"
    judged = (
        f"judged by {portfolio.policy}" if portfolio.policy else "with the verdicts on the versions' pages"
    )
    count = sum(entry.version is not None for entry in portfolio.entries)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{count} versions, {escape(judged)}, and {len(portfolio.entries) - count} exports that are '
        "not versions of their own.</p>",
        *(_choice(choice) for choice in portfolio.choices),
        _refused(portfolio),
        "<h2>Accuracy against what it costs</h2>",
        draw_portfolio(portfolio),
        "<h2>Every member, format and device</h2>",
        _table(portfolio),
        "<h2>Why not the others</h2>",
        *(_others(choice) for choice in portfolio.choices if choice.others),
        _notes(portfolio),
    ]
    return document(title, "\n".join(filter(None, parts)), broad=True)


def _choice(choice: Choice) -> str:
    tone = "good" if choice.proposed else "bad"
    named = choice.proposed.label if choice.proposed else "no version"
    return (
        f'<section class="verdict {tone}"><h2>{escape(choice.target)}: {escape(named)}</h2>'
        f"<p>{escape(choice.reason)}</p></section>"
    )


def _refused(portfolio: Portfolio) -> str:
    items = "".join(f"<li>{escape(each)}</li>" for each in portfolio.refused)
    return f"<h2>Exports that were refused</h2><ul>{items}</ul>" if items else ""


def _table(portfolio: Portfolio) -> str:
    columns = [("model", False), (portfolio.headline.label, True)]
    columns += [(f"{what}, {profile}", True) for what in ("p95 ms", "MiB") for profile in portfolio.profiles]
    columns += [("KB", True), *((choice.target, False) for choice in portfolio.choices), ("Pareto", False)]
    rows = []
    for entry in portfolio.entries:
        cells = cells_of(portfolio, entry)
        numbers = [cells.score, *cells.p95s, *cells.peaks, cells.size]
        kind = "pick" if portfolio.proposed_for(entry) else ""
        rows.append((kind, [cells.model, *numbers, *cells.verdicts, cells.pareto]))
    return table(columns, rows)


def _others(choice: Choice) -> str:
    items = "".join(f"<li><b>{escape(entry.label)}</b> {escape(why)}</li>" for entry, why in choice.others)
    return f"<h3>{escape(choice.target)}</h3><ul>{items}</ul>"


def _notes(portfolio: Portfolio) -> str:
    notes = [
        "The proposal is the most accurate version that the gate accepts; of equally accurate ones, the earlier.",
        "“Worse than another” means nowhere better and somewhere worse, by the numbers without their intervals.",
        "Exports that are not versions are timed with single images and fewer requests; profiles with the same device "
        "and threads share that measurement.",
    ]
    if any(entry.noisy for entry in portfolio.entries):
        notes.append("* something else ran on the machine while this was measured, or nobody can tell.")
    if not portfolio.policy:
        notes.append("Only the server knows the policy in force, so its limits are not drawn.")
    notes += [f"Not shown: {each}." for each in portfolio.unknown]
    return "".join(f'<p class="soft small">{escape(note)}</p>' for note in notes)
