"""A gated registry in which the network of `served` is champion v3 after v1 and v2, and a log of its traffic."""

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from resnet_ops.model import TrainedModel, save_model
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.service.monitor_service import Cycle, MonitorService
from resnet_ops_monitoring.serving.camera import degrade
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.settings.service import MonitorSettings, read_monitor_settings
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.client.promotion import promote
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy
from tests.unit.monitoring.conftest import Served
from tests.unit.registry.conftest import NAME, POLICY, make_model, publish_model

__all__ = ["START", "Scene", "at", "registered", "scene"]

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
_MONITOR: dict[str, Any] = {
    "validate": {
        "max_rows": 5000,
        "sum_tolerance": 0.001,
        "clock_allowance_seconds": 300,
        "max_repeated": 0.5,
    },
    "run": {
        "alias": "champion",
        "minutes": 60,
        "rows": 0,
        "settle_seconds": 60,
        "late_windows": 48,
        "min_alarms": 2,
        "windows": 3,
        "false_alarms_per_day": 1.0,
    },
    "alerts": {"reminder_hours": 24, "mlflow": "http://127.0.0.1:5000"},
    "serve": {"every_seconds": 0.1, "port": 0},
    "keep_days": 183,
    "actions": {
        "propose_retraining": {"enabled": False, "images": 10, "folder": "", "queue": False},
        "roll_back": {"enabled": False, "floor": 0.8, "min_labels": 50, "days": 7, "key": "monitor"},
    },
}


def at(hour: float) -> datetime:
    """So many hours after the log begins."""
    return START + timedelta(hours=hour)


@dataclass(frozen=True)
class Scene:
    """The project folder that is the working directory, and what happens in it."""

    folder: Path
    served: Served
    settings: MonitorSettings

    @property
    def log(self) -> InferenceLog:
        return InferenceLog.open()

    def traffic(
        self, hour: int, *, dirty: bool = False, rows: int = 120, labels: list[str] | None = None
    ) -> None:
        """Images that the model never saw, in this hour."""
        first = (hour * 97) % (len(self.served.unseen) - rows)
        images = self.served.unseen[first : first + rows]
        times = [at(hour) + timedelta(seconds=25 * i) for i in range(rows)]
        ids = [f"hour-{hour}-{i}" for i in range(rows)]
        frame = self.served.scorer.score(degrade(images, 0) if dirty else images, ids, times, labels=labels)
        log = self.log
        log.append(frame)
        log.close()

    def rounds(self, **changes: Any) -> MonitorService:
        """The monitor, with other settings where they are named."""
        settings = replace(self.settings, **changes)
        return MonitorService(
            NAME, "champion", settings, Path("var/monitor"), Path("data/reference/reference.parquet")
        )

    def once(self, hour: float, **changes: Any) -> Cycle:
        """One round, so many hours after the log begins."""
        done = self.rounds(**changes).once(at(hour))
        assert done is not None
        return done


@pytest.fixture(scope="session")
def registered(served: Served, tmp_path_factory: pytest.TempPathFactory, empty_database: bytes) -> Path:
    """The registry's folder, made once."""
    folder = tmp_path_factory.mktemp("registered")
    (folder / "var").mkdir()
    (folder / "var" / "mlflow.db").write_bytes(empty_database)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MLFLOW_REGISTRY_URI", "RESNET_OPS_KEYS"):
            patch.delenv(name, raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/var/mlflow.db")
        client = connect()
        for seed in (0, 1):
            publish_model(client, make_model(folder / f"models/tiny-{seed}", seed), low=0.96)
        assert isinstance(served.scorer.model, TrainedModel)
        save_model(served.scorer.model, folder / "models/served")
        published = publish_model(client, folder / "models/served", low=0.97)
        assert published.version == int(served.identity.version)
        with open_database() as connection:
            apply_policy(connection, POLICY, "digits.yaml")
            for name in ("monitor", "ada"):
                trust_key(connection, open_key(name).public, name, "reviewer")
        for version in (2, 3):
            promote(NAME, version, "champion")
    return folder


@pytest.fixture
def scene(
    registered: Path, served: Served, params: DriftParams, project: Path, monkeypatch: pytest.MonkeyPatch
) -> Scene:
    """The registry's copy in a project of its own, with an empty log."""
    shutil.copytree(registered / "var", project / "var", ignore=lambda *_: ["cache"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/var/mlflow.db")
    for name in ("RESNET_OPS_ALERT_URLS", "RESNET_OPS_ALERT_FILE", "RESNET_OPS_EVIDENTLY"):
        monkeypatch.delenv(name, raising=False)
    served.reference.save(project / "data/reference/reference.parquet")
    (project / "params.yaml").write_text(
        yaml.safe_dump({"register": {"model": NAME}, "monitor": {"drift": dict(vars(params)), **_MONITOR}})
    )
    return Scene(project, served, read_monitor_settings(Path("params.yaml"))[1])
