"""What the registry's commands share: parameters, JSON, and a database that is ready."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resnet_ops_registry.attestations.keys import PrivateKey

__all__ = [
    "LARGEST",
    "Json",
    "Key",
    "Model",
    "OperatorKey",
    "Version",
    "connect_first",
    "print_json",
    "refresh_verdicts",
    "signer",
]

LARGEST = 2**31 - 1
"""What an INTEGER column holds in every database."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Key = Annotated[str, typer.Option(help="Name of your signing key, as in `resnet-ops keys ls`.")]
Model = Annotated[str, typer.Argument(help="Name of the registered model.")]
OperatorKey = Annotated[
    str, typer.Option("--key", help="Name of an operator's signing key; needed as soon as one is trusted.")
]
Version = Annotated[int, typer.Argument(help="Number of its version.", min=1, max=LARGEST)]


def signer(name: str) -> "PrivateKey | None":
    """The signing key of that name, which must be there; None without a name."""
    from resnet_ops_registry.attestations.keys import read_key

    return read_key(name) if name else None


def connect_first() -> None:
    """Have MLflow make its tables in a database that is new."""
    from resnet_ops_registry.common.connection import connect
    from resnet_ops_registry.common.settings import database_uri

    database_uri()
    connect().search_registered_models(max_results=1)


def refresh_verdicts() -> None:
    """Show on every version's page what the gate says now; after what changed it was committed."""
    from resnet_ops.console import console
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.gate.display import refresh_tags

    with open_database() as connection:
        problems = refresh_tags(connection)
    for problem in problems:
        console.print(f"Refused until this is fixed: {problem}")


def print_json(value: Any) -> None:
    """Print a value for programs."""
    typer.echo(json.dumps(value, indent=2, default=str))
