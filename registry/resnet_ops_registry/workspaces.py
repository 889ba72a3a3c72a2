"""Models that MLflow moves between workspaces with a bulk UPDATE, in a session that is not the registry's."""

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlRegisteredModel,
    SqlRegisteredModelAlias,
)
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import Connection, Engine, Update, event, select
from sqlalchemy.orm import ORMExecuteState, Session

from resnet_ops_registry import harden
from resnet_ops_registry.changes import Change, carried_along
from resnet_ops_registry.decisions import let_through
from resnet_ops_registry.gate import is_guarded
from resnet_ops_registry.policies import policy_for

__all__ = ["guard_other_sessions"]

_guarded_databases: set[str] = set()


def guard_other_sessions(engine: Engine) -> None:
    """From now on look at the bulk changes of every session of this process that reach the gated database.

    MLflow's workspace store has an engine and sessions of its own. `DELETE workspaces/W?mode=SET_DEFAULT` moves
    models with their aliases; evidence is about a version in its workspace and does not move along. So what
    carries a guarded alias or stage stays where it is.
    """
    if not _guarded_databases:
        event.listen(Session, "do_orm_execute", _look_at)
    _guarded_databases.add(str(engine.url))


def _look_at(state: ORMExecuteState) -> None:
    if not state.is_update or not state.is_orm_statement or state.bind_mapper is None:
        return
    if state.bind_mapper.class_ not in (SqlRegisteredModel, SqlModelVersion, SqlRegisteredModelAlias):
        return
    connection = state.session.connection()
    if str(connection.engine.url) not in _guarded_databases:
        return
    if state.bind_mapper.class_ is not SqlRegisteredModel or not isinstance(state.statement, Update):
        raise MlflowException("The gate allows no bulk change of versions or aliases.", RESOURCE_CONFLICT)
    _check_move(connection, state.statement)


def _check_move(connection: Connection, statement: Update) -> None:
    models: Any = SqlRegisteredModel.__table__
    which = select(models.c.workspace, models.c.name).where(statement.whereclause)  # type: ignore[arg-type]
    changes: list[Change] = []
    for workspace, name in connection.execute(which).all():
        changes += carried_along(connection, (workspace, name), (DEFAULT_WORKSPACE_NAME, name))
    for change in changes:
        if is_guarded(policy_for(connection, change.model), change.target):
            raise MlflowException(
                f"{change.model} is {change.target.label} in this workspace, and its evidence cannot be moved. "
                "Remove the alias or stage first, then promote it again where it is needed.",
                error_code=RESOURCE_CONFLICT,
            )
    if harden.is_hardened(connection):
        let_through(connection, changes, [])
