"""A real `mlflow server` behind the gate, on a free port of 127.0.0.1, with a published model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.client.publish import Published
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy
from tests.attacks.servers import ADMIN, Config, start
from tests.unit.registry.conftest import POLICY, make_model, publish_model


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        # mlflow 3.17 itself, under sqlalchemy 2.1
        "ignore:The ``noload`` loader strategy:DeprecationWarning",
        "ignore:.*transition_model_version_stage.* is deprecated:FutureWarning",
    ):
        config.addinivalue_line("filterwarnings", line)


@dataclass(frozen=True)
class Server:
    """A running server and its folder. `good` and `bad`: versions whose evidence passes and fails the policy."""

    uri: str
    folder: Path
    database: str
    client: MlflowClient
    good: Published
    bad: Published


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mlflow_tables: bytes
) -> Iterator[Server]:
    """With basic-auth, and its administrator as the client, where a module sets LOGIN."""
    folder, login = tmp_path_factory.mktemp("project"), getattr(request.module, "LOGIN", False)
    (folder / "mlflow.db").write_bytes(mlflow_tables)
    database = f"sqlite:///{folder}/mlflow.db"
    config = Config(gated=True, database="sqlite", auth=login)
    with pytest.MonkeyPatch.context() as patch, start(config, folder, database) as running:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", running.uri)
        patch.delenv("MLFLOW_REGISTRY_URI", raising=False)
        patch.delenv("RESNET_OPS_KEYS", raising=False)
        if login:
            patch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
            patch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])
        client = connect()
        with open_database(database) as connection:
            apply_policy(connection, POLICY, "digits.yaml")
            trust_key(connection, open_key().public, "pipeline", "pipeline")
        good = publish_model(client, make_model(folder / "models" / "good", seed=0), low=0.96)
        bad = publish_model(client, make_model(folder / "models" / "bad", seed=1), low=0.90)
        yield Server(running.uri, folder, database, client, good, bad)
