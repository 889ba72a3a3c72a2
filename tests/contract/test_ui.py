"""`resnet-ops ui`: the server with the gate, and the sender of decisions that it starts beside itself."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests
from sqlalchemy import select

from resnet_ops.errors import GateDenied
from resnet_ops_registry import promote
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.database.tables import deliveries, open_database
from resnet_ops_registry.gate.policies import apply_policy
from tests.serving import free_port
from tests.unit.registry.conftest import NAME, POLICY, make_model, publish_model
from tests.unit.registry.receiver import Receiver, receiving

pytestmark = pytest.mark.e2e


def wait_for(found: Callable[[], object]) -> None:
    """Until it is true; the test's own time limit ends a wait in vain."""
    while not found():
        time.sleep(0.1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def database(tmp_path: Path, empty_database: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project's database with a policy and a version that does not pass."""
    for name in ("MLFLOW_REGISTRY_URI", "RESNET_OPS_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/var/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "mlflow.db").write_bytes(empty_database)
    publish_model(connect(), make_model(tmp_path / "models" / "bad", seed=0), low=0.90)
    with open_database() as connection:
        apply_policy(connection, POLICY, "digits.yaml")
    return uri


def test_the_ui_tells_the_webhook_of_decisions_and_takes_its_sender_along(
    database: str, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    webhook = {
        "RESNET_OPS_WEBHOOK_URL": receiver.url,
        "RESNET_OPS_WEBHOOK_SECRET": "a secret of both sides",
    }
    words = ["-c", "from resnet_ops.cli import main; main()", "ui", "--port", str(port)]
    with (tmp_path / "ui.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, *words], stdout=log, stderr=log, env={**os.environ, **webhook}
        )
    try:

        def registered() -> bool:
            assert server.poll() is None, (tmp_path / "ui.log").read_text()
            with open_database(database) as connection:
                return connection.execute(select(deliveries)).first() is not None

        def answers() -> bool:
            try:
                return requests.get(f"http://127.0.0.1:{port}/health", timeout=1).ok
            except requests.RequestException:
                return False

        # a new endpoint is told of what is decided from then on
        wait_for(registered)
        wait_for(answers)
        senders = [child for child in psutil.Process(server.pid).children() if "send" in child.cmdline()]
        assert len(senders) == 1
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        with pytest.raises(GateDenied):
            promote(NAME, 1, "champion")
        wait_for(lambda: receiver.messages)
        (message,) = receiver.messages
        assert (message["type"], message["event"]["target"]) == ("refused", "@champion")
    finally:
        server.terminate()
        server.wait(30)
    wait_for(lambda: not senders[0].is_running() or senders[0].status() == psutil.STATUS_ZOMBIE)
