"""Database sessions that nothing is written past: every flush is judged, and only a flush may write."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from weakref import ref

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT
from mlflow.store.db.utils import _get_managed_session_maker
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Connection, Engine, delete, event
from sqlalchemy.orm import Session, sessionmaker

from resnet_ops_registry.database.tables import tickets

__all__ = ["TICKETS", "SessionMaker", "gated_sessions"]

SessionMaker = Callable[..., AbstractContextManager[Session]]
TICKETS = "resnet_ops.tickets"
"""Set in a session's `info` by whoever wrote tickets for its flush."""
Judge = Callable[[Session], None]
_SESSION, _WATCHED = "resnet_ops.session", "resnet_ops_watched"
_GUARDED = re.compile(r"registered_model|model_version", re.IGNORECASE)


def gated_sessions(store: SqlAlchemyStore, judge: Judge) -> SessionMaker:
    """A replacement for the store's `ManagedSessionMaker`.

    `judge` sees every flush before it happens and raises what it refuses. Statements on the registry's tables
    outside of a flush (bulk, Core, raw SQL) are refused whatever they say, because nobody judged them.
    """
    write = _maker(store, store.engine, judge)
    read = _maker(store, store.read_engine, judge) if store.read_engine is not None else write

    def sessions(read_only: bool = True) -> AbstractContextManager[Session]:
        return (read if read_only else write)(read_only=read_only)

    return sessions


class _JudgedSession(Session):
    """A session that knows whether it is inside of a flush that was judged."""

    judged = False

    def flush(self, objects: Any = None) -> None:
        """As SQLAlchemy does; what was judged, and the tickets for it, count for this flush alone."""
        try:
            super().flush(objects)
            if self.judged and self.info.pop(TICKETS, False):
                self.connection().execute(delete(tickets))
        finally:
            self.judged = False


def _maker(store: SqlAlchemyStore, engine: Engine, judge: Judge) -> SessionMaker:
    # a view of the engine with the same pool, so that our statements can be told from MLflow's other stores'
    watched = engine.execution_options(**{_WATCHED: True})
    if engine.dialect.name != "sqlite":
        # what is read after the lock must be what others committed before it, whatever the database's default is
        watched = watched.execution_options(isolation_level="READ COMMITTED")
    # these events cost a third of `before_cursor_execute`, which makes SQLAlchemy prepare for all others
    for name in ("do_execute", "do_executemany"):
        if not event.contains(engine, name, _refuse_unjudged):
            event.listen(engine, name, _refuse_unjudged)
    if not event.contains(engine, "do_execute_no_params", _refuse_unjudged_text):
        event.listen(engine, "do_execute_no_params", _refuse_unjudged_text)
    sessions = sessionmaker(bind=watched, class_=_JudgedSession)

    def before_flush(session: _JudgedSession, context: object, instances: object) -> None:
        judge(session)
        session.judged = True

    def after_begin(session: _JudgedSession, transaction: object, connection: Connection) -> None:
        connection.info[_SESSION] = ref(session)

    event.listen(sessions, "before_flush", before_flush)
    event.listen(sessions, "after_begin", after_begin)
    made: SessionMaker = _get_managed_session_maker(sessions, store.db_type)  # type: ignore[no-untyped-call]
    return made


def _refuse_unjudged(cursor: object, statement: str, parameters: object, context: Any) -> None:
    if statement.startswith("SELECT") and ";" not in statement:
        return
    if not context.execution_options.get(_WATCHED) or not _GUARDED.search(statement):
        return
    if not context.root_connection.info[_SESSION]().judged:
        raise MlflowException(
            "The gate allows no bulk change of models, versions, aliases or their tags.",
            error_code=RESOURCE_CONFLICT,
        )


def _refuse_unjudged_text(cursor: object, statement: str, context: Any) -> None:
    _refuse_unjudged(cursor, statement, None, context)
