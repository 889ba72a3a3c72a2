"""MLflow's own model server answers as the version does, and its answers are in the log."""

import json
import sys
import urllib.request
from typing import Any

import mlflow
import numpy as np
import pytest

from resnet_ops.errors import ConfigError, GateDenied
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.logged_folder import save_logged_model
from resnet_ops_registry.client.promotion import promote
from tests.serving import answering, free_port
from tests.unit.monitoring.scene import Scene
from tests.unit.monitoring.serving.live import until
from tests.unit.registry.conftest import NAME

LOG = "RESNET_OPS_INFERENCE_LOG"


@pytest.fixture
def log(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> InferenceLog:
    monkeypatch.setenv(LOG, f"sqlite:///{scene.folder}/var/answers.db")
    return InferenceLog.open()


def logged(log: InferenceLog) -> Any:
    return log.read(NAME)


@pytest.mark.slow
def test_a_logged_model_answers_as_the_version_does_and_records_it(
    scene: Scene, log: InferenceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_logged_model(f"models:/{NAME}@champion", scene.folder / "logged")
    images = scene.served.unseen[:3]
    model = mlflow.pyfunc.load_model(str(scene.folder / "logged"))
    plain = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    np.testing.assert_array_equal(model.predict(images), plain.predict(images))
    np.testing.assert_array_equal(model.predict(images[:0]), plain.predict(images[:0]))
    with pytest.raises(Exception, match="Shape"):
        model.predict(images[:, :4])
    model.unwrap_python_model().model._version.close()
    rows = logged(log)
    assert len(rows) == 3
    assert set(rows["version"]) == {"3"}
    assert [name[-2:] for name in rows["request_id"]] == ["#0", "#1", "#2"]
    monkeypatch.delenv(LOG)
    with pytest.raises(ConfigError, match=LOG):
        mlflow.pyfunc.load_model(str(scene.folder / "logged"))


def test_what_the_gate_would_not_serve_is_not_packaged(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="names no alias"):
        save_logged_model(f"models:/{NAME}/3", scene.folder / "logged")
    promote(NAME, 1, "canary")
    with pytest.raises(GateDenied):
        save_logged_model(f"models:/{NAME}@canary", scene.folder / "logged")
    assert not (scene.folder / "logged").exists()


@pytest.mark.slow
def test_mlflows_server_logs_and_its_end_loses_nothing(scene: Scene, log: InferenceLog) -> None:
    save_logged_model(f"models:/{NAME}@champion", scene.folder / "logged")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", "logged"]
    address = f"http://127.0.0.1:{port}"
    with answering([*command, "--port", str(port)], address, scene.folder / "server.log"):
        body = json.dumps({"inputs": scene.served.unseen[:4].tolist()}).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}/invocations", body, kind)
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.loads(answer.read())["predictions"]
    until(lambda: len(logged(log)) == 4)  # of a child of the process
    np.testing.assert_allclose(np.stack(logged(log)["probabilities"].tolist()), said, atol=1e-6)
