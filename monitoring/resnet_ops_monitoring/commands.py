"""Commands of `resnet-ops` that belong to monitoring."""

import typer

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Add this package's commands to the application."""
