"""The doctor names what is set up wrong, with the remedy, and changes nothing."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import EntryPoint, PackageNotFoundError
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from resnet_ops import doctor
from resnet_ops.cli import build_app
from resnet_ops.doctor import Finding, core_checks, run_checks
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.service.checkup import monitoring_checks
from resnet_ops_registry.attestations.keys import make_key
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.operations import checkup
from resnet_ops_registry.operations.checkup import registry_checks

ROOT = Path(__file__).resolve().parents[2]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and no settings from outside."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "RESNET_OPS_KEYS", "RESNET_OPS_INFERENCE_LOG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OMP_NUM_THREADS", "RESNET_OPS_ALERT_URLS", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_REGISTRY_STORE_URI", "RESNET_OPS_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("RESNET_OPS_INFERENCE_SPOOL", raising=False)
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


Patch = pytest.MonkeyPatch


def _another_mlflow(patch: Patch) -> None:
    plain = importlib.metadata.version
    patch.setattr(doctor, "version", lambda name: "99.0" if name == "mlflow" else plain(name))


def _without(patch: Patch, name: str, **others: str) -> None:
    """A package is not installed, and others are of another version."""
    plain = importlib.metadata.version

    def version(wanted: str) -> str:
        if wanted == name:
            raise PackageNotFoundError(name)
        return others.get(wanted) or plain(wanted)

    patch.setattr(doctor, "version", version)


def _shadow(patch: Patch) -> None:
    Path("mlflow").mkdir()
    Path("mlflow/__init__.py").touch()


def _full_disk(patch: Patch) -> None:
    patch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, 10**8))


def _plugins(patch: Patch, times: int) -> None:
    point = EntryPoint("gated", "json:loads", "mlflow.model_registry_store")
    patch.setattr(checkup, "entry_points", lambda group: (point,) * times)


def _of_the_future(patch: Patch) -> None:
    Path("var").mkdir()
    with open_database():
        pass
    engine = create_engine("sqlite:///var/mlflow.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE resnet_ops_alembic_version SET version_num = '9999'"))
    engine.dispose()


def _of_another_mlflow(patch: Patch) -> None:
    patch.setenv("MLFLOW_TRACKING_URI", "sqlite:///old.db")
    engine = create_engine("sqlite:///old.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('451aebb31d03')"))
    engine.dispose()


def _open_key(patch: Patch) -> None:
    make_key("pipeline")
    Path("var/keys/pipeline.pem").chmod(0o644)


def _broken_key(patch: Patch) -> None:
    make_key("pipeline")
    Path("var/keys/pipeline.pem").write_text("no key")


def _open_folder(patch: Patch) -> None:
    make_key("pipeline")
    Path("var/keys").chmod(0o777)


def _key_file(patch: Patch) -> None:
    Path("keyfile").touch()
    patch.setenv("RESNET_OPS_KEYS", "keyfile")


def _file_of_rows(patch: Patch) -> None:
    Path("spool").touch()
    patch.setenv("RESNET_OPS_INFERENCE_SPOOL", "spool/rows")


def _log_of_the_future(patch: Patch) -> None:
    Path("var").mkdir()
    InferenceLog("sqlite:///var/inference.db").close()
    engine = create_engine("sqlite:///var/inference.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE inference_log_alembic_version SET version_num = '9999'"))
    engine.dispose()


def _settings(patch: Patch) -> None:
    content = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(content.replace("  min_rows:", "  min_row:", 3))


def _set(**values: str) -> Callable[[Patch], None]:
    def apply(patch: Patch) -> None:
        for name, value in values.items():
            patch.setenv(name, value)

    return apply


BROKEN: dict[str, tuple[Callable[[Patch], None], Callable[[], Iterator[Finding]], str, str, str]] = {
    "another MLflow": (_another_mlflow, core_checks, "wrong", "mlflow", "pip install 'mlflow"),
    "a package gone": (
        lambda patch: _without(patch, "cryptography"),
        core_checks,
        "wrong",
        "packages",
        "cryptography",
    ),
    "an extra gone": (
        lambda patch: _without(patch, "onnxruntime"),
        core_checks,
        "note",
        "extra onnx",
        "resnet-ops[onnx]",
    ),
    "a shadow": (_shadow, core_checks, "wrong", "folder mlflow", "Rename the folder"),
    "a full disk": (_full_disk, core_checks, "wrong", "disk", "Free some space"),
    "many threads": (_set(OMP_NUM_THREADS="4096"), core_checks, "note", "OMP_NUM_THREADS", "Unset it"),
    "no plugin": (
        lambda patch: _plugins(patch, 0),
        registry_checks,
        "wrong",
        "MLflow plugin gated",
        "without the gate",
    ),
    "two plugins": (
        lambda patch: _plugins(patch, 2),
        registry_checks,
        "wrong",
        "MLflow plugin gated",
        "2 times",
    ),
    "around the gate": (
        _set(MLFLOW_REGISTRY_URI="postgresql://ada:secret@127.0.0.1:1/mlflow"),
        registry_checks,
        "wrong",
        "way to the registry",
        "gated:postgresql://ada:***@",
    ),
    "no server": (
        _set(MLFLOW_TRACKING_URI="http://127.0.0.1:1"),
        registry_checks,
        "wrong",
        "MLFLOW_TRACKING_URI",
        "does not",
    ),
    "no address": (
        _set(MLFLOW_TRACKING_URI="mlflow.db"),
        registry_checks,
        "wrong",
        "MLFLOW_TRACKING_URI",
        "Write for",
    ),
    "no port": (
        _set(MLFLOW_TRACKING_URI="postgresql://ada:secret@127.0.0.1:port/db"),
        registry_checks,
        "wrong",
        "MLFLOW_TRACKING_URI",
        "Write for",
    ),
    "a gate before a server": (
        _set(MLFLOW_REGISTRY_URI="gated:http://ada:secret@127.0.0.1:1"),
        registry_checks,
        "wrong",
        "way to the registry",
        "Write http://ada:***@127.0.0.1:1",
    ),
    "a proxy that is away": (
        _set(
            MLFLOW_TRACKING_URI="http://mlflow.example",
            HTTP_PROXY="http://127.0.0.1:1",
            http_proxy="http://127.0.0.1:1",
        ),
        registry_checks,
        "wrong",
        "MLFLOW_TRACKING_URI",
        "NO_PROXY",
    ),
    "a server to be without the gate": (
        _set(MLFLOW_REGISTRY_STORE_URI="postgresql://ada:secret@127.0.0.1/mlflow"),
        registry_checks,
        "wrong",
        "MLFLOW_REGISTRY_STORE_URI",
        "Write gated:postgresql://ada:***@",
    ),
    "a server whose registry is not named": (
        _set(MLFLOW_BACKEND_STORE_URI="postgresql://ada:secret@127.0.0.1/mlflow"),
        registry_checks,
        "note",
        "MLFLOW_REGISTRY_STORE_URI",
        "gated:postgresql://ada:***@",
    ),
    "no artifacts": (
        _set(RESNET_OPS_ARTIFACTS="write-once:./mlartefacts"),
        registry_checks,
        "wrong",
        "RESNET_OPS_ARTIFACTS",
        "--artifacts-destination",
    ),
    "a folder for a database": (
        _set(MLFLOW_TRACKING_URI="sqlite:///."),
        registry_checks,
        "wrong",
        "MLFLOW_TRACKING_URI",
        "mlflow.db",
    ),
    "a database of another MLflow": (
        _of_another_mlflow,
        registry_checks,
        "wrong",
        "MLFLOW_TRACKING_URI",
        "mlflow db upgrade",
    ),
    "keys at home": (
        _set(RESNET_OPS_KEYS="~/keys"),
        registry_checks,
        "wrong",
        "keys",
        "whole path",
    ),
    "a file of keys": (_key_file, registry_checks, "wrong", "keys", "RESNET_OPS_KEYS"),
    "tables of the future": (_of_the_future, registry_checks, "wrong", "registry's tables", "--upgrade"),
    "an open key": (_open_key, registry_checks, "wrong", "keys", "chmod 600"),
    "a broken key": (_broken_key, registry_checks, "wrong", "keys", "Restore it"),
    "an open folder": (_open_folder, registry_checks, "wrong", "keys", "chmod go-w"),
    "pickles": (
        _set(MLFLOW_ALLOW_PICKLE_DESERIALIZATION="true"),
        registry_checks,
        "note",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION",
        "Unset it",
    ),
    "a log of the future": (_log_of_the_future, monitoring_checks, "wrong", "inference log", "new database"),
    "no log": (
        _set(RESNET_OPS_INFERENCE_LOG="nothing"),
        monitoring_checks,
        "wrong",
        "inference log",
        "RESNET_OPS",
    ),
    "a file of waiting rows": (
        _file_of_rows,
        monitoring_checks,
        "wrong",
        "spool",
        "RESNET_OPS_INFERENCE_SPOOL",
    ),
    "a file where the state lies": (
        lambda patch: Path("var").touch(),
        registry_checks,
        "wrong",
        "MLFLOW_TRACKING_URI",
        "Move it away",
    ),
    "no such alert": (
        _set(RESNET_OPS_ALERT_URLS="nowhere://secret"),
        monitoring_checks,
        "wrong",
        "alerts",
        "number 1",
    ),
    "a wrong setting": (_settings, monitoring_checks, "wrong", "monitor settings", "min_row"),
}


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
    _without(monkeypatch, "evidently", pandas="99.0")
    assert [each for each in core_checks() if each.state == "wrong"] == []
    _without(monkeypatch, "nothing", pandas="99.0")
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
