"""Commands of `resnet-ops` that ask the gate: gate check, explain, simulate."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from resnet_ops.console import console
from resnet_ops_registry.cli.common import Json, Model, Version, connect_first, print_json
from resnet_ops_registry.cli.policy import gate_simulate

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["gate"]

gate = typer.Typer(help="Ask the gate about a version; changes nothing.", no_args_is_help=True)
gate.command("simulate")(gate_simulate)


@gate.command("check")
def gate_check(
    model: Model,
    version: Version,
    alias: Annotated[str, typer.Option(help="An alias; without it, all that the policy guards.")] = "",
    as_json: Json = False,
) -> None:
    """Say whether a version may carry an alias. Exit status 1 when it may not, or nothing is known about it.

    By a policy that observes it may, and what would be refused is told. Over http it is what the server found when the
    version's evidence, the policy or a key last changed.
    """
    from resnet_ops_registry.common.settings import is_direct
    from resnet_ops_registry.gate.gate import check, check_all

    if is_direct():
        connect_first()
        verdicts = [check(model, version, alias)] if alias else check_all(model, version)
        told = [verdict.as_json() for verdict in verdicts]
        lines = [verdict.message for verdict in verdicts]
    else:
        told = _told_by_server(model, version, alias)
        lines = [_line(each) for each in told]
    if as_json:
        print_json(told)
    for line in () if as_json else lines or (_nothing(model, version),):
        console.print(line)
    raise typer.Exit(0 if told and all(each["outcome"] != "refused" for each in told) else 1)


@gate.command("explain")
def gate_explain(model: Model, version: Version, as_json: Json = False) -> None:
    """Show every rule: what was measured, what is needed, and why."""
    from rich.table import Table

    from resnet_ops_registry.gate.gate import check_all

    connect_first()
    verdicts = check_all(model, version)
    if as_json:
        print_json([verdict.as_json() for verdict in verdicts])
        return
    if not verdicts:
        console.print(_nothing(model, version))
    for verdict in verdicts:
        console.print(verdict.message)
        table = Table("", "metric", "measured", "needed", "why")
        for rule in verdict.rules:
            table.add_row(
                "waived" if rule.waived else "passes" if rule.passed else "FAILS",
                rule.metric,
                rule.measured,
                rule.needed,
                f"{rule.why} (waived {rule.waived})" if rule.waived else rule.why,
            )
        if verdict.rules:
            console.print(table)


def _told_by_server(model: str, version: int, alias: str) -> list[dict[str, Any]]:
    """Of each alias and stage that the version's page speaks of."""
    from resnet_ops_registry.client.attesting import find_model_version
    from resnet_ops_registry.common.connection import connect
    from resnet_ops_registry.common.target import Target
    from resnet_ops_registry.gate.candidates import refusals_of
    from resnet_ops_registry.gate.verdict import OBSERVED

    wanted, client = Target.named(alias) if alias else None, connect()
    find_model_version(client, model, version)
    return [
        {
            "model": model,
            "version": version,
            "target": label,
            "allowed": refusal is None,
            "outcome": _outcome(refusal),
            "reasons": [] if refusal is None else [refusal.removeprefix(OBSERVED)],
        }
        for label, refusal in refusals_of(client, model, version).items()
        if wanted is None or Target.from_label(label).same_as(wanted)
    ]


def _outcome(refusal: str | None) -> str:
    from resnet_ops_registry.gate.verdict import OBSERVED

    if refusal is None:
        return "allowed"
    return "observed" if refusal.startswith(OBSERVED) else "refused"


def _line(told: "Mapping[str, Any]") -> str:
    may = {"allowed": "may become", "observed": "would have been refused as", "refused": "may not become"}
    what = f"{told['model']} v{told['version']} {may[told['outcome']]} {told['target']}"
    return ": ".join([what, *told["reasons"]]).rstrip(".") + "."


def _nothing(model: str, version: int) -> str:
    from resnet_ops_registry.common.settings import is_direct

    if is_direct():
        return f"No policy governs {model}. Apply one with: resnet-ops policy apply FILE"
    return (
        f"The server says nothing of {model} v{version}. It does once evidence is signed (resnet-ops attest evidence) "
        "and an operator applied a policy."
    )
