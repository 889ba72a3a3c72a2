"""A member that two workers train by `dvc repro` alone, and what is recorded of them."""

import json
import sqlite3
from contextlib import closing

import pytest
import yaml

from tests.e2e.project import Project

pytestmark = pytest.mark.e2e


def test_dvc_repro_starts_the_workers_and_records_them(checkout: Project) -> None:
    file = checkout.folder / "params.yaml"
    settings = yaml.safe_load(file.read_text())
    settings |= {"family": {"resnet8": "digits"}, "deployments": {}}
    settings["recipes"]["digits"]["epochs"] = 2
    weights = []
    for processes in (1, 2):
        settings["train"]["processes"] = processes
        file.write_text(yaml.safe_dump(settings, sort_keys=False))
        said = checkout.repro("train_model@resnet8")
        assert said.count("resnet8 epoch 2/2") == 1
        weights.append((checkout.folder / "models/resnet8/weights.safetensors").read_bytes())
    assert weights[0] != weights[1], "rounded in another order"
    machine = json.loads((checkout.folder / "reports/machines/resnet8.json").read_text())
    assert machine["hardware"]["workers"] == 2

    checkout.repro("register_models")
    with closing(sqlite3.connect(checkout.folder / "var/mlflow.db")) as database:
        runs = database.execute(
            "SELECT run_uuid, status FROM runs WHERE name = 'resnet8' ORDER BY start_time DESC LIMIT 1"
        ).fetchall()
        recorded = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (runs[0][0],)))
    assert runs[0][1] == "FINISHED"
    assert (recorded["workers"], recorded["processes"]) == ("2", "2")
