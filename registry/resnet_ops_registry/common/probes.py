"""Whether what the settings name can be used: asked first, answered within seconds, and in words."""

import os
import sqlite3
from pathlib import Path

from resnet_ops.errors import ConfigError, ServiceError, StorageError
from resnet_ops.extras import needed_by
from resnet_ops_registry.common.settings import is_http, mask_password

__all__ = ["probe"]

SECONDS = 5.0
DATABASES = {"mssql", "mysql", "postgresql", "sqlite"}


def probe(uri: str, variable: str) -> None:
    """Ask the server or database at `uri`, which the environment variable names; make a SQLite file that is missing.

    Raises ConfigError when the URI is none, ServiceError when nothing answers, StorageError when a SQLite database
    cannot be written.
    """
    if is_http(uri):
        _probe_server(uri, variable)
        return
    kind, path = _database(uri, variable)
    if kind != "sqlite":
        _probe_database(uri, variable)
    elif path is not None:
        _probe_file(path, variable)


def _database(uri: str, variable: str) -> tuple[str, Path | None]:
    """The kind of database, and for SQLite the file (None for one in memory)."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
        kind, file = url.get_backend_name(), url.database
        known = kind in DATABASES and not (kind == "sqlite" and url.host)
    except (ArgumentError, ValueError):  # the latter: a port that is no number
        known = False
    if not known:
        raise ConfigError(
            f"{variable} is {mask_password(uri)!r}, which names no MLflow server or database. Write for example "
            "http://127.0.0.1:5000, sqlite:///var/mlflow.db or postgresql://user:password@host/database, or unset it "
            "to work on var/mlflow.db."
        )
    return kind, Path(file) if file and file != ":memory:" else None


def _probe_server(uri: str, variable: str) -> None:
    """Certificates are checked as MLflow's client does, by its own settings."""
    import requests
    from requests.exceptions import ProxyError, RequestException, SSLError

    insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    verify = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or not insecure
    certificate = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None
    problem, remedy = (
        "",
        f"Start it with `make ui`, correct {variable}, or unset it to work on the local database",
    )
    try:
        health = f"{uri.rstrip('/')}/health"
        status = requests.get(health, timeout=SECONDS, verify=verify, cert=certificate).status_code
        if status == 404 or status >= 500:
            problem = f"answers with status {status}"
    except ProxyError:
        problem = "cannot be reached through the proxy that HTTP_PROXY or HTTPS_PROXY names"
        remedy = "Name its host in NO_PROXY, or correct the proxy"
    except SSLError as error:
        problem = "does not answer to https"
        remedy = f"Write http:// where it serves without, or correct {variable}"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            problem = "shows a certificate that is not trusted here"
            remedy = (
                "Name the file of who signed it in MLFLOW_TRACKING_SERVER_CERT_PATH, or correct the address"
            )
    except RequestException as error:
        problem = f"does not answer ({type(error).__name__})"
    except OSError:
        problem = "cannot be asked: a file of certificates is not there"
        remedy = "Correct MLFLOW_TRACKING_SERVER_CERT_PATH or MLFLOW_TRACKING_CLIENT_CERT_PATH"
    if problem:
        raise ServiceError(f"The MLflow server at {mask_password(uri)} ({variable}) {problem}. {remedy}.")


def _probe_file(path: Path, variable: str) -> None:
    """Begin a transaction that writes, and take it back: a full or read-only disk is noticed here."""
    from resnet_ops_registry.common.new_database import make_database

    if path.is_dir():
        raise StorageError(
            f"{path} ({variable}) is a folder. Name a file in it: sqlite:///{path / 'mlflow.db'}"
        )
    try:
        if not path.exists():
            make_database(path)
        connection = sqlite3.connect(path, timeout=SECONDS, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            (number,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {number:d}")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except (OSError, sqlite3.OperationalError) as error:
        if "locked" not in str(error):  # somebody is writing: then it can be written
            raise StorageError(
                f"Cannot write the database {path} ({variable}): {getattr(error, 'strerror', None) or error}. "
                "Free some space or make its folder writable, then run the same command again."
            ) from error
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"{path} ({variable}) is not a database, or is damaged: {error}. Restore it from a copy; or move it away, "
            "and `dvc repro` registers the models in a new one."
        ) from error


def _probe_database(uri: str, variable: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        timeout = {"connect_timeout": int(SECONDS)} if uri.startswith(("postgres", "mysql")) else {}
        engine = create_engine(uri, connect_args=timeout)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        if known := needed_by(f"The database {mask_password(uri)} ({variable})", error):
            raise ConfigError(known) from error
        raise ServiceError(
            f"The database {mask_password(uri)} ({variable}) does not answer: "
            f"{mask_password(str(error).splitlines()[0])}. Start it, or correct {variable}."
        ) from error
