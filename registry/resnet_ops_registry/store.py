"""MLflow's registry store with the gate in front of aliases, stages and renames.

MLflow finds `open_store` by the entry point `gated` of the group `mlflow.model_registry_store`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_CONFLICT
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
    SqlRegisteredModelAlias,
)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.utils.validation import _validate_model_name, _validate_model_version
from sqlalchemy import event, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session

from resnet_ops.errors import EvidenceError, ResnetOpsError
from resnet_ops_registry import database, ledger
from resnet_ops_registry.actor import actor
from resnet_ops_registry.display import STATEMENT_TAG, WEIGHTS_TAG, is_reserved, version_tags
from resnet_ops_registry.gate import Verdict, hash_files, is_guarded, judge
from resnet_ops_registry.ledger import Event
from resnet_ops_registry.policies import policy_for
from resnet_ops_registry.policy import Target
from resnet_ops_registry.settings import GATED_SCHEME
from resnet_ops_registry.statements import accept_statement, find_version

__all__ = ["GatedStore", "GatedWorkspaceStore", "open_store"]

SessionMaker = Callable[..., AbstractContextManager[Session]]
_OWN_TAGS = "resnet_ops.writes_tags"


class Refused(MlflowException):
    """A refusal on its way to the caller; its event is written once the transaction was rolled back."""

    def __init__(self, verdict: Verdict, refused: Event) -> None:
        super().__init__(verdict.message, error_code=RESOURCE_CONFLICT)
        self.event = refused


class _Gate(SqlAlchemyStore):
    """The gate, as a layer over MLflow's store."""

    def __init__(self, db_uri: str, read_db_uri: str | None = None) -> None:
        super().__init__(db_uri, read_db_uri=read_db_uri)  # type: ignore[no-untyped-call]
        database.upgrade(self.engine)
        self._plain_sessions: SessionMaker = self.ManagedSessionMaker
        self.ManagedSessionMaker = self._gated_sessions

    @contextmanager
    def _gated_sessions(self, read_only: bool = True) -> Iterator[Session]:
        try:
            with self._plain_sessions(read_only=read_only) as session:
                event.listen(session, "before_flush", self._before_flush)
                event.listen(session, "do_orm_execute", _refuse_bulk_changes)
                yield session
        except Refused as refusal:
            with self._plain_sessions(read_only=False) as session:
                ledger.append(session.connection(), refusal.event)
            raise

    def _before_flush(self, session: Session, context: object, instances: object) -> None:
        """Judge every change that puts a version in front of users; a refusal rolls all of them back."""
        try:
            for item in [*session.new, *session.dirty, *session.deleted]:
                self._judge_change(session, item)
        except ResnetOpsError as error:
            # anything but an MlflowException becomes status 500, which clients retry for minutes
            raise MlflowException(str(error), error_code=RESOURCE_CONFLICT) from error

    def _judge_change(self, session: Session, item: object) -> None:
        if isinstance(item, SqlRegisteredModelAlias):
            self._judge_alias(session, item)
        elif isinstance(item, SqlModelVersion):
            if item not in session.deleted and _changed(item, "current_stage"):
                self._judge_stage(session, item)
        elif isinstance(item, SqlRegisteredModel):
            if item not in session.deleted and item not in session.new and _changed(item, "name"):
                self._judge_rename(session, item)
        elif isinstance(item, SqlModelVersionTag):
            _check_tag(session, item)

    def _judge_alias(self, session: Session, item: Any) -> None:
        target = Target(kind="alias", name=str(item.alias))
        before = inspect(item).attrs.version.history.deleted
        if item in session.deleted:
            applied = policy_for(session.connection(), item.name)
            if is_guarded(applied, target):
                removed = Event(
                    actor(),
                    "alias removed",
                    "recorded",
                    item.workspace,
                    item.name,
                    target=target.label,
                    from_version=item.version,
                )
                ledger.append(session.connection(), removed)
        elif item in session.new or any(_changed(item, name) for name in ("version", "alias", "name")):
            self._decide(
                session, item.workspace, item.name, item.version, target, before[0] if before else None
            )

    def _judge_stage(self, session: Session, item: Any) -> None:
        target = Target(kind="stage", name=str(item.current_stage))
        self._decide(session, item.workspace, item.name, item.version, target, None)

    def _judge_rename(self, session: Session, item: Any) -> None:
        """A rename carries aliases and stages along: each must pass under the new name's policy."""
        old_name = inspect(item).attrs.name.history.deleted[0]
        versions, aliases = database.model_tables()
        connection = session.connection()
        targets = [
            (row.version, Target(kind="alias", name=row.alias))
            for row in connection.execute(
                select(aliases.c.alias, aliases.c.version).where(
                    aliases.c.workspace == item.workspace, aliases.c.name == old_name
                )
            )
        ]
        targets += [
            (row.version, Target(kind="stage", name=row.current_stage))
            for row in connection.execute(
                select(versions.c.version, versions.c.current_stage).where(
                    versions.c.workspace == item.workspace,
                    versions.c.name == old_name,
                    versions.c.current_stage.in_(("Staging", "Production")),
                )
            )
        ]
        for version, target in targets:
            self._decide(session, item.workspace, old_name, version, target, None, new_name=item.name)

    def _decide(
        self,
        session: Session,
        workspace: str,
        model: str,
        version: int,
        target: Target,
        from_version: int | None,
        new_name: str | None = None,
    ) -> None:
        connection = session.connection()
        if not is_guarded(policy_for(connection, new_name or model), target):
            return
        found = find_version(connection, workspace, model, int(version))
        if found is None:
            raise EvidenceError(f"There is no {model} v{version}.")
        files = hash_files(found)
        database.lock(connection)
        verdict = judge(connection, replace(found, model=new_name or model), target, files)
        decided = Event(
            actor(),
            "rename" if new_name else target.kind,
            "allowed" if verdict.allowed else "refused",
            workspace,
            verdict.model,
            verdict.version,
            target.label,
            from_version,
            {**verdict.as_json(), "files": files.digest},
        )
        if not verdict.allowed:
            raise Refused(verdict, decided)
        ledger.append(connection, decided)

    def create_model_version(self, name: str, source: str, *args: Any, **more: Any) -> ModelVersion:
        """As MLflow does; reserved tags, which a copy brings along, are left out.

        The digest of the weights may be said once, here: publishing finds its version by it.
        """
        if len(args) > 1:
            args = (args[0], _without_reserved(args[1]), *args[2:])
        elif "tags" in more:
            more["tags"] = _without_reserved(more["tags"])
        created: ModelVersion = super().create_model_version(name, source, *args, **more)
        return created

    def set_model_version_tag(self, name: str, version: str, tag: ModelVersionTag) -> None:
        """As MLflow does; a statement is checked and kept in our own table, and the page shows what it means."""
        if tag.key.strip().casefold() != STATEMENT_TAG:
            _refuse_reserved(tag.key)
            super().set_model_version_tag(name, version, tag)  # type: ignore[no-untyped-call]
            return
        _validate_model_name(name)
        try:
            number = int(_validate_model_version(version))  # type: ignore[no-untyped-call]
            self._accept(name, number, str(tag.value))
        except ResnetOpsError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """As MLflow does, but for reserved tags."""
        _refuse_reserved(key)
        super().delete_model_version_tag(name, version, key)  # type: ignore[no-untyped-call]

    def _accept(self, name: str, version: int, text: str) -> None:
        workspace = self._get_active_workspace()
        with self._plain_sessions() as session:
            found = find_version(session.connection(), workspace, name, version)
        if found is None:
            raise EvidenceError(f"There is no {name} v{version}.")
        files = hash_files(found)
        if files.digest is None:
            raise EvidenceError(files.problem or "The version's files cannot be read.")
        with self.ManagedSessionMaker(read_only=False) as session:
            session.info[_OWN_TAGS] = True
            try:
                accepted = accept_statement(session.connection(), found, files.digest, text)
            except ResnetOpsError as error:
                raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error
            for key, value in version_tags(session.connection(), found, accepted).items():
                session.merge(
                    SqlModelVersionTag(workspace=workspace, name=name, version=version, key=key, value=value)
                )


class GatedStore(_Gate):
    """The gate over MLflow's store."""


class GatedWorkspaceStore(_Gate, WorkspaceAwareSqlAlchemyStore):
    """The gate over MLflow's store with workspaces."""


def open_store(store_uri: str, tracking_uri: str | None = None) -> _Gate:
    """The entry point: `gated:sqlite:///mlflow.db` and the like. `tracking_uri` is not needed."""
    import os

    from mlflow.server.constants import READ_REPLICA_BACKEND_STORE_URI_ENV_VAR

    workspaces = MLFLOW_ENABLE_WORKSPACES.get()  # type: ignore[no-untyped-call]
    store = GatedWorkspaceStore if workspaces else GatedStore
    replica = os.environ.get(READ_REPLICA_BACKEND_STORE_URI_ENV_VAR)
    return store(store_uri.removeprefix(GATED_SCHEME), read_db_uri=replica)


def _changed(item: object, attribute: str) -> bool:
    return bool(inspect(item).attrs[attribute].history.has_changes())


def _check_tag(session: Session, tag: Any) -> None:
    if session.info.get(_OWN_TAGS) or not is_reserved(tag.key):
        return
    owners = (SqlModelVersion, SqlRegisteredModel)
    if tag in session.deleted and any(isinstance(item, owners) for item in session.deleted):
        return
    if tag.key == WEIGHTS_TAG and tag in session.new and inspect(tag.model_version) in _states(session.new):
        return
    if tag in session.dirty and not session.is_modified(tag):
        return
    _refuse_reserved(tag.key)


def _states(items: Any) -> list[Any]:
    return [inspect(item) for item in items]


def _refuse_reserved(key: str) -> None:
    if is_reserved(key):
        raise MlflowException(
            f"The tag {key!r} is written by the gate alone, from signed evidence.",
            error_code=INVALID_PARAMETER_VALUE,
        )


def _without_reserved(tags: Any) -> Any:
    return [tag for tag in tags or [] if not is_reserved(tag.key) or tag.key == WEIGHTS_TAG]


def _refuse_bulk_changes(state: ORMExecuteState) -> None:
    """A bulk UPDATE or INSERT would pass below `before_flush`."""
    guarded = (SqlRegisteredModelAlias, SqlModelVersion, SqlRegisteredModel)
    if (state.is_update or state.is_insert) and any(mapper.class_ in guarded for mapper in state.all_mappers):
        raise MlflowException(
            "The gate allows no bulk change of models, versions or aliases.", error_code=RESOURCE_CONFLICT
        )
