"""Command `resnet-ops portfolio`: what could be deployed, what it costs, and what is proposed."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resnet_ops.console import console
from resnet_ops_registry.cli.common import Json, print_json

if TYPE_CHECKING:
    from resnet_ops_registry.portfolio.portfolio import Portfolio

__all__ = ["portfolio"]


def portfolio(
    model: Annotated[str, typer.Argument(help="A registered model; without it, the only one there is.")] = "",
    output: Annotated[Path | None, typer.Option(help="Write the page with the picture here.")] = None,
    reports: Annotated[Path, typer.Option(help="Where exports that are not versions were measured.")] = Path(
        "reports"
    ),
    as_json: Json = False,
) -> None:
    """Show members, formats and devices against each other, and which version is proposed for each alias, and why."""
    from resnet_ops.files import write_text
    from resnet_ops_registry.portfolio.page import portfolio_page
    from resnet_ops_registry.portfolio.reading import read_portfolio

    found = read_portfolio(model, reports)
    if output is not None:
        write_text(output, portfolio_page(found))
    if as_json:
        print_json(_as_json(found))
        return
    _show(found)
    if output is not None:
        console.print(f"The page with the picture: {output}")


def _show(found: "Portfolio") -> None:
    from rich.table import Table

    from resnet_ops_registry.portfolio.cells import cells_of

    profiles, targets = "\n".join(found.profiles), "\n".join(choice.target for choice in found.choices)
    table = Table(title=found.model, title_justify="left", show_lines=True)
    for name in (
        "model",
        found.headline.label,
        f"p95 ms\n{profiles}",
        f"MiB\n{profiles}",
        "KB",
        f"gate\n{targets}",
        "Pareto",
    ):
        table.add_column(name, overflow="fold")
    for entry in found.entries:
        cells = cells_of(found, entry)
        columns = ["\n".join(each) for each in (cells.p95s, cells.peaks)]
        verdicts = "\n".join(cells.verdicts) if entry.version else "no version"
        table.add_row(cells.model, cells.score, *columns, cells.size, verdicts, cells.pareto)
    console.print(table)
    for choice in found.choices:
        console.print(f"{choice.target}: {choice.reason}")
        for entry, why in choice.others:
            console.print(f"  {entry.label} {why}")
    if not found.choices:
        console.print(f"No policy governs {found.model}. Apply one with: resnet-ops policy apply FILE")
    for each in found.refused:
        console.print(each)
    for each in found.unknown:
        console.print(f"Not shown: {each}.")


def _as_json(found: "Portfolio") -> dict[str, Any]:
    return {
        "model": found.model,
        "policy": found.policy,
        "profiles": list(found.profiles),
        "entries": [
            {
                "name": entry.name,
                "format": entry.format,
                "version": entry.version,
                "aliases": list(entry.aliases),
                "refusals": dict(entry.refusals),
                "disturbed": list(entry.noisy),
                "metrics": {
                    axis.metric: entry.metrics[axis.metric].model_dump()
                    for axis in found.axes
                    if axis.metric in entry.metrics
                },
                "dominated_by": rival.label if (rival := found.dominated_by(entry)) else None,
            }
            for entry in found.entries
        ],
        "budgets": [asdict(budget) for budget in found.budgets],
        "choices": [
            {
                "target": choice.target,
                "serving": choice.serving.version if choice.serving else None,
                "proposed": choice.proposed.version if choice.proposed else None,
                "reason": choice.reason,
                "others": {entry.label: why for entry, why in choice.others},
            }
            for choice in found.choices
        ],
        "refused": list(found.refused),
        "unknown": list(found.unknown),
    }
