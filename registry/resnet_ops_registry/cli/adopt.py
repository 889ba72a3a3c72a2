"""Commands of `resnet-ops` for a registry that is there already: adopt, policy init."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_ops.console import console
from resnet_ops.errors import ConfigError, ResnetOpsError
from resnet_ops_registry.cli.common import (
    Json,
    Model,
    OperatorKey,
    connect_first,
    print_json,
    refresh_verdicts,
    signer,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sqlalchemy import Connection

    from resnet_ops_registry.gate.policies import AppliedPolicy
    from resnet_ops_registry.operations.adoption import Foreseen, Recorded
    from resnet_ops_registry.operations.survey import Survey

__all__ = ["adopt", "policy_init"]

Folder = Annotated[Path, typer.Option("--policies", help="Folder of the policies, one file a model.")]


@dataclass(frozen=True)
class _Found:
    """A registered model, the policy that it is seen by, and where that stands."""

    survey: "Survey"
    policy: "AppliedPolicy"
    state: str
    foreseen: "tuple[Foreseen, ...]"


@dataclass(frozen=True)
class _Others:
    """Registered models that get no policy now, and why. `strict`: they were named, so the first failure ends all."""

    left_out: dict[str, str]
    failed: dict[str, ResnetOpsError]
    strict: bool

    @contextmanager
    def failing(self, model: str) -> Iterator[None]:
        try:
            yield
        except ResnetOpsError as error:
            if self.strict:
                raise
            self.failed[model] = error

    def as_json(self) -> list[dict[str, object]]:
        said = [(name, "left out", why) for name, why in self.left_out.items()]
        said += [(name, "failed", str(error)) for name, error in self.failed.items()]
        return [{"model": name, "state": state, "why": why, "versions": []} for name, state, why in said]

    def tell(self) -> None:
        for name, why in self.left_out.items():
            console.print(f"{name} is left out: {why}.")
        for name, error in self.failed.items():
            console.print(f"{name} failed: {error}", style="yellow")


def adopt(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Registered models; without, all.")
    ] = None,
    folder: Folder = Path("policies"),
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Put the files into force, and record who holds what."),
    ] = False,
    key: OperatorKey = "",
    as_json: Json = False,
) -> None:
    """Give a registry that is there already the gate: propose a policy for each model, and say what it would decide.

    Writes files and nothing else. With --apply, once a person has read them, it puts them into force and writes into
    the ledger which versions hold what today. MLflow's own tables stay as they are. Without MODEL, prompts and models
    without a version are left out, and one model's failure does not keep the others from theirs; it is said, and the
    exit status is 1.
    """
    from resnet_ops_registry.common.connection import connect
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.operations.survey import adoptable

    connect_first()
    with open_database() as connection:
        names, left_out = (models, {}) if models else adoptable(connection)
    others = _Others(left_out, {}, strict=bool(models))
    if apply:
        _apply(names, folder, key, as_json, others)
    else:
        client, found = connect(), []
        with open_database() as connection:
            for name in names:
                with others.failing(name):
                    found.append(_look(client, connection, name, folder))
        _show_all(found, folder, as_json, others)
    raise typer.Exit(1 if others.failed else 0)


def policy_init(model: Model, folder: Folder = Path("policies")) -> None:
    """Propose a first policy for a registered model, from what its champion shows; write it for a person to read."""
    from resnet_ops.files import write_text
    from resnet_ops_registry.common.connection import connect
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.gate.first_policy import propose
    from resnet_ops_registry.operations.survey import survey

    file = _file(folder, model)
    if file.exists():
        raise ConfigError(f"{file} is there already. Move it away first, or edit it.")
    connect_first()
    with open_database() as connection:
        text = propose(survey(connect(), connection, model).shown())
    write_text(file, text)
    console.print(f"Wrote {file}. Read it, change it, then: resnet-ops policy apply {file}")


def _file(folder: Path, model: str) -> Path:
    from resnet_ops_registry.common.distinct import distinct

    return folder / f"{distinct(model, 200)}.yaml"


def _look(client: "MlflowClient", connection: "Connection", model: str, folder: Path) -> _Found:
    from resnet_ops.files import write_text
    from resnet_ops_registry.gate.first_policy import propose
    from resnet_ops_registry.gate.policies import policy_for
    from resnet_ops_registry.operations.adoption import foresee
    from resnet_ops_registry.operations.survey import survey

    found = survey(client, connection, model)
    file, policy, state = _file(folder, model), policy_for(connection, model), "in force"
    if policy is None:
        state = "as it lies there" if file.exists() else "proposed"
        if state == "proposed":
            write_text(file, propose(found.shown()))
        policy = _read(file)
    return _Found(found, policy, state, tuple(foresee(connection, policy, found)))


def _read(file: Path) -> "AppliedPolicy":
    from resnet_ops_registry.gate.policies import AppliedPolicy
    from resnet_ops_registry.gate.policy_file import policy_text, read_policy

    text = policy_text(file)
    return AppliedPolicy(0, str(file), text, read_policy(text, str(file)))


def _apply(models: list[str], folder: Path, key: str, as_json: bool, others: _Others) -> None:
    from resnet_ops_registry.database.tables import open_database
    from resnet_ops_registry.gate.policies import apply_policy, policy_for
    from resnet_ops_registry.operations.adoption import hash_holders, record_holders

    by = signer(key)
    with open_database() as connection:
        new = [name for name in models if policy_for(connection, name) is None]
    texts = {}
    for name in new:
        with others.failing(name):
            texts[name] = _to_apply(folder, name)
    models = [name for name in models if name not in others.failed]
    if others.failed and not models:
        raise next(iter(others.failed.values()))
    with open_database() as connection:
        digests = hash_holders(connection, models)
    with open_database() as connection:
        for each in texts.values():
            apply_policy(connection, each.content, each.file, by)
        recorded = record_holders(connection, models, digests, by)
    refresh_verdicts()
    if as_json:
        print_json([*map(_as_row, recorded), *others.as_json()])
        return
    for name, each in texts.items():
        console.print(f"{name}: {each.file} is in force, and {each.policy.mode}s.")
    for one in recorded:
        _tell(one)
    others.tell()
    console.print(
        "Start the server with the gate now: docs/adopt.md. To refuse: resnet-ops policy enforce MODEL"
    )


def _to_apply(folder: Path, model: str) -> "AppliedPolicy":
    file = _file(folder, model)
    if not file.exists():
        raise ConfigError(f"There is no {file}, a policy for {model}. Propose one first: resnet-ops adopt")
    found = _read(file)
    if not found.policy.governs(model):
        raise ConfigError(f"{file} is a policy for {found.policy.model}, not for {model}. Change `model:`.")
    return found


def _as_row(each: "Recorded") -> dict[str, object]:
    holder = each.holder
    names = {"model": holder.model, "target": holder.target.label, "version": holder.number}
    return {**names, "state": each.state, "before": each.before, "unread": each.unread}


def _tell(each: "Recorded") -> None:
    last = "took it off" if each.before is None else f"is v{each.before}"
    what = f"{each.holder.model} {each.holder.target.label} v{each.holder.number}"
    unread = (
        " Its files could not be read: without evidence, no audit will see that they change."
        if each.unread
        else ""
    )
    said = {
        "recorded": "is in the ledger as what stood when the gate came",
        "known": "was in the ledger already",
        "moved": f"is in the ledger now; when it was recorded last, v{each.before} held it",
        "bypassed": f"is not what the gate decided last, which {last}: promote it again through the gate",
    }
    console.print(
        f"{what} {said[each.state]}.{unread}",
        style="yellow" if each.unread or each.state in ("moved", "bypassed") else "",
    )


def _as_json(each: _Found) -> dict[str, object]:
    return {
        "model": each.survey.model,
        "policy": each.policy.file,
        "state": each.state,
        "mode": each.policy.policy.mode,
        "taken_tags": list(each.survey.taken),
        "versions": [
            {
                "version": seen.version,
                "holds": list(seen.holds),
                "now": seen.now.as_json(),
                "by_run": seen.by_run.as_json() if seen.by_run else None,
            }
            for seen in each.foreseen
        ],
    }


def _show_all(found: Sequence[_Found], folder: Path, as_json: bool, others: _Others) -> None:
    if as_json:
        print_json([*map(_as_json, found), *others.as_json()])
        return
    for each in found:
        _show(each)
    others.tell()
    if not (found or others.left_out or others.failed):
        console.print("Nothing is registered yet.")
    elif any(each.state != "in force" for each in found):
        console.print(f"Read the files in {folder} and change them. Then: resnet-ops adopt --apply")


def _show(each: _Found) -> None:
    from rich.table import Table

    console.print(f"{each.survey.model}: {each.policy.file} ({each.state})")
    table = Table(
        "version", "holds", "for", "by what is signed", "if its run's numbers were signed", box=None
    )
    for seen in each.foreseen:
        by_run = seen.by_run.summary.partition(": ")[2] or "passes" if seen.by_run else ""
        now = seen.now.summary.partition(": ")[2] or "passes"
        table.add_row(f"v{seen.version}", " ".join(seen.holds), seen.now.target.label, now, by_run)
    console.print(table)
    if each.survey.taken:
        console.print(
            f"Tags of names that the gate writes, and hides from now on: {', '.join(each.survey.taken)}",
            style="yellow",
        )
