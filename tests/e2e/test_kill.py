"""`kill -9` at a bad moment; the same command again finishes, with nothing lost and nothing there twice."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from resnet_ops.model_files import model_digest
from tests.e2e.project import Project

pytestmark = pytest.mark.e2e


def kill_when(project: Project, moment: Callable[[], bool], *command: str) -> str:
    """Start a command, and kill it and all its children as soon as the moment has come; gives what it printed."""
    log = project.folder / "killed.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=project.folder,
            env=project.environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 900
        while not moment():
            assert process.poll() is None, f"ended before the moment came: {log.read_text()}"
            assert time.monotonic() < end, f"the moment did not come: {log.read_text()}"
            time.sleep(0.002)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    return log.read_text()


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query; none while the database or its table is not there yet, or is being written."""
    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0)
    except sqlite3.OperationalError:
        return []
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def another(database: Path, condition: str) -> Callable[[], bool]:
    """Whether a table has more rows than when this was called."""
    query = f"SELECT count(*) FROM {condition}"
    before = (rows(database, query) or [(0,)])[0][0]
    return lambda: (rows(database, query) or [(0,)])[0][0] > before


def run_states(database: Path) -> list[str]:
    return [state for (state,) in rows(database, "SELECT status FROM runs ORDER BY start_time")]


def forget(project: Project, stage: str) -> None:
    """Take a stage's results out of DVC's cache, so that it has to run again, and no stage that made equal files."""
    recorded = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]
    made = Counter(out["md5"] for each in recorded.values() for out in each["outs"])
    for out in recorded[stage]["outs"]:
        if made[out["md5"]] == 1:
            (project.folder / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]).unlink()


def test_a_training_that_was_killed_gives_the_same_weights_afterwards(
    reproduced: Project, tmp_path: Path
) -> None:
    project = reproduced.copy(tmp_path / "project", without=(".dvc/cache/runs",))
    forget(project, "train_model@resnet20")
    model, database = project.folder / "models" / "resnet20", project.folder / "var" / "mlflow.db"
    digest, published, before = model_digest(model), project.versions(), run_states(database)
    assert set(before) == {"FINISHED"}

    log = project.folder / "killed.log"
    train = ("dvc", "repro", "--force", "--single-item", "train_model@resnet20")
    kill_when(project, lambda: log.exists() and " epoch " in log.read_text(), *train)
    assert not (model / "weights.safetensors").exists()
    assert run_states(database) == [*before, "RUNNING"]

    assert "Running stage 'train_model@resnet20'" in project.repro()
    assert model_digest(model) == digest
    assert project.versions() == published
    assert run_states(database) == [*before, "KILLED", "FINISHED"]


def test_registering_that_was_killed_anywhere_makes_nothing_twice(
    reproduced: Project, tmp_path: Path
) -> None:
    project = reproduced.copy(tmp_path / "project", without=("var/mlflow.db", "var/artifacts", "var/cache"))
    var, register = project.folder / "var", ("python", "-m", "resnet_ops_pipelines.register_models")
    database = var / "mlflow.db"
    kill_when(project, lambda: any(var.glob(".mlflow.db.*.part")), *register)
    assert not database.exists(), "half a database would be in the way of every later start"
    for moment in (
        "runs",
        "logged_models",
        "model_versions",
        "resnet_ops_statements",
        "tags WHERE key = 'resnet_ops.completed'",
        "runs",
        "model_versions",
    ):
        kill_when(project, another(database, moment), *register)

    for name in ("register_models", "check_gates"):
        done = project.run("python", "-m", f"resnet_ops_pipelines.{name}")
        assert done.returncode == 0, done.stderr
    found = sorted(project.versions(), key=lambda version: int(version["version"]))
    assert [(v["version"], v["member"]) for v in found] == [
        (1, "resnet8"),
        (2, "resnet14"),
        (3, "resnet20"),
        (4, "resnet20-int8"),
    ]
    assert all(version["evidence"].startswith("signed by pipeline") for version in found)
    assert run_states(database) == ["FINISHED"] * 4
    for table in ("logged_models", "resnet_ops_statements", "model_versions"):
        assert rows(database, f"SELECT count(*) FROM {table}") == [(4,)], table
    points = Counter(rows(database, "SELECT run_uuid, key, step FROM metrics"))
    assert points
    assert max(points.values()) == 1, "a point of a curve is there twice"
    assert not list(var.glob(".mlflow.db.*")), "what the killed ones left is swept up"
    judged = project.run("resnet-ops", "gate", "check", "digits-classifier", "3", "--alias", "champion")
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_monitoring_that_was_killed_publishes_each_window_once(reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "project")
    database = project.folder / "var" / "monitoring.db"
    own = (
        "env",
        "MLFLOW_TRACKING_URI=sqlite:///var/monitoring.db",
        "MLFLOW_REGISTRY_URI=gated:sqlite:///var/mlflow.db",
    )
    monitor = (*own, "python", "-m", "resnet_ops_pipelines.monitor_drift")
    kill_when(project, another(database, "tags WHERE value LIKE '%:unfinished'"), *monitor)
    published = "SELECT 1 FROM tags WHERE key LIKE 'resnet_ops.window.%' AND value NOT LIKE '%:unfinished'"
    kill_when(project, lambda: len(rows(database, published)) == 2, *monitor)
    done = project.run(*monitor)
    assert done.returncode == 0, done.stderr
    ((run, state),) = rows(database, "SELECT run_uuid, status FROM runs")
    assert state == "FINISHED"
    points = Counter(rows(database, "SELECT key, step FROM metrics"))
    assert {step for _, step in points} == {0, 1, 2, 3}
    assert max(points.values()) == 1
    windows = json.loads((project.folder / "reports/drift/summary.json").read_text())
    assert all(run in window["link"] for window in windows)
    tags = rows(database, "SELECT value FROM tags WHERE key LIKE 'resnet_ops.window.%'")
    assert len(tags) == 4
    assert not any("unfinished" in value for (value,) in tags)


@pytest.mark.parametrize("left", ["a process number that was used again", "half a record"])
def test_a_lock_that_a_killed_dvc_left_is_cleared(left: str, reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "project")
    lock = project.folder / ".dvc/tmp/rwlock"
    entry = {"pid": os.getpid(), "cmd": "dvc repro"}
    record = json.dumps({"write": {str(project.folder / "data/prepared"): entry}, "read": {}})
    lock.write_text(record if left != "half a record" else record[:20])
    os.utime(lock, (0, 0))  # long before this process began
    command = ("dvc", "repro", "--force", "--single-item", "prepare_data")
    assert project.run(*command).returncode != 0, (
        "DVC has learnt to clear it; then so can we leave that to DVC"
    )
    checked = project.run("python", "-m", "resnet_ops_pipelines.check_project")
    assert (checked.returncode, "which a killed run had left behind" in checked.stdout) == (0, True)
    assert project.run(*command).returncode == 0


def test_the_lock_of_a_running_dvc_is_kept(reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "project")
    lock = project.folder / ".dvc/tmp/rwlock"
    record = json.dumps({"write": {"/a": {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}})
    lock.write_text(record)
    assert project.run("python", "-m", "resnet_ops_pipelines.check_project").returncode == 0
    assert lock.read_text() == record
