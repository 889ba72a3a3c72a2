"""Set-ups that are broken: how, which checks must name it, as what, under which subject, and what the remedy says."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, PackageNotFoundError
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from resnet_ops import doctor
from resnet_ops.doctor import Finding, core_checks
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.service.checkup import monitoring_checks
from resnet_ops_registry.attestations.keys import make_key
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.operations import checkup
from resnet_ops_registry.operations.checkup import registry_checks

__all__ = ["BROKEN", "without"]

ROOT = Path(__file__).resolve().parents[2]
Usage = namedtuple("Usage", "total used free")
Patch = pytest.MonkeyPatch


def _another_mlflow(patch: Patch) -> None:
    plain = importlib.metadata.version
    patch.setattr(doctor, "version", lambda name: "99.0" if name == "mlflow" else plain(name))


def without(patch: Patch, name: str, **others: str) -> None:
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


def _no_git(patch: Patch) -> None:
    there = shutil.which
    patch.setattr(shutil, "which", lambda name, **how: None if name == "git" else there(name, **how))


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
        lambda patch: without(patch, "cryptography"),
        core_checks,
        "wrong",
        "packages",
        "cryptography",
    ),
    "an extra gone": (
        lambda patch: without(patch, "onnxruntime"),
        core_checks,
        "note",
        "extra onnx",
        "resnet-ops[onnx]",
    ),
    "a shadow": (_shadow, core_checks, "wrong", "folder mlflow", "Rename the folder"),
    "a full disk": (_full_disk, core_checks, "wrong", "disk", "Free some space"),
    "many threads": (_set(OMP_NUM_THREADS="4096"), core_checks, "note", "OMP_NUM_THREADS", "Unset it"),
    "no git": (_no_git, core_checks, "note", "git", "add its folder to PATH"),
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
