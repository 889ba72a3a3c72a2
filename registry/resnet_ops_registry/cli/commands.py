"""Commands of `resnet-ops` about the registry: promote, registry, keys, ledger, and those of other files."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resnet_ops.console import console
from resnet_ops_registry.cli.adopt import adopt
from resnet_ops_registry.cli.attest import attest
from resnet_ops_registry.cli.card import card
from resnet_ops_registry.cli.common import (
    LARGEST,
    Json,
    Model,
    OperatorKey,
    Version,
    connect_first,
    print_json,
    refresh_verdicts,
    signer,
)
from resnet_ops_registry.cli.embed import embed
from resnet_ops_registry.cli.gate import gate
from resnet_ops_registry.cli.operator import add_operator_commands
from resnet_ops_registry.cli.people import add_people_commands
from resnet_ops_registry.cli.policy import policy
from resnet_ops_registry.cli.portfolio import portfolio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["add_commands"]

registry = typer.Typer(help="What is registered.", no_args_is_help=True)
keys = typer.Typer(help="Whose signatures count.", no_args_is_help=True)
ledger = typer.Typer(help="Every decision, in order.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    """Add this package's commands to the application."""
    app.add_typer(attest, name="attest")
    app.add_typer(gate, name="gate")
    app.add_typer(registry, name="registry")
    app.add_typer(policy, name="policy")
    app.add_typer(keys, name="keys")
    app.add_typer(ledger, name="ledger")
    app.command("adopt")(adopt)
    app.command("promote")(promote)
    app.command("portfolio")(portfolio)
    app.command("ui")(ui)
    app.command("card")(card)
    app.command("embed")(embed)
    add_people_commands(app)
    add_operator_commands(app, ledger)


def promote(
    model: Model, version: Version, alias: Annotated[str, typer.Argument(help="Such as champion.")]
) -> None:
    """Give a version an alias, if the gate allows it. Exit status 1 when it is refused."""
    from resnet_ops_registry.client.promotion import promote as set_alias

    set_alias(model, version, alias)
    name = alias.removeprefix("@")
    console.print(f"{model} v{version} is @{name} now.")
    console.print(f"Its address: models:/{model}@{name}")
    console.print(f"Who decided what: resnet-ops ledger show --model {model}")


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 5000,
) -> None:
    """Start MLflow's server with the gate on the project's database."""
    from resnet_ops_registry.operations.server import run_server

    run_server(host, port)


@registry.command("ls")
def registry_ls(
    model: Annotated[str, typer.Argument(help="One registered model; without it, all.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Every version, and why the gate refuses it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the versions that have an alias and the newest of each member, with aliases and verdicts."""
    from resnet_ops_registry.client.listing import current, list_versions

    versions = list_versions(model)
    if as_json:
        print_json(versions)
        return
    if not versions:
        console.print("Nothing is registered yet. Run: make repro")
        return
    shown = versions if everything else current(versions)
    _show_versions(shown, in_full=everything)
    if not everything:
        older = len(versions) - len(shown)
        more = f"{older} older or experimental versions, and the " if older else "The "
        console.print(f"{more}reasons of the gate: resnet-ops registry ls --all")


def _show_versions(versions: "Sequence[Mapping[str, Any]]", in_full: bool) -> None:
    from rich.table import Table

    table = Table("model", "version", "member", "aliases", "evidence", "gate")
    for version in versions:
        verdicts = [
            f"{name}: {verdict if in_full else verdict.partition(':')[0]}"
            for name, verdict in version["gate"].items()
        ]
        experiment = f" (experiment {version['experiment']})" if version["experiment"] else ""
        table.add_row(
            version["model"],
            str(version["version"]),
            version["member"] + experiment,
            " ".join(f"@{alias}" for alias in version["aliases"]),
            version["evidence"],
            "\n".join(verdicts) if in_full else ", ".join(verdicts),
        )
    console.print(table)


@registry.command("onnx")
def registry_onnx(
    model: Model,
    version: Version,
    file: Annotated[Path, typer.Argument(help="Where the ONNX file is to be written.")],
) -> None:
    """Write the ONNX file of an exported version, with the decision at its signed operating point."""
    from resnet_ops.files import write_bytes
    from resnet_ops_registry.client.deciding_onnx import deciding_onnx
    from resnet_ops_registry.client.loading import load

    point, content = deciding_onnx(load(model, version))
    write_bytes(file, content)
    console.print(
        f"{file} gives score and decision beside what {model} v{version} gives: {' or '.join(point.positive)} from "
        f"{point.threshold:.6g} on.",
        markup=False,
    )


@keys.command("ls")
def keys_ls(as_json: Json = False) -> None:
    """List this machine's signing keys and the keys that the registry trusts."""
    from rich.table import Table

    from resnet_ops_registry.attestations.keys import list_keys
    from resnet_ops_registry.attestations.trust import list_trusted
    from resnet_ops_registry.common.settings import is_direct
    from resnet_ops_registry.database.tables import open_database

    rows = [{"key": key.public.id, "name": key.name, "where": "here", "role": ""} for key in list_keys()]
    if is_direct():
        with open_database() as connection:
            trusted = list_trusted(connection)
        rows += [
            {
                "key": key.id,
                "name": key.name,
                "where": "revoked" if key.revoked_at else "trusted",
                "role": key.role,
            }
            for key in trusted
        ]
    if as_json:
        print_json(rows)
        return
    table = Table("key", "name", "state", "role")
    for row in rows:
        table.add_row(row["key"][:16], row["name"], row["where"], row["role"])
    console.print(table)


@keys.command("new")
def keys_new(name: Annotated[str, typer.Argument(help="Such as pipeline, or your own name.")]) -> None:
    """Make a signing key, if there is none of this name."""
    from resnet_ops_registry.attestations.keys import open_key
    from resnet_ops_registry.common.settings import keys_folder

    key, public = open_key(name), keys_folder() / f"{name}.pub.pem"
    console.print(f"Key {name} is {key.public.id[:16]}; its public half is {public}.")
    console.print(f"Trust it on the server: resnet-ops keys trust {public} --role ROLE")


@keys.command("trust")
def keys_trust(
    file: Annotated[Path, typer.Argument(help="A public key, NAME.pub.pem.")],
    role: Annotated[str, typer.Option(help="Which of its statements count, such as pipeline.")],
    name: Annotated[str, typer.Option(help="What to call it; without it, the file's name.")] = "",
    key: OperatorKey = "",
) -> None:
    """Trust a key: what it signs counts from now on."""
    from resnet_ops_registry.attestations.keys import read_public_key
    from resnet_ops_registry.attestations.trust import trust_key
    from resnet_ops_registry.database.tables import open_database

    public = read_public_key(file)
    with open_database() as connection:
        trusted = trust_key(connection, public, name or file.name.split(".")[0], role, signer(key))
    console.print(f"Key {trusted.id[:16]} is trusted as {trusted.role} now.")


@keys.command("revoke")
def keys_revoke(
    key: Annotated[str, typer.Argument(help="The key's id, or its first 8 digits or more.")],
) -> None:
    """Revoke a key for good: nothing that it signed counts any more."""
    from resnet_ops_registry.attestations.trust import revoke_key
    from resnet_ops_registry.database.tables import open_database

    connect_first()
    with open_database() as connection:
        revoked = revoke_key(connection, key)
    console.print(f"Key {revoked.id[:16]} ({revoked.name}) is revoked; what it signed counts no more.")
    refresh_verdicts()


@ledger.command("show")
def ledger_show(
    model: Annotated[str, typer.Option(help="Only this registered model.")] = "",
    limit: Annotated[int, typer.Option(help="How many entries, the latest.", min=1, max=LARGEST)] = 50,
    as_json: Json = False,
) -> None:
    """Show who decided what, and on what grounds."""
    from dataclasses import asdict

    from rich.table import Table

    from resnet_ops_registry.attestations.people import in_words
    from resnet_ops_registry.database.ledger import list_entries
    from resnet_ops_registry.database.tables import open_database

    with open_database() as connection:
        entries = list_entries(connection, model or None, limit)
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    table = Table("no.", "time (UTC)", "who", "what", "version", "outcome", "reason")
    for entry in entries:
        event = entry.event
        when = datetime.fromtimestamp(entry.time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        version = f"{event.model} v{event.version}" if event.version else event.model or ""
        what = f"{event.action} {event.target or ''}".strip()
        reasons = "; ".join(event.detail.get("reasons", [])) or in_words(event.detail)
        table.add_row(str(entry.seq), when, event.actor, what, version, event.outcome, reasons)
    console.print(table)


@ledger.command("verify")
def ledger_verify(as_json: Json = False) -> None:
    """Check that no entry was changed or removed. Exit status 1 when one was."""
    from resnet_ops_registry.database.ledger import head, verify
    from resnet_ops_registry.database.tables import open_database

    with open_database() as connection:
        count, last = verify(connection), head(connection)
    if as_json:
        print_json({"entries": count, "head": last})
        return
    console.print(f"The ledger is whole: {count} entries, the last with hash {last[:16]}.")
