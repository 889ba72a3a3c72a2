"""Databases for the attacks: SQLite, and PostgreSQL where it is installed."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.attacks.registry import Registry, without_settings
from tests.attacks.servers import new_database, postgresql, postgresql_missing
from tests.unit.registry.conftest import no_waiting_for_the_disk as no_waiting_for_the_disk

Maker = Callable[[str, Path], str]

_numbers = count()


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        # mlflow keeps its engines for the life of the process
        "ignore:unclosed database:ResourceWarning",
        "ignore:Exception ignored in.*sqlite3:pytest.PytestUnraisableExceptionWarning",
        "ignore:.*registry_utils:UserWarning",
    ):
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session")
def postgresql_uri() -> Iterator[str]:
    if reason := postgresql_missing():
        pytest.skip(reason)
    with postgresql() as uri:
        yield uri


@pytest.fixture(scope="session")
def empty_postgresql(postgresql_uri: str) -> str:
    """The name of a database with MLflow's tables, to be copied."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(new_database(postgresql_uri, "empty")).engine.dispose()  # type: ignore[no-untyped-call]
    return "empty"


@pytest.fixture(scope="session")
def make_database(request: pytest.FixtureRequest, mlflow_tables: bytes) -> Maker:
    """Make a database of this kind, with MLflow's tables and nothing in them, and give its URI."""

    def make(kind: str, folder: Path) -> str:
        if kind == "sqlite":
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "mlflow.db").write_bytes(mlflow_tables)
            return f"sqlite:///{folder}/mlflow.db"
        uri = request.getfixturevalue("postgresql_uri")
        return new_database(uri, f"alone_{next(_numbers)}", request.getfixturevalue("empty_postgresql"))

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, make_database: Maker) -> str:
    return make_database(request.param, tmp_path)


@pytest.fixture
def registry(database: str, tmp_path: Path) -> Iterator[Registry]:
    with without_settings():
        yield Registry(database, tmp_path)
