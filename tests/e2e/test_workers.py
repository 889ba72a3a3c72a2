"""A member that two workers train by `dvc repro` alone, and what is recorded of them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.project import Project

pytestmark = pytest.mark.e2e


def test_dvc_repro_starts_the_workers_and_records_them(reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "project")
    project.change("processes: 1 ", "processes: 2 ")
    said = project.repro("--single-item", "train_model@resnet8")
    assert said.count("resnet8 epoch 30/30") == 1
    weights = [each.folder / "models/resnet8/weights.safetensors" for each in (project, reproduced)]
    assert weights[0].read_bytes() != weights[1].read_bytes(), "rounded in another order"
    machine = json.loads((project.folder / "reports/machines/resnet8.json").read_text())
    assert machine["hardware"]["workers"] == 2

    project.repro("register_models")
    with closing(sqlite3.connect(project.folder / "var/mlflow.db")) as database:
        runs = database.execute(
            "SELECT run_uuid, status FROM runs WHERE name = 'resnet8' ORDER BY start_time DESC LIMIT 1"
        ).fetchall()
        recorded = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (runs[0][0],)))
    assert runs[0][1] == "FINISHED"
    assert (recorded["workers"], recorded["processes"]) == ("2", "2")
