"""MLflow's registry store with the gate in front of aliases, stages and renames.

MLflow finds `open_store` by the entry point `gated` of the group `mlflow.model_registry_store`.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModelTag
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_CONFLICT, ErrorCode
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.utils.validation import _validate_model_name, _validate_model_version
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from resnet_ops.errors import EvidenceError, ResnetOpsError
from resnet_ops_registry.attestations.statements import (
    Version,
    accept_statement,
    find_version,
    note_refusal,
    read_statement,
)
from resnet_ops_registry.common.settings import GATED_SCHEME
from resnet_ops_registry.database import ledger, tables
from resnet_ops_registry.gate.display import (
    STATEMENT_TAG,
    WEIGHTS_TAG,
    is_reserved,
    verified_tags,
    version_tags,
)
from resnet_ops_registry.gate.gate import hash_files, rolling_back
from resnet_ops_registry.gate.policies import evidence_roles
from resnet_ops_registry.gate.rollback import ROLLBACK_TAG, choose_earlier
from resnet_ops_registry.store import harden
from resnet_ops_registry.store.changes import concerns_names
from resnet_ops_registry.store.decisions import Refused, decide
from resnet_ops_registry.store.duplicates import AlreadyPublished, fold_publications
from resnet_ops_registry.store.places import seal
from resnet_ops_registry.store.sessions import TICKETS, SessionMaker, gated_sessions
from resnet_ops_registry.store.workspaces import guard_other_sessions

__all__ = ["GatedStore", "GatedWorkspaceStore", "open_store"]

_OWN_TAGS = "resnet_ops.writes_tags"


class _Gate(SqlAlchemyStore):
    """The gate, as a layer over MLflow's store."""

    def __init__(self, db_uri: str, read_db_uri: str | None = None) -> None:
        super().__init__(db_uri, read_db_uri=read_db_uri)  # type: ignore[no-untyped-call]
        tables.upgrade(self.engine)
        harden.repair(self.engine)
        guard_other_sessions()
        self._plain_sessions: SessionMaker = self.ManagedSessionMaker
        self._judged_sessions = gated_sessions(self, _judge)
        self.ManagedSessionMaker = self._gated_sessions

    @contextmanager
    def _gated_sessions(self, read_only: bool = True) -> Iterator[Session]:
        try:
            with self._judged_sessions(read_only=read_only) as session:
                yield session
        except Refused as refusal:
            with self._plain_sessions(read_only=False) as session:
                ledger.append(session.connection(), refusal.event)
            raise

    def create_registered_model(self, name: str, tags: Any = None, *args: Any, **more: Any) -> Any:
        """As MLflow does; a tag that only asks for something, a rollback, is not kept."""
        kept = [tag for tag in tags or [] if tag.key.strip().casefold() != ROLLBACK_TAG]
        return super().create_registered_model(name, kept, *args, **more)  # type: ignore[no-untyped-call]

    def create_model_version(self, name: str, source: str, *args: Any, **more: Any) -> ModelVersion:
        """As MLflow does; reserved tags, which a copy brings along, are left out.

        The digest of the weights may be said once, here: publishing finds its version by it. When two publish
        the same weights at once, the second is given the first one's version.
        """
        if len(args) > 1:
            args = (args[0], _without_reserved(args[1]), *args[2:])
        elif "tags" in more:
            more["tags"] = _without_reserved(more["tags"])
        try:
            created: ModelVersion = super().create_model_version(name, source, *args, **more)
        except AlreadyPublished as there:
            created = self.get_model_version(name, str(there.version))
        return created

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        """As MLflow does; what the tags say of evidence is read from the signed statements."""
        return self._with_verified_tags(super().get_model_version(name, version))  # type: ignore[no-untyped-call]

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """As MLflow does; what the tags say of evidence is read from the signed statements."""
        return self._with_verified_tags(super().get_model_version_by_alias(name, alias))  # type: ignore[no-untyped-call]

    def _with_verified_tags(self, found: ModelVersion) -> ModelVersion:
        number, created = int(found.version), int(found.creation_timestamp)
        version = Version(self._get_active_workspace(), found.name, number, created, "")
        with self._plain_sessions() as session:
            tags = verified_tags(session.connection(), version, found.tags)
        found.tags.clear()
        found.tags.update(tags)
        return found

    def set_model_version_tag(self, name: str, version: str, tag: ModelVersionTag) -> None:
        """As MLflow does; a statement is checked and kept in our own table, and the page shows what it means."""
        if tag.key.strip().casefold() != STATEMENT_TAG:
            _refuse_reserved(tag.key)
            super().set_model_version_tag(name, version, tag)  # type: ignore[no-untyped-call]
            return
        _validate_model_name(name)
        number = int(_validate_model_version(version))  # type: ignore[no-untyped-call]
        with _in_mlflows_words(INVALID_PARAMETER_VALUE):
            self._accept(name, number, str(tag.value))

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """As MLflow does; the version as a number, because MLflow 3.17's text fails on PostgreSQL by psycopg 3."""
        number = _validate_model_version(version)  # type: ignore[no-untyped-call]
        changed: ModelVersion = super().transition_model_version_stage(  # type: ignore[no-untyped-call]
            name, number, stage, archive_existing_versions
        )
        return changed

    def delete_model_version(self, name: str, version: str) -> None:
        """As MLflow does; the version as a number, because MLflow 3.16 finds no alias of a text and would leave it."""
        super().delete_model_version(name, _validate_model_version(version))  # type: ignore[no-untyped-call]

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """As MLflow does, but for reserved tags."""
        _refuse_reserved(key)
        super().delete_model_version_tag(name, version, key)  # type: ignore[no-untyped-call]

    def set_registered_model_tag(self, name: str, tag: RegisteredModelTag) -> None:
        """As MLflow does; one tag asks for a rollback and is not kept (`gate.rollback.ROLLBACK_TAG`)."""
        if tag.key.strip().casefold() != ROLLBACK_TAG:
            super().set_registered_model_tag(name, tag)  # type: ignore[no-untyped-call]
            return
        _validate_model_name(name)
        workspace = self._get_active_workspace()
        with self._plain_sessions() as session, _in_mlflows_words(RESOURCE_CONFLICT):
            alias, version = choose_earlier(session.connection(), workspace, name, str(tag.value))
        with rolling_back():
            self.set_registered_model_alias(name, alias, str(version))  # type: ignore[no-untyped-call]

    def _accept(self, name: str, version: int, text: str) -> None:
        workspace = self._get_active_workspace()
        with self._plain_sessions() as session:
            found = find_version(session.connection(), workspace, name, version)
        if found is None:
            raise EvidenceError(f"There is no {name} v{version}.")
        try:
            with self._plain_sessions() as session, _in_mlflows_words(INVALID_PARAMETER_VALUE):
                connection = session.connection()
                read_statement(connection, found, text, evidence_roles(connection, name))
            with _in_mlflows_words(INVALID_PARAMETER_VALUE):
                digest = hash_files(found).known()
            self._keep_statement(found, digest, text)
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(INVALID_PARAMETER_VALUE):
                with self._plain_sessions(read_only=False) as session:
                    note_refusal(session.connection(), found, text, error.message)
            raise

    def _keep_statement(self, found: Version, digest: str, text: str) -> None:
        workspace, name, version = found.workspace, found.model, found.version
        with self.ManagedSessionMaker(read_only=False) as session:
            session.info[_OWN_TAGS] = True
            with _in_mlflows_words(INVALID_PARAMETER_VALUE):
                connection = session.connection()
                tables.lock(connection)
                accept_statement(connection, found, digest, text, evidence_roles(connection, name))
                seal(connection, found)
            wanted = version_tags(session.connection(), found)
            for tag in session.query(SqlModelVersionTag).filter_by(
                workspace=workspace, name=name, version=version
            ):
                if is_reserved(tag.key) and tag.key not in wanted and tag.key != WEIGHTS_TAG:
                    session.delete(tag)
            for key, value in wanted.items():
                session.merge(
                    SqlModelVersionTag(workspace=workspace, name=name, version=version, key=key, value=value)
                )


class GatedStore(_Gate):
    """The gate over MLflow's store."""


class GatedWorkspaceStore(_Gate, WorkspaceAwareSqlAlchemyStore):
    """The gate over MLflow's store with workspaces."""


def open_store(store_uri: str, tracking_uri: str | None = None) -> _Gate:
    """The entry point: `gated:sqlite:///mlflow.db` and the like. `tracking_uri` is not needed.

    What a server tells its workers, such as its read replica, is asked for in a server alone: to load MLflow's server
    takes a client a third of a second.
    """
    replica = None
    if "mlflow.server" in sys.modules:
        from mlflow.server.constants import READ_REPLICA_BACKEND_STORE_URI_ENV_VAR

        replica = os.environ.get(READ_REPLICA_BACKEND_STORE_URI_ENV_VAR)
    workspaces = MLFLOW_ENABLE_WORKSPACES.get()  # type: ignore[no-untyped-call]
    store = GatedWorkspaceStore if workspaces else GatedStore
    return store(store_uri.removeprefix(GATED_SCHEME), read_db_uri=replica)


def _judge(session: Session) -> None:
    """Look at everything that a flush is about to write; what is refused rolls all of it back."""
    with _in_mlflows_words(RESOURCE_CONFLICT):
        for item in [*session.new, *session.dirty, *session.deleted]:
            if isinstance(item, SqlModelVersionTag):
                _check_tag(session, item)
        fold_publications(session)
        if concerns_names(session) and decide(session):
            session.info[TICKETS] = True


@contextmanager
def _in_mlflows_words(code: int) -> Iterator[None]:
    """Our errors as MLflow's: any other becomes status 500, which clients retry for minutes."""
    try:
        yield
    except ResnetOpsError as error:
        raise MlflowException(str(error), error_code=code) from error


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
