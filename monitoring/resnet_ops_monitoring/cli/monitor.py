"""Commands of `resnet-ops monitor`: run, serve, show, propose, test-alert."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from resnet_ops.console import console, report_errors

__all__ = ["add_monitor_commands"]

Alias = Annotated[str, typer.Option(help="Watch this version; without it, the one of monitor.run.alias.")]
Model = Annotated[str, typer.Option(help="Registered model; without it, register.model of the settings.")]
Params = Annotated[Path, typer.Option(help="File with the settings, under monitor.")]
Reports = Annotated[Path, typer.Option(help="Folder with one sub-folder for each judged window.")]
Reference = Annotated[Path, typer.Option(help="What to judge against where MLflow keeps no reference.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
PARAMS, REPORTS, REFERENCE = (
    Path("params.yaml"),
    Path("var/monitor"),
    Path("data/reference/reference.parquet"),
)


def add_monitor_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    monitor = typer.Typer(
        no_args_is_help=True, help="Judge production traffic as it arrives, send alerts, and act."
    )
    monitor.command("run")(_run)
    monitor.command("serve")(_serve)
    monitor.command("watch", hidden=True)(_serve)  # the name of earlier releases
    monitor.command("show")(_show)
    monitor.command("propose")(_propose)
    monitor.command("test-alert")(_test_alert)
    app.add_typer(monitor, name="monitor")


def _run(
    model: Model = "",
    alias: Alias = "",
    until: Annotated[
        str, typer.Option(help="Judge as if it were this time, such as 2026-01-31T08:00Z.")
    ] = "",
    metrics: Annotated[
        Path | None, typer.Option(help="Write metrics for Prometheus' node exporter, NAME.prom.")
    ] = None,
    params: Params = PARAMS,
    reports: Reports = REPORTS,
    reference: Reference = REFERENCE,
    as_json: Json = False,
) -> None:
    """Judge every window that is due, tell of it and act, once. Exit 0: no alarm; 1: an alarm, or invalid data."""
    now = _moment(until)
    with report_errors("monitor run"):
        from resnet_ops_monitoring.service.monitor_service import MonitorService

        rounds = MonitorService.read(params, model, alias, reports, reference)
        done = rounds.once(now)
        if metrics is not None and done is not None:
            rounds.metrics.write(metrics)
        if done is None:
            console.print("Another run is at work; nothing was done.")
            return
        if as_json:
            typer.echo(json.dumps(done.to_dict()))
        else:
            for line in done.lines:
                console.print(line)
    raise typer.Exit(1 if done.troubled else 0)


def _serve(
    model: Model = "",
    alias: Alias = "",
    params: Params = PARAMS,
    reports: Reports = REPORTS,
    reference: Reference = REFERENCE,
) -> None:
    """Do what `monitor run` does again and again, with metrics for Prometheus, until it is told to stop."""
    with report_errors("monitor serve"):
        from resnet_ops_monitoring.service.monitor_service import MonitorService

        MonitorService.read(params, model, alias, reports, reference).serve()


def _show(
    model: Model = "",
    alias: Alias = "",
    limit: Annotated[int, typer.Option(help="How many windows, the latest.", min=1, max=1000)] = 20,
    params: Params = PARAMS,
    reports: Reports = REPORTS,
    reference: Reference = REFERENCE,
    as_json: Json = False,
) -> None:
    """Show the watched version, whether an alarm lasts, its latest windows, and alerts that have not arrived."""
    with report_errors("monitor show"):
        from rich.table import Table

        from resnet_ops_monitoring.drift.words import percent
        from resnet_ops_monitoring.service.alerts import configured_addresses
        from resnet_ops_monitoring.service.monitor_service import MonitorService

        monitor = MonitorService.read(params, model, alias, reports, reference).monitor()
        identity = monitor.watched.identity
        recent = monitor.history.recent(identity, limit=limit)
        alarm, waiting = monitor.alarm(), monitor.alerts.waiting(configured_addresses())
        if as_json:
            about = {
                "model": identity.name,
                "version": identity.version,
                "alarm": alarm,
                "alerts_waiting": waiting,
            }
            typer.echo(json.dumps({**about, "windows": [each.to_dict() for each in recent]}))
            return
        console.print(f"{identity} (@{monitor.watched.alias}): {'an alarm lasts' if alarm else 'no alarm'}.")
        console.print(f"{waiting} alerts have not arrived." if waiting else "No alert waits.")
        table = Table("window", "rows", "verdict", "estimated", "reason", box=None)
        for each in recent:
            estimate = "" if each.estimated_accuracy is None else percent(each.estimated_accuracy)
            table.add_row(each.window, str(each.rows), each.headline, estimate, each.reason)
        if recent:
            console.print(table)


def _propose(
    window: Annotated[str, typer.Argument(help="A window, as in `resnet-ops monitor show`.")],
    queue: Annotated[bool, typer.Option(help="Also queue `dvc exp run`.")] = False,
    model: Model = "",
    alias: Alias = "",
    params: Params = PARAMS,
    reports: Reports = REPORTS,
    reference: Reference = REFERENCE,
) -> None:
    """Write a window's least confident and newest images as a list to label."""
    with report_errors("monitor propose"):
        from resnet_ops_monitoring.service.actions import propose_retraining
        from resnet_ops_monitoring.service.monitor_service import MonitorService

        monitor = MonitorService.read(params, model, alias, reports, reference).monitor()
        console.print(propose_retraining(monitor, window, queue=queue))


def _test_alert() -> None:
    """Send a message to every alert address. Exit 1 when one does not take it, or there is none."""
    with report_errors("monitor test-alert"):
        from resnet_ops.errors import ConfigError
        from resnet_ops_monitoring.service.alerts import FILE, URLS, configured_addresses, send

        addresses = configured_addresses()
        if not addresses:
            raise ConfigError(f"There is no alert address. Set {URLS} or {FILE}.")
        arrived = [
            send(each, "resnet-ops: a test", "Alerts of the monitor arrive here.") for each in addresses
        ]
        for address, took in zip(addresses, arrived, strict=True):
            console.print(f"{address}: {'took the message' if took else 'did not take it'}")
    raise typer.Exit(0 if all(arrived) else 1)


def _moment(text: str) -> datetime:
    if not text:
        return datetime.now(UTC)
    from resnet_ops_monitoring.cli.moments import read_moment

    return read_moment(text, "--until")
