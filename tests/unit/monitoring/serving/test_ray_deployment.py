"""`resnet-ops serve` in replicas of a real Ray Serve in local mode, which ends with the test."""

import importlib.util
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from resnet_ops.errors import ConfigError
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.ray_deployment import Arguments, _application, build
from resnet_ops_monitoring.serving.server import TOKEN
from resnet_ops_registry.client.promotion import promote
from resnet_ops_registry.common.connection import connect
from tests.unit.monitoring.scene import Scene
from tests.unit.monitoring.serving.live import until
from tests.unit.registry.conftest import NAME

ROOT = Path(__file__).resolve().parents[4]
AUTHORISED = {"Authorization": "Bearer of-this-test-0123456789"}

CLUSTER = """
import sys
from pathlib import Path
import ray
from ray import serve
from resnet_ops_monitoring.serving.ray_deployment import Arguments, build
port, metrics = map(int, sys.argv[1:])
sizes = {"num_cpus": 3, "object_store_memory": 100_000_000}
ray.init(include_dashboard=False, log_to_driver=False, _metrics_export_port=metrics, **sizes)
serve.start(http_options={"host": "127.0.0.1", "port": port})
try:
    for line in sys.stdin:
        uri, name, path = line.split()
        quickly = {"target_ongoing_requests": 0.1, "upscale_delay_s": 0, "look_back_period_s": 1}
        arguments = Arguments(uri=uri, folder=Path.cwd(), max_replicas=2, autoscaling=quickly)
        try:
            serve.run(build(arguments), name=name, route_prefix=path)
            print("ready", flush=True)
        except RuntimeError:
            why = serve.status().applications[name].deployments["scorer"].message
            print(why.replace("\\n", " "), flush=True)
finally:
    serve.shutdown()
    ray.shutdown()
"""


class Cluster:
    """Ray in a process of its own, with Serve on a port of this machine."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, metrics: int) -> None:
        self._process = process
        self._url, self._metrics = (f"http://127.0.0.1:{each}" for each in (port, metrics))

    def deploy(self, alias: str, path: str) -> str:
        """`ready`, or why not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(f"models:/{NAME}@{alias}", alias, path, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    def score(self, image: Any, request_id: str, **headers: str) -> requests.Response:
        sent = {"images": image[None].tolist()}
        headers |= {"X-Request-Id": request_id}
        return requests.post(f"{self._url}/v1/score", json=sent, headers=headers, timeout=60)

    def answered(self) -> dict[str, float]:
        """Requests that were scored, by replica; only of those that have told Ray since this was asked last."""
        text = requests.get(f"{self._metrics}/metrics", timeout=60).text
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        wanted = {"route": "/v1/score", "status": "200"}
        return {
            each.labels["replica"]: each.value
            for each in samples
            if each.name == "ray_resnet_ops_serving_requests_total" and wanted.items() <= each.labels.items()
        }

    def recorded(self) -> set[int]:
        """Rows for the log that each of the replicas has; one number where these are equal."""
        asked = [requests.get(f"{self._url}/v1/status", headers=AUTHORISED, timeout=60) for _ in range(20)]
        return {each.json()["log"]["recorded"] for each in asked}


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = [free.getsockname()[1] for free in (first, second)]
    settings = {
        TOKEN.variable: AUTHORISED["Authorization"].split()[1],
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT": "1",
        "RAY_metrics_report_interval_ms": "500",
    }
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER, *map(str, ports)],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **settings},
    ) as process:
        try:
            yield Cluster(process, *ports)
        finally:
            assert process.stdin is not None
            process.stdin.close()  # it ends what it started
            try:
                process.wait(120)
            finally:
                process.kill()


@pytest.fixture
def ready(scene: Scene) -> Scene:
    """The scene with the project's own settings; replicas look at the alias often."""
    whole = yaml.safe_load((ROOT / "params.yaml").read_text())
    whole["serve"] |= {"max_wait_ms": 60_000, "poll_seconds": 0.2}
    (scene.folder / "params.yaml").write_text(yaml.safe_dump({key: whole[key] for key in ("data", "serve")}))
    return scene


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: the extra 'scale'")
def test_replicas_answer_log_and_follow_as_one_server_does_and_refuse_what_it_refuses(ready: Scene) -> None:
    images = ready.served.unseen
    said, told = dict[str, str](), dict[str, float]()
    with cluster(ready.folder) as ray, ThreadPoolExecutor(8) as clients:

        def ask(row: int) -> None:
            name = f"r{row}"
            answer = ray.score(images[row % len(images)], name, **AUTHORISED)
            assert answer.status_code == 200, answer.text
            assert answer.json()["request_id"] == answer.headers["X-Request-Id"] == name
            said[name] = answer.json()["version"]

        assert ray.deploy("champion", "/") == "ready"
        assert ray.score(images[0], "without-token").status_code == 401
        while len(ray.recorded() - {0}) < 2:  # until Ray has added a replica
            list(clients.map(ask, range(len(said), len(said) + 9)))
        assert set(said.values()) == {"3"}
        assert sum(ray.recorded()) == len(said)
        until(lambda: told.update(ray.answered()) or set(told.values()) == ray.recorded())
        promote(NAME, 2, "champion")
        while set(list(said.values())[-20:]) != {"2"}:
            ask(len(said))
        connect().set_registered_model_alias(NAME, "unguarded", "3")
        assert "may not answer for @unguarded" in ray.deploy("unguarded", "/refused")
    log = InferenceLog(f"sqlite:///{ready.folder}/var/inference.db")
    rows = log.read(NAME)
    log.close()
    assert len(rows) == len(said)
    assert dict(zip(rows["request_id"], rows["version"], strict=True)) == said


def test_the_documented_file_names_what_is_built_and_its_arguments() -> None:
    files = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/serve.md").read_text(), re.DOTALL)
    (application,) = next(yaml.safe_load(each) for each in files if "import_path" in each)["applications"]
    assert application["import_path"] == f"{build.__module__}:{build.__name__}"
    assert Arguments.model_validate(application["args"]).max_replicas == 4


def test_a_replica_without_a_token_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (TOKEN.variable, TOKEN.file_variable):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="No token is set"):
        _application(Arguments(uri=f"models:/{NAME}@champion", folder=tmp_path))
