"""Commands of `resnet-ops` about policies: init, apply, observe, enforce, show, diff, history, power; gate simulate."""

import difflib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_ops.console import console
from resnet_ops_registry.cli.adopt import policy_init
from resnet_ops_registry.cli.common import (
    Json,
    OperatorKey,
    connect_first,
    print_json,
    refresh_verdicts,
    signer,
)

if TYPE_CHECKING:
    from resnet_ops_registry.gate.mode import Mode
    from resnet_ops_registry.gate.policies import AppliedPolicy
    from resnet_ops_registry.gate.simulate import Replayed

__all__ = ["gate_simulate", "policy"]

File = Annotated[Path, typer.Argument(help="A YAML file.")]
PolicyName = Annotated[str, typer.Argument(metavar="MODEL", help="The policy's `model`: a name or pattern.")]

policy = typer.Typer(help="The rules in force.", no_args_is_help=True)
policy.command("init")(policy_init)


@policy.command("apply")
def policy_apply(file: File, key: OperatorKey = "") -> None:
    """Put a policy into force on the registry's database; the same text again changes nothing."""
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.gate.policies import apply_policy, governed_by, list_policies
    from resnet_ops_registry.gate.policy_file import policy_text

    text = policy_text(file)
    connect_first()
    with open_database() as connection:
        before = {each.policy.model: each.policy for each in list_policies(connection)}
        applied, new = apply_policy(connection, text, str(file), signer(key))
        governed = governed_by(connection, applied)
    state = "is in force now" if new else "was in force already"
    console.print(f"{applied.label} {state} ({file}).")
    _tell_mode(applied)
    if applied.policy.observes and (old := before.get(applied.policy.model)) and not old.observes:
        console.print("It enforced until now.", style="yellow")
    if not governed:
        console.print(
            f"It governs no registered model: none is called {applied.policy.model}, or other policies come before "
            "it. See what there is: resnet-ops registry ls",
            style="yellow",
        )
    refresh_verdicts()
    _tell_unrecorded(governed)


@policy.command("observe")
def policy_observe(model: PolicyName, key: OperatorKey = "") -> None:
    """From now on refuse nothing by this policy: record and show what would be refused."""
    _switch(model, "observe", key)


@policy.command("enforce")
def policy_enforce(model: PolicyName, key: OperatorKey = "") -> None:
    """From now on refuse what this policy does not let pass. What holds an alias or stage keeps it."""
    _switch(model, "enforce", key)


def _switch(model: str, mode: "Mode", key: str) -> None:
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.gate.mode import keep_file, switch_mode

    connect_first()
    with open_database() as connection:
        before, after = switch_mode(connection, model, mode, signer(key))
    state = "was so already" if after is before else "is in force now"
    console.print(f"{after.label} {state}.")
    _tell_mode(after)
    if after is not before and not keep_file(before, after):
        console.print(
            f"{after.file} is not what is in force: write `mode: {mode}` there too.", style="yellow"
        )
    refresh_verdicts()
    if mode == "enforce":
        _tell_unproven(after)


def _tell_unrecorded(models: list[str]) -> None:
    """Which versions hold what is guarded now, and nobody decided it: an audit would find them."""
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.operations.adoption import unrecorded

    with open_database() as connection:
        found = unrecorded(connection, models)
    for each in found:
        console.print(
            f"{each.model} v{each.number} is {each.target.label}, which the gate did not decide: an audit finds it. "
            f"Promote it again, or, if it stood before anything guarded it: resnet-ops adopt {each.model} --apply",
            style="yellow",
        )


def _tell_mode(applied: "AppliedPolicy") -> None:
    if applied.policy.observes:
        console.print(
            "It observes: what it would refuse goes through, is recorded and shown. To refuse it: "
            f"resnet-ops policy enforce {applied.policy.model}"
        )


def _tell_unproven(applied: "AppliedPolicy") -> None:
    """Which versions keep an alias or stage that they would not be given now."""
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.gate.gate import hash_files, judge
    from resnet_ops_registry.gate.holders import guarded_holders
    from resnet_ops_registry.gate.policies import policy_for

    with open_database() as connection:
        for each in list(guarded_holders(connection)):
            governing = policy_for(connection, each.model)
            if each.version is None or governing is None or governing.label != applied.label:
                continue
            verdict = judge(connection, each.version, each.target, hash_files(each.version))
            if not verdict.allowed:
                console.print(f"It keeps {each.target.label}: {verdict.message}", style="yellow")


@policy.command("show")
def policy_show(
    model: Annotated[str, typer.Argument(help="A registered model; without it, every policy.")] = "",
    as_json: Json = False,
) -> None:
    """Print the policies in force."""
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.gate.policies import list_policies, policy_for

    with open_database() as connection:
        found = policy_for(connection, model) if model else None
        applied = ([found] if found else []) if model else list_policies(connection)
    if as_json:
        print_json([{"version": each.version, **each.policy.model_dump(mode="json")} for each in applied])
        return
    if not applied:
        console.print("No policy is in force. Apply one with: resnet-ops policy apply FILE")
    for each in applied:
        console.print(f"# {each.label}, from {each.file}\n{each.content}")


@policy.command("diff")
def policy_diff(file: File) -> None:
    """Show what a file would change in the policy in force. Exit status 1 when it changes something."""
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.gate.policies import list_policies
    from resnet_ops_registry.gate.policy_file import policy_text, read_policy

    text = policy_text(file)
    model = read_policy(text, str(file)).model
    with open_database() as connection:
        before = next((each for each in list_policies(connection) if each.policy.model == model), None)
    old = before.content if before else ""
    if old == text:
        console.print(f"{file} is in force as it is.")
        return
    name = before.label if before else f"no policy for {model}"
    lines = difflib.unified_diff(old.splitlines(), text.splitlines(), name, str(file), lineterm="")
    for line in lines:
        console.print(line)
    console.print(f"What it would have decided: resnet-ops gate simulate {file}")
    raise typer.Exit(1)


@policy.command("history")
def policy_history(
    model: Annotated[str, typer.Argument(help="A policy's model; without it, every one.")] = "",
    as_json: Json = False,
) -> None:
    """List every version of a policy that was ever in force, and who applied it."""
    from rich.table import Table

    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.gate.policies import list_history

    with open_database() as connection:
        rows = list_history(connection, model or None)
    if as_json:
        print_json(rows)
        return
    if not rows:
        console.print("No policy was ever applied. Apply one with: resnet-ops policy apply FILE")
        return
    table = Table("model", "version", "applied (UTC)", "by", "file", "digest")
    for row in rows:
        when = datetime.fromtimestamp(row["applied_at"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(
            row["model"], str(row["version"]), when, row["applied_by"], row["file"], row["digest"][:12]
        )
    console.print(table)


@policy.command("power")
def policy_power(
    file: File,
    true: Annotated[
        float | None,
        typer.Option(help="The true proportion to assume; without it, halfway from the limit to 1."),
    ] = None,
    confidence: Annotated[float, typer.Option(help="Level of the intervals in the evidence.")] = 0.95,
    power: Annotated[float, typer.Option(help="How often the rule should then pass.")] = 0.8,
    as_json: Json = False,
) -> None:
    """Show how many images it takes to pass a policy's lower bounds. Needs no registry."""
    from rich.table import Table

    from resnet_ops_registry.gate.policy_file import policy_text, read_policy
    from resnet_ops_registry.gate.power import needs_of

    for name, value in (("--true", true), ("--confidence", confidence), ("--power", power)):
        if value is not None and not 0 < value < 1:
            raise typer.BadParameter(f"{name} is {value}, but must be above 0 and below 1")
    needs = needs_of(read_policy(policy_text(file), str(file)), true, confidence, power)
    if as_json:
        print_json([asdict(each) for each in needs])
    elif not needs:
        console.print(
            f"{file} sets no lower bound on a share of images (rule threshold with `bound: low` and `min`)."
        )
    else:
        table = Table(
            "lower end of", "at least", "without a mistake", f"to pass in {power:.0%} of cases", box=None
        )
        for each in needs:
            often, flawless = (
                "never" if n is None else f"{n:,} {each.of}" for n in (each.images, each.flawless)
            )
            table.add_row(
                each.metric,
                f"{each.limit:g}",
                flawless,
                f"{often}, if truly {each.true:.4g}",
            )
        console.print(table)
        console.print(
            "These are independent images; groups, such as several images of one patient, take more."
        )


def gate_simulate(file: File, as_json: Json = False) -> None:
    """Show which past decisions a policy would have changed. Changes nothing."""
    from dataclasses import asdict

    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.gate.policy_file import policy_text, read_policy
    from resnet_ops_registry.gate.simulate import simulate

    text = policy_text(file)
    with open_database() as connection:
        replayed = simulate(connection, read_policy(text, str(file)), text, str(file))
    if as_json:
        print_json([{**asdict(each), "changed": each.changed} for each in replayed])
        return
    _show(replayed)
    console.print(f"Put it into force: resnet-ops policy apply {file}")


def _show(replayed: "list[Replayed]") -> None:
    from rich.table import Table

    changed = [each for each in replayed if each.changed]
    if changed:
        table = Table("no.", "version", "target", "was", "would be", "reasons")
        for each in changed:
            words = [
                "allowed" if allowed else "refused" for allowed in (each.was_allowed, each.would_be_allowed)
            ]
            label = f"{each.model} v{each.version}"
            table.add_row(str(each.seq), label, each.target, *words, "; ".join(each.reasons))
        console.print(table)
    console.print(
        f"{len(replayed)} past decisions: {len(replayed) - len(changed)} stay, "
        f"{sum(each.was_allowed for each in changed)} would be refused, "
        f"{sum(each.would_be_allowed for each in changed)} would be allowed."
    )
