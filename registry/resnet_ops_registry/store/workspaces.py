"""Models that MLflow moves between workspaces with a bulk UPDATE, in a session that is not the registry's."""

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlRegisteredModel,
    SqlRegisteredModelAlias,
)
from mlflow.store.workspace.dbmodels.models import SqlWorkspace
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import Connection, Result, Update, delete, event, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session

from resnet_ops.errors import ResnetOpsError
from resnet_ops_registry.database import tables
from resnet_ops_registry.gate.gate import is_guarded
from resnet_ops_registry.gate.policies import policy_for
from resnet_ops_registry.store import harden
from resnet_ops_registry.store.changes import Change, carried_along, concerns_names
from resnet_ops_registry.store.decisions import decide, let_through

__all__ = ["guard_other_sessions"]

_TICKETS = "resnet_ops.workspace_tickets"


def guard_other_sessions() -> None:
    """From now on look at what MLflow's workspace store, which has sessions of its own, does to a gated database,
    whatever the address by which it was told of it.

    `DELETE workspaces/W?mode=SET_DEFAULT` moves models with their aliases, in bulk; evidence is about a version in
    its workspace and does not move along. So what carries a guarded alias or stage stays where it is. `mode=CASCADE`
    deletes them, which is decided and written down as any deletion.
    """
    if not event.contains(Session, "do_orm_execute", _look_at):
        event.listen(Session, "do_orm_execute", _look_at)
        event.listen(Session, "before_flush", _look_at_flush)
        event.listen(Session, "after_flush", _take_tickets_back)


def _is_gated(connection: Connection) -> bool:
    return inspect(connection).has_table(tables.ledger_head.name)


def _look_at(state: ORMExecuteState) -> Result[Any] | None:
    if not state.is_update or not state.is_orm_statement or state.bind_mapper is None:
        return None
    if state.bind_mapper.class_ not in (SqlRegisteredModel, SqlModelVersion, SqlRegisteredModelAlias):
        return None
    connection = state.session.connection()
    if not _is_gated(connection):
        return None
    if state.bind_mapper.class_ is not SqlRegisteredModel or not isinstance(state.statement, Update):
        raise MlflowException("The gate allows no bulk change of versions or aliases.", RESOURCE_CONFLICT)
    tables.lock(connection)
    changes = _allowed_moves(connection, state.statement)
    if not harden.is_hardened(connection):
        return None
    let_through(connection, changes, [])
    moved = state.invoke_statement()
    connection.execute(delete(tables.tickets))
    return moved


def _look_at_flush(session: Session, context: object, instances: object) -> None:
    if not any(isinstance(item, SqlWorkspace) for item in session.deleted):
        return
    if not concerns_names(session) or not _is_gated(session.connection()):
        return
    try:
        session.info[_TICKETS] = decide(session)
    except ResnetOpsError as error:
        raise MlflowException(str(error), error_code=RESOURCE_CONFLICT) from error


def _take_tickets_back(session: Session, context: object) -> None:
    if session.info.pop(_TICKETS, False):
        session.connection().execute(delete(tables.tickets))


def _allowed_moves(connection: Connection, statement: Update) -> list[Change]:
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
    return changes
