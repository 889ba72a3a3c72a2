"""Nothing writes the registry's tables past a judged flush."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities.workspace import WorkspaceDeletionMode
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelAlias
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore as WorkspaceStore
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from resnet_ops_registry.client.publish import Published
from resnet_ops_registry.common.settings import database_uri, registry_uri
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.store.store import open_store

NAME = "digits-classifier"
ALIASES = SqlRegisteredModelAlias.__table__

pytestmark = pytest.mark.usefixtures("policy")


def _flush_nothing_then_save(session: Session) -> None:
    """A flush that finds nothing to do must not leave the door open."""
    alias = session.query(SqlRegisteredModelAlias).one()
    alias.version = int(alias.version)  # type: ignore[assignment]
    session.flush()
    session.bulk_update_mappings(SqlRegisteredModelAlias, [_champion()])


def _champion() -> dict[str, object]:
    return {"workspace": "default", "name": NAME, "alias": "champion", "version": 1}


WAYS: dict[str, Callable[[Session], object]] = {
    "orm": lambda session: session.execute(update(SqlRegisteredModelAlias).values(alias="champion")),
    "query": lambda session: session.query(SqlRegisteredModelAlias).update({"alias": "champion"}),
    "stage": lambda session: session.query(SqlModelVersion).update({"current_stage": "Production"}),
    "core": lambda session: session.execute(update(ALIASES).values(alias="champion")),
    "text": lambda session: session.execute(text("UPDATE registered_model_aliases SET alias = 'champion'")),
    "comment": lambda session: session.execute(
        text("/* */ update registered_model_aliases set alias='champion'")
    ),
    "with": lambda session: session.execute(
        text("WITH x AS (SELECT 1) UPDATE registered_model_aliases SET alias = 'champion'")
    ),
    "connection": lambda session: session.connection().execute(update(ALIASES).values(alias="champion")),
    "driver": lambda session: session.connection().exec_driver_sql(
        "UPDATE registered_model_aliases SET alias = 'champion'"
    ),
    "bulk_insert": lambda session: session.bulk_insert_mappings(SqlRegisteredModelAlias, [_champion()]),
    "bulk_save": lambda session: session.bulk_save_objects([SqlRegisteredModelAlias(**_champion())]),
    "many": lambda session: session.execute(ALIASES.insert(), [_champion(), _champion() | {"alias": "x"}]),
    "empty flush": _flush_nothing_then_save,
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_write_that_nobody_judged_is_refused(
    client: MlflowClient, published: Callable[..., Published], way: str, read_only: bool
) -> None:
    client.set_registered_model_alias(NAME, "free", str(published(low=0.9).version))
    store: SqlAlchemyStore = open_store(registry_uri())
    with (
        pytest.raises(MlflowException, match=r"no bulk change|read-only session"),
        store.ManagedSessionMaker(read_only=read_only) as session,
    ):
        WAYS[way](session)
    assert client.get_registered_model(NAME).aliases == {"free": 1}
    assert client.get_model_version(NAME, "1").current_stage == "None"


def test_mlflows_other_stores_on_the_same_engine_are_left_alone(client: MlflowClient) -> None:
    open_store(registry_uri())
    store = SqlAlchemyStore(database_uri())  # type: ignore[no-untyped-call]
    store.create_registered_model("plain")  # type: ignore[no-untyped-call]
    with store.ManagedSessionMaker(read_only=False) as session:
        session.execute(text("UPDATE registered_models SET description = 'by hand'"))
    assert MlflowClient(database_uri(), database_uri()).get_registered_model("plain").description == "by hand"


@pytest.mark.slow
def test_workspaces_are_looked_at_by_any_address_of_the_database(
    client: MlflowClient, published: Callable[[], Published], database: Path
) -> None:
    client.set_registered_model_alias(NAME, "champion", str(published().version))
    with open_database() as connection:
        connection.execute(text("INSERT INTO workspaces (name) VALUES ('team')"))
        for table in (
            "registered_models",
            "model_versions",
            "model_version_tags",
            "registered_model_aliases",
        ):
            connection.execute(text(f"UPDATE {table} SET workspace = 'team'"))
    folder = database.parent
    store = WorkspaceStore(f"sqlite:///{folder}/../{folder.name}/{database.name}")
    with pytest.raises(MlflowException, match="its evidence cannot be moved"):
        store.delete_workspace("team", WorkspaceDeletionMode.SET_DEFAULT)
    store._engine.dispose()
