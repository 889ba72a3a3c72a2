"""Commands of `resnet-ops serve`: start, which may be left out, and status."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from resnet_ops.console import console, report_errors
from resnet_ops.extras import require
from resnet_ops_monitoring.cli.log_url import Log, log_url

__all__ = ["add_serve_commands"]


class _StartByDefault(TyperGroup):
    """`serve models:/NAME@ALIAS` means `serve start models:/NAME@ALIAS`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words of the command, with `start` before them where no command is named."""
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["start", *args]
        return super().parse_args(ctx, args)


def add_serve_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    serve = typer.Typer(
        cls=_StartByDefault,
        no_args_is_help=True,
        help="Answer with a version that the gate let pass: `resnet-ops serve models:/NAME@ALIAS`.",
    )
    serve.command("start")(_start)
    serve.command("status")(_status)
    app.add_typer(serve, name="serve")


def _start(
    uri: Annotated[str, typer.Argument(help="models:/NAME@ALIAS.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Instead of serve.port of the settings.")] = None,
    params: Annotated[Path, typer.Option(help="File with the settings, under serve and data.")] = Path(
        "params.yaml"
    ),
    log: Log = "",
    no_log: Annotated[bool, typer.Option("--no-log", help="Log no answers.")] = False,
    ungated: Annotated[
        bool, typer.Option("--ungated", help="Also what the gate never let pass; every answer says so.")
    ] = False,
) -> None:
    """Score images over HTTP, follow the alias, and log every answer, until told to stop."""
    with report_errors("serve"):
        require("serve", "fastapi", "httptools", "uvicorn")
        from resnet_ops_monitoring.serving.server import Server

        where = None if no_log else log_url(log)
        Server(uri, params, where, ungated).run(host, port)


def _status(
    url: Annotated[str, typer.Option(help="Of the running server.")] = "http://127.0.0.1:8080",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
) -> None:
    """Show which versions a running server asks, also in shadow and canary, its queue, and the log. Exit 1: trouble."""
    with report_errors("serve status"):
        from resnet_ops_monitoring.serving.running import ask_status

        found = ask_status(url)
        beside = [found[name] for name in ("shadow", "canary") if found[name]]
        troubled = any(each["trouble"] for each in (found, *beside))
        if as_json:
            typer.echo(json.dumps(found))
        else:
            console.print(
                f"{found['model']} v{found['version']} ({found['gate']}), digest {found['digest'][:12]}"
            )
            console.print(
                f"{found['under_way']} requests under way, {found['waiting']} images wait for the model."
            )
            console.print(f"{found['swaps']} versions took over since the start.")
            console.print(_log_words(found["log"]))
            for line in _beside_words(found):
                console.print(line)
            if found["trouble"] or not troubled:
                console.print(found["trouble"] or "No trouble.")
    raise typer.Exit(1 if troubled else 0)


def _beside_words(found: dict[str, Any]) -> Iterator[str]:
    """Of the versions in shadow and canary."""
    shadow, canary = found["shadow"], found["canary"]
    for name, beside in (("Shadow", shadow), ("Canary", canary)):
        version = beside and beside["version"]
        if version:
            yield f"{name}: v{version['version']} ({version['gate']}), digest {version['digest'][:12]}"
        elif beside:
            yield f"{name}: none"
        if beside and beside["trouble"]:
            yield f"{name}: {beside['trouble']}"
    if shadow and shadow["requests"]:
        counts = ", ".join(f"{count:,} {name}" for name, count in sorted(shadow["requests"].items()))
        yield f"In shadow: requests {counts}, {shadow['waiting']} wait."
    for route, counts in (canary or {"requests": {}})["requests"].items():
        words = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        yield f"Since the canary began, {route}: requests {words}."


def _log_words(log: dict[str, float] | None) -> str:
    if log is None:
        return "Answers are not logged."
    lost = sum(int(log[name]) for name in ("dropped", "refused", "damaged"))
    return (
        f"Log: {int(log['recorded']):,} rows taken, {int(log['written']):,} written, {int(log['depth']):,} in memory, "
        f"{int(log['disk_bytes']):,} bytes wait on disk, {lost:,} lost."
    )
