"""What a flush is about to change in front of users: aliases and stages, set, taken away or carried along."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlRegisteredModel,
    SqlRegisteredModelAlias,
)
from sqlalchemy import ColumnElement, Connection, and_, inspect, select
from sqlalchemy.orm import Session

from resnet_ops_registry.database.tables import model_tables
from resnet_ops_registry.gate.policy import Target

__all__ = [
    "Change",
    "carried_along",
    "changes_of",
    "check_deletions",
    "concerns_names",
    "deleted_versions",
    "was_set",
]

ACTIVE_STAGES = ("Staging", "Production")
DELETED_STAGE = "Deleted_Internal"
_FIXED = ("version", "creation_time", "storage_location")
_NAMED_BY = {
    SqlModelVersion: ("current_stage", "name", "workspace"),
    SqlRegisteredModel: ("name", "workspace"),
}


@dataclass(frozen=True)
class Change:
    """A version gets an alias or stage, or loses it (`removed`).

    `old_workspace` and `old_model`: where the version still is in the database, when it is being renamed or moved.
    """

    workspace: str
    model: str
    version: int
    target: Target
    removed: bool = False
    from_version: int | None = None
    old_workspace: str | None = None
    old_model: str | None = None

    @property
    def carried(self) -> bool:
        return self.old_model is not None


def concerns_names(session: Session) -> bool:
    """Whether the next flush changes which version an alias, a stage or a number stands for, guarded or not.

    Of two such changes at once neither may be guarded, and what comes of both is.
    """
    if any(
        isinstance(item, SqlRegisteredModelAlias | SqlRegisteredModel | SqlModelVersion)
        for item in session.deleted
    ):
        return True
    return any(
        isinstance(item, SqlRegisteredModelAlias)
        or any(
            was_set(item, field) for field in _NAMED_BY.get(type(item), ()) if inspect(item).key is not None
        )
        or (isinstance(item, SqlModelVersion) and was_set(item, "current_stage"))
        for item in [*session.new, *session.dirty]
    )


def changes_of(session: Session) -> list[Change]:
    """Every change of an alias or stage that the next flush makes.

    Setting one again to what it is already counts too: the files may have changed since, or the evidence fallen.
    Raises MlflowException (RESOURCE_CONFLICT) when a version's identity is being rewritten.
    """
    return [change for item in [*session.new, *session.dirty] for change in _set_by(session, item)] + [
        change for item in session.deleted for change in _removed_by(item)
    ]


def deleted_versions(session: Session) -> list[tuple[str, str, int]]:
    """Workspace, model and number of the versions whose rows the next flush deletes."""
    return [
        (str(item.workspace), str(item.name), int(item.version))
        for item in session.deleted
        if isinstance(item, SqlModelVersion)
    ]


def check_deletions(session: Session) -> None:
    """Raise MlflowException where a version that goes was given an alias since its deletion looked: that would stay
    behind. The connection holds the ledger's lock.
    """
    aliases = SqlRegisteredModelAlias.__table__.c
    for item in session.dirty:
        if isinstance(item, SqlModelVersion) and item.current_stage == DELETED_STAGE:
            here = (aliases.workspace == item.workspace, aliases.name == item.name)
            pointing = select(aliases.alias).where(*here, aliases.version == item.version)
            left = set(session.connection().execute(pointing).scalars())
            for gone in session.deleted:
                if isinstance(gone, SqlRegisteredModelAlias) and gone.name == item.name:
                    left.discard(gone.alias)
            if left:
                raise MlflowException(
                    f"{item.name} v{item.version} was made @{min(left)} while it was being deleted: delete it again.",
                    error_code=RESOURCE_CONFLICT,
                )


def was_set(item: object, attribute: str) -> bool:
    """Whether an attribute was assigned since it was loaded, be it the same value."""
    state = inspect(item)
    return attribute in state.committed_state or (state.key is None and attribute in state.dict)


def _before(item: object, attribute: str) -> Any:
    """The value in the database when a new one was assigned; None when it stays the same."""
    deleted = inspect(item).attrs[attribute].history.deleted
    return deleted[0] if deleted else None


def _set_by(session: Session, item: Any) -> Iterator[Change]:
    kind = type(item)
    if kind is SqlRegisteredModelAlias:
        fields = ("workspace", "name", "alias", "version")
        if item in session.new or any(was_set(item, field) for field in fields):
            yield Change(
                item.workspace,
                item.name,
                int(item.version),
                Target(kind="alias", name=str(item.alias)),
                from_version=_before(item, "version"),
            )
    elif kind is SqlModelVersion:
        _check_identity(session, item)
        if was_set(item, "current_stage"):
            yield from _stage_changes(item)
    elif kind is SqlRegisteredModel and item not in session.new:
        name, workspace = _before(item, "name"), _before(item, "workspace")
        if name is not None or workspace is not None:
            old = (workspace or item.workspace, name or item.name)
            yield from carried_along(session.connection(), old, (item.workspace, item.name))


def _stage_changes(item: Any) -> Iterator[Change]:
    before = _before(item, "current_stage")
    if before in ACTIVE_STAGES:
        old = Target(kind="stage", name=before)
        yield Change(item.workspace, item.name, item.version, old, removed=True)
    if item.current_stage in ACTIVE_STAGES:
        new = Target(kind="stage", name=item.current_stage)
        yield Change(item.workspace, item.name, item.version, new)


def _removed_by(item: Any) -> Iterator[Change]:
    kind = type(item)
    if kind is SqlRegisteredModelAlias:
        target = Target(kind="alias", name=str(item.alias))
        yield Change(item.workspace, item.name, item.version, target, removed=True)
    elif kind is SqlModelVersion and item.current_stage in ACTIVE_STAGES:
        target = Target(kind="stage", name=item.current_stage)
        yield Change(item.workspace, item.name, item.version, target, removed=True)


def _check_identity(session: Session, item: Any) -> None:
    """Evidence is about a version's number, time and files: nobody may swap these under it."""
    if item in session.new:
        return
    changed = [field for field in _FIXED if _before(item, field) is not None]
    if _before(item, "source") is not None and item.current_stage != DELETED_STAGE:
        changed.append("source")
    model = item.registered_model
    if (_before(item, "name") or _before(item, "workspace")) is not None and _before(model, "name") is None:
        changed.append("name")
    if changed:
        raise MlflowException(
            f"The {', '.join(changed)} of a model version cannot be changed; make a new version.",
            error_code=RESOURCE_CONFLICT,
        )


def carried_along(connection: Connection, old: tuple[str, str], new: tuple[str, str]) -> Iterator[Change]:
    """The aliases and stages that go from one (workspace, name) to another with their registered model."""
    versions, aliases = model_tables()

    def here(table: Any) -> ColumnElement[bool]:
        return and_(table.c.workspace == old[0], table.c.name == old[1])

    found = [
        (row.version, Target(kind="alias", name=row.alias))
        for row in connection.execute(select(aliases.c.alias, aliases.c.version).where(here(aliases)))
    ]
    staged = select(versions.c.version, versions.c.current_stage).where(
        here(versions), versions.c.current_stage.in_(ACTIVE_STAGES)
    )
    found += [
        (row.version, Target(kind="stage", name=row.current_stage)) for row in connection.execute(staged)
    ]
    for version, target in found:
        yield Change(*old, version, target, removed=True)
        yield Change(*new, version, target, old_workspace=old[0], old_model=old[1])
