"""For all tests: no library reports home, and each works on one thread; what shares a fixture runs together."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.once import make_once

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    DVC_NO_ANALYTICS="1",
    ITERATIVE_DO_NOT_TRACK="1",
    DVC_STUDIO_OFFLINE="true",
    GX_ANALYTICS_ENABLED="false",
)
# before the first import of numpy or torch: workers with as many threads as cores wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

# how long an example takes says more about the machine than about the code
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """For `pytest -n 2 --dist loadgroup`: tests that share a fixture stay on one worker, and long ones begin early.

    One test begins to make the finished pipeline; what waits for it comes after the other long ones, so that the second
    worker has something else to do meanwhile.
    """
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        if group := shared_by(item):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: 1 if needs_pipeline(item) else 0 if takes_long(item) else 2)
    first = next(filter(needs_pipeline, items), None)
    items.sort(key=lambda item: item is not first)


def needs_pipeline(item: pytest.Function) -> bool:
    return "reproduced" in item.fixturenames


def takes_long(item: pytest.Function) -> bool:
    folder = item.path.relative_to(TESTS).parts[0]
    return folder in ("attacks", "contract", "e2e") or item.get_closest_marker("slow") is not None


def shared_by(item: pytest.Function) -> str:
    """The test's file, and the parameters of its fixtures that live longer than one test; empty where it has none."""
    found = item._fixtureinfo.name2fixturedefs
    wide = [name for name, known in found.items() if known[-1].scope in ("class", "module", "package")]
    indices = item.callspec.indices if hasattr(item, "callspec") else {}
    parameters = [str(indices[name]) for name in wide if name in indices]
    return "-".join([str(item.path.relative_to(TESTS)), *parameters]) if wide else ""


@pytest.fixture(scope="session")
def mlflow_tables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A SQLite database with MLflow's tables and nothing in them: its migrations take seconds."""

    def make(folder: Path) -> None:
        from resnet_ops_registry.common.new_database import make_database
        from resnet_ops_registry.common.settings import prepare_environment

        prepare_environment()
        make_database(folder / "mlflow.db")

    return (make_once(request, tmp_path_factory, "mlflow_tables", make) / "mlflow.db").read_bytes()


@pytest.fixture(scope="session")
def empty_database(mlflow_tables: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same with the gate's tables."""
    from resnet_ops_registry.store.store import open_store

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    path.write_bytes(mlflow_tables)
    open_store(f"gated:sqlite:///{path}").engine.dispose()
    return path.read_bytes()
