"""Commands of `resnet-ops` by which people speak: approve, waive, rollback, retire, unretire."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_ops.console import console
from resnet_ops_registry.cli.common import Key, Model, Version

if TYPE_CHECKING:
    from resnet_ops_registry.common.target import Target

__all__ = ["add_people_commands"]

Alias = Annotated[str, typer.Argument(help="Such as champion.")]
Until = Annotated[str, typer.Option(help="A day such as 2027-01-31, or a duration such as 14d.")]
Stage = Annotated[bool, typer.Option("--stage", help="ALIAS is the name of a stage, such as Production.")]


def add_people_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    for command in (approve, waive, rollback, retire, unretire):
        app.command(command.__name__)(command)


def approve(
    model: Model,
    version: Version,
    alias: Alias,
    until: Until,
    key: Key,
    comment: Annotated[str, typer.Option(help="For whoever reads the ledger.")] = "",
    stage: Stage = False,
) -> None:
    """Answer for a version on one alias, with your signature."""
    from resnet_ops_registry.attestations.keys import read_key
    from resnet_ops_registry.attestations.predicates import Approval, spoken
    from resnet_ops_registry.client.attesting import attest
    from resnet_ops_registry.common.connection import connect
    from resnet_ops_registry.common.deadlines import read_until

    now, target = datetime.now(UTC), _target(alias, stage)
    approval = spoken(Approval, target=target, until=read_until(until, now), comment=comment, created=now)
    found = attest(connect(), model, version, approval, read_key(key))
    console.print(f"{key} approves {model} v{version} for {target.label} until {approval.until:%Y-%m-%d}.")
    _print_verdict(found.tags, target)
    console.print(f"Promote it: resnet-ops promote {model} {version} {target.name}")


def waive(
    model: Model,
    version: Version,
    alias: Alias,
    rule: Annotated[str, typer.Option(help="Id of the rule in the policy.")],
    until: Until,
    why: Annotated[str, typer.Option(help="For whoever reads the ledger.")],
    key: Key,
    stage: Stage = False,
) -> None:
    """Waive one failed rule for a version on one alias, for a time, if the policy allows it."""
    from resnet_ops_registry.attestations.keys import read_key
    from resnet_ops_registry.attestations.predicates import Waiver, spoken
    from resnet_ops_registry.client.attesting import attest
    from resnet_ops_registry.common.connection import connect
    from resnet_ops_registry.common.deadlines import read_until

    now, target = datetime.now(UTC), _target(alias, stage)
    waiver = spoken(Waiver, target=target, rule=rule, until=read_until(until, now), why=why, created=now)
    found = attest(connect(), model, version, waiver, read_key(key))
    console.print(
        f"{key} waives {rule} of {model} v{version} for {target.label} until {waiver.until:%Y-%m-%d}."
    )
    _print_verdict(found.tags, target)
    console.print(f"Whether it counts: resnet-ops gate explain {model} {version}")


def rollback(model: Model, alias: Alias) -> None:
    """Return an alias to the last version that held it and still passes. Exit status 1 when there is none."""
    from resnet_ops_registry.client.rollback import roll_back

    version, name = roll_back(model, alias)
    console.print(f"{model} v{version} is @{name} again.")
    console.print(f"To keep the other version out: resnet-ops retire {model} VERSION --why TEXT --key NAME")


def retire(
    model: Model,
    version: Version,
    why: Annotated[str, typer.Option(help="For whoever wants to promote it again.")],
    key: Key,
) -> None:
    """Remove a version's aliases and have the gate refuse it, until an operator brings it back."""
    from resnet_ops_registry.attestations.keys import read_key
    from resnet_ops_registry.client.retirement import retire as retire_it

    taken = retire_it(model, version, why, read_key(key))
    rest = f"; it was {' and '.join(taken)} until now" if taken else ""
    console.print(f"{model} v{version} is retired{rest}.")
    aliases = [label[1:] for label in taken if label.startswith("@")]
    for alias in aliases:
        console.print(f"To return to the previous version: resnet-ops rollback {model} {alias}")
    if not aliases:
        console.print(f"To bring it back: resnet-ops unretire {model} {version} --why TEXT --key OPERATOR")


def unretire(
    model: Model,
    version: Version,
    why: Annotated[str, typer.Option(help="For whoever reads the ledger.")],
    key: Key,
) -> None:
    """Let the gate judge a retired version by its evidence again; the key must be an operator's."""
    from resnet_ops_registry.attestations.keys import read_key
    from resnet_ops_registry.client.retirement import unretire as unretire_it

    unretire_it(model, version, why, read_key(key))
    console.print(f"{model} v{version} is judged by its evidence again.")
    console.print(f"See what the gate says: resnet-ops gate explain {model} {version}")


def _target(alias: str, stage: bool) -> "Target":
    from resnet_ops_registry.common.target import Target

    return Target.named(alias, "stage" if stage else "alias")


def _print_verdict(tags: dict[str, str], target: "Target") -> None:
    verdict = tags.get(f"gate {target.name if target.kind == 'alias' else target.label}")
    if verdict is not None:
        console.print(f"The gate says: {verdict}")
