"""Decisions: each change judged, written to the ledger and let through, in the transaction of the change."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelAlias
from sqlalchemy import Connection, delete, insert, inspect
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.digest import Fingerprint, fingerprint
from resnet_ops_registry.attestations.statements import Version, find_version
from resnet_ops_registry.common.actor import UNVERIFIED, actor, promoter
from resnet_ops_registry.database import ledger, tables
from resnet_ops_registry.database.ledger import Event
from resnet_ops_registry.gate.gate import Files, Verdict, hash_files, is_guarded, judge
from resnet_ops_registry.gate.policies import policy_for
from resnet_ops_registry.store.changes import (
    Change,
    changes_of,
    check_deletions,
    deleted_versions,
    was_set,
)

__all__ = ["Refused", "decide", "let_through"]

_SET: dict[type, str] = {SqlRegisteredModelAlias: "version", SqlModelVersion: "current_stage"}


class Refused(MlflowException):
    """A refusal on its way to the caller; its event is written once the transaction was rolled back."""

    def __init__(self, verdict: Verdict, refused: Event) -> None:
        super().__init__(verdict.message, error_code=RESOURCE_CONFLICT)
        self.event = refused


def decide(session: Session) -> bool:
    """Judge what the next flush changes, and write down what is allowed. Raises Refused for the first that is not.

    Files are hashed before the ledger is locked, since that may take long, and once more if they were written to
    in between. Everything else is read after the lock: from there to the commit no name, key, policy or statement
    changes, because whoever changes one takes the same lock. Gives whether tickets were written.
    """
    connection = session.connection()
    hashed = dict(_hashed_ahead(connection, changes_of(session)))
    head = tables.lock(connection)
    _write_all(session)
    check_deletions(session)
    standing, changes = tables.standing(connection), changes_of(session)
    for change in _guarded(connection, changes, standing):
        if change.removed:
            event = _removal(change)
        else:
            version = _existing(connection, change)
            event = _decide_one(connection, change, version, _files(version, hashed.get(version)))
        head = ledger.append(connection, event, head).head
    hardened = standing[-1] is not None
    if hardened:
        let_through(connection, changes, deleted_versions(session))
    return hardened


def _write_all(session: Session) -> None:
    """Let the flush write what is set to what it was when it was read, too: another may have changed it before the
    lock, and the ledger would say what is not there.
    """
    for item in session.dirty:
        field = _SET.get(type(item))
        if field and was_set(item, field) and not inspect(item).attrs[field].history.has_changes():
            flag_modified(item, field)


def _guarded(connection: Connection, changes: Iterable[Change], standing: tables.Standing) -> list[Change]:
    return [
        change
        for change in changes
        if is_guarded(policy_for(connection, change.model, standing), change.target)
    ]


def _hashed_ahead(
    connection: Connection, changes: Iterable[Change]
) -> Iterator[tuple[Version, tuple[Fingerprint | None, Files]]]:
    for change in _guarded(connection, changes, tables.standing(connection)):
        version = None if change.removed else _find(connection, change)
        if version is not None:
            yield version, (_fingerprint(version), hash_files(version))


def _files(version: Version, ahead: tuple[Fingerprint | None, Files] | None) -> Files:
    """The files of a version as they are under the lock: those that were hashed, if it is still that version."""
    if ahead is None:
        return Files(None, "it was made, renamed or put behind the gate while files were hashed: ask again")
    before, files = ahead
    unchanged = before is not None and _fingerprint(version) == before
    return files if unchanged else hash_files(version)


def _find(connection: Connection, change: Change) -> Version | None:
    workspace, model = change.old_workspace or change.workspace, change.old_model or change.model
    return find_version(connection, workspace, model, change.version)


def _existing(connection: Connection, change: Change) -> Version:
    version = _find(connection, change)
    if version is None:
        raise EvidenceError(f"There is no {change.old_model or change.model} v{change.version}.")
    return version


def _fingerprint(version: Version) -> Fingerprint | None:
    """None where the files cannot be looked at now: whether they were changed is not known then."""
    try:
        return fingerprint(version.location, version.workspace)
    except EvidenceError:
        return None


def _decide_one(connection: Connection, change: Change, version: Version, files: Files) -> Event:
    """What the ledger shall say of a change that goes through. Raises Refused for one that does not."""
    judged, who = replace(version, workspace=change.workspace, model=change.model), actor()
    verdict = judge(connection, judged, change.target, files, promoter())
    seen = {"files": files.digest, "creation_time": version.creation_time, "login": promoter() != UNVERIFIED}
    detail = {**verdict.as_json(), **seen}
    decided = Event(
        who,
        "rename" if change.carried else verdict.action,
        verdict.outcome,
        change.workspace,
        change.model,
        change.version,
        change.target.label,
        change.from_version,
        detail,
    )
    if verdict.outcome == "refused":
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
    tickets = tables.tickets
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
