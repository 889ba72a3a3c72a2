"""The command line `resnet-ops`, assembled from the entry points in group `resnet_ops.commands`.

Each entry point is a function that takes the typer application and adds its commands to it.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

import typer

from resnet_ops.console import report_errors

__all__ = ["build_app", "main"]


def build_app() -> typer.Typer:
    """The application with every installed command."""
    app = typer.Typer(
        name="resnet-ops",
        help="Train ResNet families, gate their promotion on signed evidence, watch them for drift.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    @app.callback()
    def _group() -> None:
        """Keep the command names even while only one command is installed."""

    for entry_point in sorted(entry_points(group="resnet_ops.commands"), key=lambda point: point.name):
        entry_point.load()(app)
    return app


def main() -> None:
    """Entry point of the console script: 0 done or allowed, 1 denied or failed, 2 wrong usage."""
    os.environ.setdefault("COLUMNS", "100") if not sys.stdout.isatty() else None
    with report_errors():
        _check_words(sys.argv)
        build_app()()


def _check_words(words: Sequence[str]) -> None:
    """Bytes that are no UTF-8 could be kept in no database and no file: said once, for every command."""
    for number, word in enumerate(words):
        if any("\ud800" <= sign <= "\udfff" for sign in word):
            sys.stderr.write(f"Word {number} of the command, {word!r}, is not UTF-8. Write it in UTF-8.\n")
            raise SystemExit(2)
