"""A registry of one's own for each test: real SQLite, real keys, a real (tiny, untrained) model."""

import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from flask import Flask, g
from mlflow import MlflowClient
from sqlalchemy import Engine, event
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.families.cifar import build_member
from resnet_ops.families.member import Member
from resnet_ops.model import TrainedModel, save_model
from resnet_ops.model_files import model_digest
from resnet_ops.preprocessing import Preprocessing
from resnet_ops_registry.attestations.evidence import Evidence, Metric, Source
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.cards.model_card import CardTexts
from resnet_ops_registry.client.attesting import attest
from resnet_ops_registry.client.publish import Published, publish
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.display import WEIGHTS_TAG
from resnet_ops_registry.gate.policies import apply_policy

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

EvidenceMaker = Callable[..., Evidence]
Publisher = Callable[..., Published]
Runner = Callable[..., str]


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        # mlflow 3.17 itself, under sqlalchemy 2.1
        "ignore:The ``noload`` loader strategy:DeprecationWarning",
        "ignore:.*transition_model_version_stage.* is deprecated:FutureWarning",
        # mlflow keeps its engines for the life of the process
        "ignore:unclosed database:ResourceWarning",
        "ignore:Exception ignored in.*sqlite3:pytest.PytestUnraisableExceptionWarning",
    ):
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder as the working directory, and no settings from outside."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "RESNET_OPS_KEYS", "RESNET_OPS_UNGOVERNED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    # mlflow caches stores by URI, and a relative one would mean another file in each test
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/var/mlflow.db")
    return tmp_path


@pytest.fixture
def client(database: Path) -> MlflowClient:
    return connect()


@pytest.fixture
def database(project: Path, empty_database: bytes) -> Path:
    """The project's database, with all tables and nothing in them."""
    path = project / "var" / "mlflow.db"
    path.parent.mkdir()
    path.write_bytes(empty_database)
    return path


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """No power fails during a test, so nothing need be flushed; what a killed process wrote is there all the same."""

    def connected(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF").close()

    event.listen(Engine, "connect", connected)
    yield
    event.remove(Engine, "connect", connected)


@pytest.fixture(scope="session")
def elsewhere() -> ForkServerContext:
    """Processes of their own, to be killed or to race; what they import is imported once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch", "mlflow", "resnet_ops_registry.client.publish", "resnet_ops_registry.store.store"]
    )
    return context


@pytest.fixture
def run(client: MlflowClient) -> Runner:
    """Run a command; gives what it printed, and raises what it raised."""
    app = build_app()

    def run(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result.output

    return run


@pytest.fixture
def login() -> Iterator[Callable[[str], None]]:
    """As inside of a server's request by somebody whose password basic-auth checked; call it to be somebody else."""

    def be(name: str) -> None:
        g.mlflow_authenticated_user = name

    with Flask("login").test_request_context():
        be("promoter")
        yield be


@pytest.fixture
def policy(client: MlflowClient) -> None:
    with open_database() as connection:
        apply_policy(connection, POLICY, "digits.yaml")


@pytest.fixture
def model_folder(project: Path) -> Path:
    """An untrained ResNet-8 for 8x8 grey images of ten classes."""
    return make_model(project / "models" / "tiny", seed=0)


def make_model(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    member = Member(depth=8, widths=(4, 4, 4), stem_kernel=3, stem_stride=1, shortcut="identity")
    network = build_member(member, 1, 10).eval()
    classes = tuple(str(digit) for digit in range(10))
    save_model(TrainedModel(network, "tiny", member, classes, 8, 1, (0.3,), (0.2,)), folder)
    return folder


@pytest.fixture
def make_evidence(model_folder: Path) -> EvidenceMaker:
    """Evidence about the tiny model, its top-1 accuracy's lower bound as told."""

    def make(low: float = 0.96, created: datetime | None = None, folder: Path = model_folder) -> Evidence:
        return evidence_of(folder, low, created)

    return make


def evidence_of(folder: Path, low: float, created: datetime | None = None) -> Evidence:
    return _evidence(model_digest(folder), low, created)


def _evidence(weights_digest: str, low: float, created: datetime | None = None) -> Evidence:
    top1 = Metric(value=0.98, n=360, low=low, high=0.99, method="wilson 95 %")
    return Evidence(
        member="tiny",
        weights_digest=weights_digest,
        metrics={"test.top1": top1, "size.bytes": Metric(value=4000, n=1, unit="byte")},
        data={"test": "0" * 64},
        source=Source(commit="a" * 40, dirty=False, dvc_lock=None),
        environment={"python": "3.11"},
        hardware={"server-cpu": {"cpu": "any", "threads": 1}},
        seeds={"train": 0},
        created=created or datetime.now(UTC),
    )


def measured_at(client: MlflowClient, version: int, point: OperatingPoint) -> None:
    """Hand over evidence of a version that decides at this point from now on."""
    evidence = _evidence(client.get_model_version(NAME, str(version)).tags[WEIGHTS_TAG], 0.96)
    metrics = evidence.metrics | {"operating.threshold": Metric(value=point.threshold, n=100)}
    said = evidence.model_copy(update={"metrics": metrics, "positive": point.positive})
    attest(client, NAME, version, said, open_key())


@pytest.fixture
def published(client: MlflowClient, model_folder: Path) -> Publisher:
    """Publish the tiny model with evidence of a given lower bound."""

    def run(low: float = 0.96, evidence: Evidence | None = None, folder: Path = model_folder) -> Published:
        return publish_model(client, folder, low, evidence)

    return run


def publish_model(
    client: MlflowClient,
    folder: Path,
    low: float = 0.96,
    evidence: Evidence | None = None,
    registered_model: str = NAME,
    preprocessing: Preprocessing | None = None,
) -> Published:
    return publish(
        client,
        registered_model=registered_model,
        experiment="digits",
        member="tiny",
        model_folder=folder,
        evidence=evidence or evidence_of(folder, low),
        history=[{"train.loss": 2.0, "learning_rate": 0.1}, {"train.loss": 1.0, "learning_rate": 0.05}],
        params={"train.epochs": 2},
        artifacts={"model/member.json": folder / "member.json"},
        card=CardTexts(intended_use="Tests.", limits=""),
        preprocessing=preprocessing,
    )
