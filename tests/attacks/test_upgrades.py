"""`mlflow db upgrade` on a hardened database: on one that is up to date, and on one a revision behind."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_alembic_config, _get_latest_schema_revision, _get_schema_version
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from sqlalchemy import create_engine, text

from resnet_ops_registry.database import tables
from resnet_ops_registry.store.harden import harden, missing_triggers
from tests.attacks.registry import MODEL, Registry, without_settings
from tests.attacks.servers import new_database

pytestmark = pytest.mark.e2e


def upgrade(uri: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", uri], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def state(uri: str) -> tuple[str, list[str]]:
    """MLflow's revision, and the triggers that are missing."""
    engine = create_engine(uri)
    try:
        with engine.connect() as connection:
            return _get_schema_version(engine), missing_triggers(connection)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(registry: Registry) -> None:
    registry.version(b"good")
    with tables.open_database(registry.database) as connection:
        harden(connection)
    before = state(registry.database)
    upgrade(registry.database)
    assert state(registry.database) == before
    assert before[1] == []
    registry.client.set_registered_model_alias(MODEL, "champion", "1")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_hardened_database_a_revision_behind_is_upgraded_and_guards_again(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    uri = (
        f"sqlite:///{tmp_path}/mlflow.db"
        if kind == "sqlite"
        else new_database(request.getfixturevalue("postgresql_uri"), "a_revision_behind")
    )
    latest = _get_latest_schema_revision()  # type: ignore[no-untyped-call]
    make_older(uri, latest)
    assert state(uri)[0] != latest
    upgrade(uri)
    assert state(uri)[0] == latest
    with without_settings():
        registry = Registry(uri, tmp_path)
        assert state(uri) == (latest, []), "a server with the gate puts back what is lost"
        registry.version(b"good")
        plain = MlflowClient(uri, uri)
        with pytest.raises(MlflowException, match="The registry is hardened"):
            plain.set_registered_model_alias(MODEL, "champion", "1")
        registry.client.set_registered_model_alias(MODEL, "champion", "1")
        assert registry.champion() == 1


def make_older(uri: str, latest: str) -> None:
    """MLflow's tables as they were before its last migration, ours, and the triggers."""
    config = _get_alembic_config(uri)  # type: ignore[no-untyped-call]
    before = ScriptDirectory.from_config(config).get_revision(latest).down_revision
    engine = create_engine(uri)
    try:
        InitialBase.metadata.create_all(engine)
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, str(before))
        tables.upgrade(engine)
        with engine.begin() as connection:
            assert harden(connection)
            assert connection.execute(text("SELECT count(*) FROM resnet_ops_state")).scalar() == 1
    finally:
        engine.dispose()
