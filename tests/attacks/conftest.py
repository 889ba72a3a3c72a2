"""Databases for the attacks: SQLite, and PostgreSQL where it is installed."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.attacks.registry import Registry, without_settings
from tests.attacks.servers import new_database, postgresql, postgresql_missing

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


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/mlflow.db"
    return new_database(request.getfixturevalue("postgresql_uri"), f"alone_{next(_numbers)}")


@pytest.fixture
def registry(database: str, tmp_path: Path) -> Iterator[Registry]:
    with without_settings():
        yield Registry(database, tmp_path)
