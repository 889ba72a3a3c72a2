"""Decisions: each change judged, written to the ledger and let through, in the transaction of the change."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT
from sqlalchemy import Connection, delete, insert

from resnet_ops.errors import EvidenceError
from resnet_ops_registry import database, ledger
from resnet_ops_registry.actor import actor
from resnet_ops_registry.changes import Change
from resnet_ops_registry.digest import Fingerprint, fingerprint
from resnet_ops_registry.gate import Files, Verdict, hash_files, is_guarded, judge
from resnet_ops_registry.ledger import Event
from resnet_ops_registry.policies import policy_for
from resnet_ops_registry.statements import Version, find_version

__all__ = ["Refused", "decide", "let_through"]


class Refused(MlflowException):
    """A refusal on its way to the caller; its event is written once the transaction was rolled back."""

    def __init__(self, verdict: Verdict, refused: Event) -> None:
        super().__init__(verdict.message, error_code=RESOURCE_CONFLICT)
        self.event = refused


def decide(connection: Connection, changes: Sequence[Change], standing: database.Standing) -> None:
    """Judge the changes and write down what is allowed. Raises Refused for the first that is not.

    Files are hashed before the ledger is locked, since that may take long, and once more if they were written to
    in between. From the lock on, keys, policies and statements stay as they are until the commit.
    """
    guarded = [
        change
        for change in changes
        if is_guarded(policy_for(connection, change.model, standing), change.target)
    ]
    if not guarded:
        return
    found = {change: _found(connection, change) for change in guarded if not change.removed}
    hashed = {change: _hash(version) for change, version in found.items()}
    head = database.lock(connection)
    for change in guarded:
        if change.removed:
            event = _removal(change)
        else:
            version, (before, files) = found[change], hashed[change]
            if _fingerprint(version) != before:
                files = hash_files(version)
            event = _decide_one(connection, change, version, files)
        head = ledger.append(connection, event, head).head


def _found(connection: Connection, change: Change) -> Version:
    workspace, model = change.old_workspace or change.workspace, change.old_model or change.model
    version = find_version(connection, workspace, model, change.version)
    if version is None:
        raise EvidenceError(f"There is no {model} v{change.version}.")
    return version


def _hash(version: Version) -> tuple[Fingerprint, Files]:
    return _fingerprint(version), hash_files(version)


def _fingerprint(version: Version) -> Fingerprint:
    try:
        return fingerprint(version.location)
    except EvidenceError:
        # the same files cannot be hashed either, and the gate says why
        return ()


def _decide_one(connection: Connection, change: Change, version: Version, files: Files) -> Event:
    """What the ledger shall say of a change that is allowed. Raises Refused for one that is not."""
    judged, who = replace(version, workspace=change.workspace, model=change.model), actor()
    verdict = judge(connection, judged, change.target, files, who)
    detail = {**verdict.as_json(), "files": files.digest, "creation_time": version.creation_time}
    decided = Event(
        who,
        "rename" if change.carried else verdict.action,
        "allowed" if verdict.allowed else "refused",
        change.workspace,
        change.model,
        change.version,
        change.target.label,
        change.from_version,
        detail,
    )
    if not verdict.allowed:
        raise Refused(verdict, decided)
    return decided


def _removal(change: Change) -> Event:
    return Event(
        actor(),
        f"{change.target.kind} removed",
        "recorded",
        change.workspace,
        change.model,
        target=change.target.label,
        from_version=change.version,
    )


def let_through(
    connection: Connection, changes: Iterable[Change], deleted: Iterable[tuple[str, str, int]]
) -> None:
    """Write the tickets that a hardened database asks for: one for each change, used up by the change itself.

    What an earlier flush left over is removed first, so that no ticket outlives its transaction.
    """
    tickets = database.tickets
    rows = [
        {
            "kind": change.target.kind,
            "workspace": change.workspace,
            "model": change.model,
            "name": change.target.name,
            "version": change.version,
        }
        for change in changes
        if not change.removed
    ]
    rows += [
        {"kind": "version", "workspace": workspace, "model": model, "name": "", "version": version}
        for workspace, model, version in deleted
    ]
    connection.execute(delete(tickets))
    if rows:
        connection.execute(insert(tickets), rows)
