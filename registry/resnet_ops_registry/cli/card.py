"""Command of `resnet-ops` that writes a version's model card: card."""

from pathlib import Path
from typing import Annotated

import typer

from resnet_ops.console import console
from resnet_ops_registry.cli.common import Json, Model, Version, print_json

__all__ = ["card"]


def card(
    model: Model,
    version: Version,
    output: Annotated[
        Path | None,
        typer.Option(help="Write it to this file: a page if the name ends in .html, else markdown."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a version's model card, made now from the evidence that the registry believes."""
    from resnet_ops.files import write_text
    from resnet_ops_registry.cards.page import as_page
    from resnet_ops_registry.cards.publishing import card_of
    from resnet_ops_registry.cards.text import as_markdown
    from resnet_ops_registry.common.connection import connect

    found = card_of(connect(), model, version)
    if as_json:
        print_json(found.as_json())
    if output is not None:
        write_text(output, as_page(found) if output.suffix.lower() == ".html" else as_markdown(found))
        if not as_json:
            console.print(f"The model card of {model} v{version} is in {output}.")
    elif not as_json:
        console.print(as_markdown(found), end="")
