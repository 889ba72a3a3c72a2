"""Real servers for tests: PostgreSQL in a temporary folder, `mlflow server` in every way it can be started."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.serving import answering, free_port

__all__ = ["ADMIN", "Config", "Running", "postgresql", "postgresql_missing", "start"]

ADMIN = ("admin", "a-long-password-for-tests")
WORKSPACE = "team"


@dataclass(frozen=True)
class Config:
    """How a server is started."""

    gated: bool
    database: str
    auth: bool = False
    workspaces: bool = False
    workers: int = 1
    hardened: bool = False

    @property
    def id(self) -> str:
        parts = ["gated" if self.gated else "plain", self.database, f"{self.workers}w"]
        parts += [name for name in ("auth", "workspaces", "hardened") if getattr(self, name)]
        return "-".join(parts)


@dataclass(frozen=True)
class Running:
    """A server that answers: its address, its database as SQLAlchemy names it, and its folder."""

    config: Config
    uri: str
    database: str
    folder: Path

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"


def _binaries() -> Path | None:
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def postgresql_missing() -> str | None:
    """Why PostgreSQL cannot be tested here, or None."""
    if _binaries() is None:
        return "PostgreSQL's server is not installed (apt-get install postgresql)"
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and there is no setpriv"
    return None


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server of its own on a free port; gives its URI without a database's name."""
    binaries = _binaries()
    assert binaries is not None
    folder = Path(tempfile.mkdtemp(prefix="resnet-ops-pg-", dir="/tmp"))
    prefix: list[str] = []
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data, port = folder / "data", free_port()
    initdb = [
        str(binaries / "initdb"),
        "-D",
        str(data),
        "-U",
        "tester",
        "--auth=trust",
        "--no-sync",
        "-E",
        "UTF8",
    ]
    subprocess.run([*prefix, *initdb], check=True, capture_output=True, cwd=folder)
    command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder)]
    # mlflow keeps its engines for the life of the process, and one process may run all attacks
    command += ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=500"]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        # a test run that is killed must not leave it behind
        dies = ["--pdeathsig=QUIT"] if prefix else []
        process = subprocess.Popen([*prefix, *dies, *command], cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for_postgresql(port)
        yield f"postgresql://tester@127.0.0.1:{port}"
    finally:
        # an immediate shutdown: nothing in it is worth a flush
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
        Path(log.name).unlink(missing_ok=True)


def _wait_for_postgresql(port: int) -> None:
    for _ in range(120):
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="tester", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.25)
    raise RuntimeError("PostgreSQL did not start")


def new_database(postgresql_uri: str, name: str, template: str = "template1") -> str:
    """Make a database, as a copy of another one where it is named, and give its URI."""
    with psycopg.connect(f"{postgresql_uri}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return f"{postgresql_uri}/{name}"


@contextmanager
def start(config: Config, folder: Path, database: str, port: int | None = None) -> Iterator[Running]:
    """Start `mlflow server` in `folder` on a database, wait until it answers, and end it with the block.

    port: a free one where none is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    uri, destination = f"http://127.0.0.1:{port}", (folder / "artifacts").as_uri()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", database, "--workers", str(config.workers)]
    command += ["--registry-store-uri", f"gated:{database}" if config.gated else database]
    command += ["--artifacts-destination", f"write-once:{destination}" if config.gated else destination]
    environment = _environment()
    if config.auth:
        command += ["--app-name", "basic-auth"]
        environment |= _auth(folder)
    if config.workspaces:
        command += ["--enable-workspaces"]
    with answering(command, uri, folder / "server.log", folder, environment):
        yield Running(config, uri, database, folder)


def _environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RESNET_OPS_"))
    }
    return kept | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # sets are printed in one order, so that answers of two servers can be compared
        "PYTHONHASHSEED": "0",
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "0",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "c2VjcmV0LWtleS1mb3ItdGVzdHMtMzItYnl0ZXMtbG8=",
    }


def _auth(folder: Path) -> dict[str, str]:
    path = folder / "auth.ini"
    path.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\n"
        f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 600\n"
    )
    return {"MLFLOW_AUTH_CONFIG_PATH": str(path), "MLFLOW_FLASK_SERVER_SECRET_KEY": "only-for-tests"}
