"""A registry of one's own for each test: real SQLite, real keys, a real (tiny, untrained) model."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from resnet_ops.families.cifar import build_member
from resnet_ops.families.member import Member
from resnet_ops.model import TrainedModel, save_model
from resnet_ops.model_files import model_digest
from resnet_ops_registry.database import open_database
from resnet_ops_registry.evidence import Evidence, Metric, Source
from resnet_ops_registry.policies import apply_policy
from resnet_ops_registry.publish import Published, publish
from resnet_ops_registry.settings import connect

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
def client(project: Path, empty_database: bytes) -> MlflowClient:
    (project / "var").mkdir()
    (project / "var" / "mlflow.db").write_bytes(empty_database)
    return connect()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """MLflow's tables, made once: its migrations take seconds."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    store = SqlAlchemyStore(f"sqlite:///{path}")  # type: ignore[no-untyped-call]
    store.engine.dispose()
    return path.read_bytes()


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
        top1 = Metric(value=0.98, n=360, low=low, high=0.99, method="wilson 95 %")
        return Evidence(
            member="tiny",
            weights_digest=model_digest(folder),
            metrics={"test.top1": top1, "size.bytes": Metric(value=4000, n=1, unit="byte")},
            data={"test": "0" * 64},
            source=Source(commit="a" * 40, dirty=False, dvc_lock=None),
            environment={"python": "3.11"},
            hardware={"server-cpu": {"cpu": "any", "threads": 1}},
            seeds={"train": 0},
            created=created or datetime.now(UTC),
        )

    return make


@pytest.fixture
def published(client: MlflowClient, model_folder: Path, make_evidence: EvidenceMaker) -> Publisher:
    """Publish the tiny model with evidence of a given lower bound."""

    def run(low: float = 0.96, evidence: Evidence | None = None, folder: Path = model_folder) -> Published:
        return publish(
            client,
            registered_model=NAME,
            experiment="digits",
            member="tiny",
            model_folder=folder,
            evidence=evidence or make_evidence(low, folder=folder),
            history=[{"train.loss": 2.0, "learning_rate": 0.1}, {"train.loss": 1.0, "learning_rate": 0.05}],
            params={"train.epochs": 2},
            artifacts={"model/member.json": folder / "member.json"},
        )

    return run
