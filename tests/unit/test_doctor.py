"""The doctor names what is set up wrong, with the remedy, and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import EntryPoint
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from resnet_ops import doctor
from resnet_ops.cli import build_app
from resnet_ops.doctor import core_checks, run_checks
from resnet_ops_monitoring.service.checkup import monitoring_checks
from resnet_ops_registry.operations.checkup import registry_checks
from tests.unit.broken_setups import BROKEN, without

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and no settings from outside."""
    for name in os.environ:
        if name.startswith(("MLFLOW_", "RESNET_OPS_")) or name == "OMP_NUM_THREADS":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_empty_folder_is_fine_and_stays_empty(folder: Path) -> None:
    found = [*core_checks(), *registry_checks(), *monitoring_checks()]
    assert [each for each in found if each.state == "wrong"] == []
    assert {"packages", "disk", "keys", "MLflow plugin gated", "inference log"} <= {
        each.subject for each in found
    }
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"RESNET_OPS_INFERENCE_LOG": "sqlite:///logs/deep/x.db"},
        {"RESNET_OPS_INFERENCE_LOG": ""},
        {"MLFLOW_TRACKING_URI": "sqlite+pysqlite:///made.db"},
        {
            "MLFLOW_TRACKING_URI": "sqlite:///made.db",
            "MLFLOW_REGISTRY_URI": "gated:sqlite+pysqlite:///other.db",
        },
    ],
)
def test_looking_makes_no_database(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = [*core_checks(), *registry_checks(), *monitoring_checks()]
    assert [each for each in found if each.state == "wrong"] == []
    assert list(folder.iterdir()) == []


def test_looking_makes_no_table_in_a_database_of_something_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine("sqlite:///other.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE something (id INTEGER)"))
    engine.dispose()
    before = (folder / "other.db").read_bytes()
    monkeypatch.setenv("RESNET_OPS_INFERENCE_LOG", "sqlite:///other.db")
    (found,) = [each for each in monitoring_checks() if each.subject == "inference log"]
    assert found.state == "fine"
    assert (folder / "other.db").read_bytes() == before


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named_with_its_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking, checks, state, subject, remedy = BROKEN[name]
    breaking(monkeypatch)
    found = [each for each in checks() if each.subject == subject]
    assert [each.state for each in found] == [state]
    assert remedy in found[0].text
    assert "secret" not in found[0].text


def test_what_an_extra_asks_of_a_package_counts_once_the_extra_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "evidently", pandas="99.0")
    assert [each for each in core_checks() if each.state == "wrong"] == []
    without(monkeypatch, "nothing", pandas="99.0")
    assert [each.subject for each in core_checks() if each.state == "wrong"] == ["pandas"]


class _Answering(BaseHTTPRequestHandler):
    """Answers whatever it is asked: to /health that it is fine, to the rest with a status and a text."""

    status, text = 200, "<html>Welcome</html>"

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else self.status)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(200, "Correct its address"), (302, "Correct its address"), (401, "MLFLOW_TRACKING_PASSWORD")],
)
def test_a_server_that_does_not_answer_as_mlflow_is_named(
    status: int, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = type("Handler", (_Answering,), {"status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        (found,) = [each for each in registry_checks() if each.subject == "server's gate"]
        server.shutdown()
        thread.join()
    assert found.state == "wrong"
    assert remedy in found.text


def test_git_that_is_missing_is_wrong_where_a_repository_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_in_project", lambda: True)
    monkeypatch.setattr(doctor, "_stages_python", list)
    monkeypatch.setattr(doctor, "_project", list)
    monkeypatch.setenv("PATH", str(folder))
    assert [each.state for each in core_checks() if each.subject == "git"] == ["note"]
    Path(".git").mkdir()
    assert [each.state for each in core_checks() if each.subject == "git"] == ["wrong"]
    Path("git").touch(mode=0o755)
    assert [each.state for each in core_checks() if each.subject == "git"] == []


@pytest.mark.slow
@pytest.mark.parametrize("python", [None, "#!/bin/sh\necho /somewhere/else/__init__.py\n"])
def test_a_python_of_another_environment_before_the_stages_is_named(
    folder: Path, python: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("dvc.yaml").write_text("stages: {a: {cmd: python -m resnet_ops_pipelines.train_model}}\n")
    assert [each for each in core_checks() if each.subject == "python"] == []
    monkeypatch.setenv("PATH", str(folder))
    if python:
        Path("python").write_text(python)
        Path("python").chmod(0o755)
    (found,) = [each for each in core_checks() if each.subject == "python"]
    assert found.state == "wrong"
    assert "bin/activate" in found.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("breaking", "remedy"),
    [
        (
            lambda: Path("dvc.lock").write_text("<<<<<<< ours\n=======\n>>>>>>> theirs\n"),
            "git checkout --theirs dvc.lock",
        ),
        (lambda: shutil.rmtree(".git"), "git init"),
        (lambda: Path("params.yaml").write_text("seed: [\n"), "params.yaml"),
        (
            lambda: Path("policies/digits-classifier.yaml").write_text("model: [\n"),
            "policies/digits-classifier.yaml",
        ),
    ],
)
def test_what_stops_a_project_is_named(folder: Path, breaking: Callable[[], object], remedy: str) -> None:
    shutil.copytree(ROOT / "resnet_ops", folder / "resnet_ops", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "policies", folder / "policies")
    subprocess.run(["git", "init", "-q"], check=True)
    lock = folder / ".dvc/tmp/rwlock"
    lock.parent.mkdir(parents=True)
    lock.write_text("{")
    (fine,) = [each for each in core_checks() if each.subject == "project" and each.state != "note"]
    assert fine.state == "fine"
    breaking()
    (found,) = [each for each in core_checks() if each.subject == "project" and each.state != "note"]
    assert found.state == "wrong"
    assert remedy in found.text
    assert lock.exists(), "looking changes nothing"


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("a", "json:nothing", "resnet_ops.checks"),
        EntryPoint("b", "resnet_ops.doctor:core_checks", "resnet_ops.checks"),
    ]
    monkeypatch.setattr(
        doctor, "entry_points", lambda group: [each for each in points if each.group == group]
    )
    found = list(run_checks())
    assert (found[0].subject, found[0].state) == ("checks of a", "wrong")
    assert any(each.subject == "packages" for each in found)


def test_the_command_prints_for_people_and_programs_and_ends_with_1_where_something_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = build_app()
    plain = CliRunner().invoke(app, ["doctor"])
    assert plain.exit_code == 0, plain.output
    assert "MLflow plugin gated" in plain.output
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:///var/mlflow.db")
    found = CliRunner().invoke(app, ["doctor", "--json"])
    assert found.exit_code == 1
    wrong = [each["subject"] for each in json.loads(found.stdout) if each["state"] == "wrong"]
    assert wrong == ["way to the registry"]


def test_an_address_that_serves_for_both_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert [each.subject for each in registry_checks() if each.state == "wrong"] == ["MLFLOW_TRACKING_URI"]
