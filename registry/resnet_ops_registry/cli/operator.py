"""Commands of `resnet-ops` for whoever runs the registry: the second line, the audit, exports, the webhook."""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from resnet_ops.console import console
from resnet_ops.errors import ConfigError, ServiceError
from resnet_ops_registry.cli.common import Json, OperatorKey, connect_first, signer

__all__ = ["add_operator_commands"]

db = typer.Typer(help="The registry's database.", no_args_is_help=True)
audit = typer.Typer(help="Compare what serves with what was decided.", no_args_is_help=True)
webhook = typer.Typer(help="Send decisions to a webhook.", no_args_is_help=True)


def add_operator_commands(app: typer.Typer, ledger: typer.Typer) -> None:
    """Add these commands to the application, and `export` to the ledger's."""
    app.add_typer(db, name="db")
    app.add_typer(audit, name="audit")
    app.add_typer(webhook, name="webhook")
    app.add_typer(webhook, name="events", hidden=True)  # the name of earlier releases
    ledger.command("export")(ledger_export)


@db.command("harden")
def db_harden(key: OperatorKey = "") -> None:
    """Install triggers: the database itself then refuses changes that bypass the gate (SQLite, PostgreSQL)."""
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.store.harden import harden

    connect_first()
    with open_database() as connection:
        new = harden(connection, signer(key))
    state = "is hardened now" if new else "was hardened already; its triggers were installed again"
    console.print(f"The database {state}.")
    console.print("From now on only the gate can set aliases and stages.")
    console.print("To undo this: resnet-ops db unharden")


@db.command("unharden")
def db_unharden(key: OperatorKey = "") -> None:
    """Remove the triggers; the gate in the server stays."""
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.store.harden import unharden

    with open_database() as connection:
        removed = unharden(connection, signer(key))
    console.print("The triggers are removed." if removed else "There were no triggers.")


@audit.command("verify")
def audit_verify(
    artifacts: Annotated[
        str, typer.Option(help="The server's --artifacts-destination; without it, var/artifacts.")
    ] = "",
    head: Annotated[str, typer.Option(help="A hash of the ledger's head from an earlier audit.")] = "",
    as_json: Json = False,
) -> None:
    """Check ledger, aliases, stages, files, statements, keys, policies. Exit status 1 on a finding."""
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.operations.audit import verify

    if artifacts:
        os.environ["RESNET_OPS_ARTIFACTS"] = artifacts
    with open_database() as connection:
        report = verify(connection, head or None)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
        raise typer.Exit(1 if report.findings else 0)
    for finding in report.findings:
        console.print(f"FOUND  {finding}")
    for note in report.notes:
        console.print(f"note   {note}")
    for line in report.extended:
        console.print(f"new    {line}")
    looked = f"{report.entries} ledger entries, {report.guarded} guarded aliases and stages"
    looked += f", {report.statements} statements; {'hardened' if report.hardened else 'not hardened'}"
    verdict = f"{len(report.findings)} findings" if report.findings else "Nothing bypassed the gate"
    console.print(f"{verdict} ({looked}).")
    console.print(f"Keep this elsewhere for the next audit: --head {report.head}")
    raise typer.Exit(1 if report.findings else 0)


def ledger_export(
    format: Annotated[str, typer.Option(help="jsonl or csv.")] = "jsonl",
    model: Annotated[str, typer.Option(help="Only this registered model.")] = "",
    out: Annotated[Path | None, typer.Option(help="A file to write; without it, standard output.")] = None,
) -> None:
    """Write every entry for an auditor: JSON Lines with the hashes of the chain, or CSV."""
    from resnet_ops.files import write_text
    from resnet_ops_registry.database.ledger import list_entries
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.operations.exporting import as_csv, as_jsonl

    if format not in ("jsonl", "csv"):
        raise ConfigError(f"--format must be jsonl or csv, not {format!r}.")
    with open_database() as connection:
        entries = list_entries(connection, model or None)
    text = "".join(as_csv(entries) if format == "csv" else as_jsonl(entries))
    if out is None:
        typer.echo(text, nl=False)
        return
    write_text(out, text)
    console.print(f"Wrote {len(entries)} entries to {out}.")


@webhook.command("send")
def webhook_send(
    follow: Annotated[bool, typer.Option(help="Keep running, and send new decisions.")] = False,
    from_start: Annotated[bool, typer.Option(help="Send a new endpoint every decision ever made.")] = False,
    every: Annotated[
        float, typer.Option(help="Seconds between checks, with --follow.", min=0.1, max=3600)
    ] = 2.0,
    as_json: Json = False,
) -> None:
    """Send decisions to RESNET_OPS_WEBHOOK_URL, signed with RESNET_OPS_WEBHOOK_SECRET. Exit status 1 on failure."""
    from resnet_ops_registry.operations.outbox import configured_endpoint, send_due

    endpoint = configured_endpoint()
    if endpoint is None:
        raise ConfigError("Set RESNET_OPS_WEBHOOK_URL and RESNET_OPS_WEBHOOK_SECRET first.")
    parent = os.getppid()
    # started by `resnet-ops ui`, it ends with the server
    while follow and os.getppid() == parent:
        try:
            send_due(endpoint, from_start=from_start)
        except ServiceError as error:
            console.print(f"{error} Trying again.")
        time.sleep(every)
    if follow:
        return
    delivery = send_due(endpoint, from_start=from_start)
    if as_json:
        typer.echo(json.dumps(asdict(delivery)))
    else:
        console.print(f"Sent {delivery.sent} decisions.")
        if delivery.problem:
            console.print(f"The next one failed ({delivery.problem}) and will be retried.")
    raise typer.Exit(1 if delivery.problem else 0)
