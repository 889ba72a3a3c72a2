"""Commands of `resnet-ops` about the core: which architectures there are, and whether all is set up right."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from resnet_ops.console import console
from resnet_ops.tasks.detection.commands import boxes

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Add this package's commands to the application."""
    app.command("families")(families)
    app.command("doctor")(doctor)
    app.add_typer(boxes, name="boxes")


def families(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table of docs/families.md.")
    ] = False,
) -> None:
    """List the architectures: parameters, arithmetic, input, paper, published accuracy."""
    from rich.table import Table

    from resnet_ops.families.table import family_table, table_as_markdown

    rows = family_table()
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    if markdown:
        typer.echo(table_as_markdown(rows), nl=False)
        return
    table = Table()
    for title in ("member", "parameters", "MFLOP", "input", "top-1 %", "paper"):
        table.add_column(title, justify="left" if title in ("member", "paper") else "right", no_wrap=True)
    for row in rows:
        accuracy = "-" if row.accuracy is None else f"{row.accuracy:g}"
        flops = f"{row.flops / 1e6:,.1f}"
        paper = row.paper.split(", arXiv")[0]
        table.add_row(row.name, f"{row.parameters:,}", flops, str(row.image_size), accuracy, paper)
    console.print(table)
    console.print("Settings and what they mean: docs/families.md")


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False) -> None:
    """Look at packages, settings, servers, databases, keys and this folder: what is wrong, and the remedy."""
    from resnet_ops.doctor import run_checks

    found = []
    for each in run_checks():
        found.append(each)
        if not as_json:
            style = {"fine": "green", "note": "yellow", "wrong": "bold red"}[each.state]
            console.print(f"{each.state:5}  {each.subject}: {each.text}", style=style)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=2))
    if any(each.state == "wrong" for each in found):
        raise SystemExit(1)
