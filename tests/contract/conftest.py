"""A real `mlflow server` behind the gate, on a free port of 127.0.0.1, with a published model."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import torch
from mlflow import MlflowClient

from resnet_ops.families.cifar import build_member
from resnet_ops.families.member import Member
from resnet_ops.model import TrainedModel, save_model
from resnet_ops.model_files import model_digest
from resnet_ops_registry.database import open_database
from resnet_ops_registry.evidence import Evidence, Metric, Source
from resnet_ops_registry.keys import open_key
from resnet_ops_registry.policies import apply_policy
from resnet_ops_registry.publish import Published, publish
from resnet_ops_registry.settings import connect
from resnet_ops_registry.trust import trust_key

NAME = "digits-classifier"
POLICY = """\
model: digits-classifier
evidence_roles: [pipeline]
guards:
  - aliases: [champion]
    stages: [Production]
    rules:
      - {rule: threshold, metric: test.top1, bound: low, min: 0.95, why: promised}
"""


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
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        database, uri, process = start_server(folder)
        try:
            patch.setenv("MLFLOW_TRACKING_URI", uri)
            patch.delenv("MLFLOW_REGISTRY_URI", raising=False)
            patch.delenv("RESNET_OPS_KEYS", raising=False)
            client = connect()
            with open_database(database) as connection:
                apply_policy(connection, POLICY, "digits.yaml")
                trust_key(connection, open_key().public, "pipeline", "pipeline")
            good = publish_model(client, folder / "models" / "good", seed=0, low=0.96)
            bad = publish_model(client, folder / "models" / "bad", seed=1, low=0.90)
            yield Server(uri, folder, database, client, good, bad)
        finally:
            process.terminate()
            process.wait(30)


def start_server(folder: Path) -> tuple[str, str, subprocess.Popen[bytes]]:
    """Start the server as `make ui` does, and wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database, uri = f"sqlite:///{folder}/mlflow.db", f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        database,
        "--registry-store-uri",
        f"gated:{database}",
        "--workers",
        "1",
    ]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        environment.pop(name, None)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    for _ in range(240):
        try:
            if requests.get(uri + "/health", timeout=1).ok:
                return database, uri, process
        except requests.RequestException:
            time.sleep(0.25)
        if process.poll() is not None:
            break
    process.kill()
    process.wait()
    raise RuntimeError((folder / "server.log").read_text())


def publish_model(client: MlflowClient, folder: Path, seed: int, low: float) -> Published:
    torch.manual_seed(seed)
    member = Member(depth=8, widths=(4, 4, 4), stem_kernel=3, stem_stride=1, shortcut="identity")
    classes = tuple(str(digit) for digit in range(10))
    network = build_member(member, 1, 10).eval()
    save_model(TrainedModel(network, "tiny", member, classes, 8, 1, (0.3,), (0.2,)), folder)
    evidence = Evidence(
        member="tiny",
        weights_digest=model_digest(folder),
        metrics={"test.top1": Metric(value=0.98, n=360, low=low, high=0.99, method="wilson 95 %")},
        data={"test": "0" * 64},
        source=Source(commit="a" * 40, dirty=False, dvc_lock=None),
        environment={"python": "3.11"},
        hardware={"server-cpu": {"cpu": "any", "threads": 1}},
        seeds={"train": 0},
        created=datetime.now(UTC),
    )
    return publish(
        client,
        registered_model=NAME,
        experiment="digits",
        member="tiny",
        model_folder=folder,
        evidence=evidence,
        history=[{"train.loss": 2.0}, {"train.loss": 1.0}],
        params={"train.epochs": 2},
        artifacts={"model/member.json": folder / "member.json"},
    )
