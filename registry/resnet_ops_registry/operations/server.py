"""MLflow's own server with the gate in front of its registry."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from resnet_ops.console import console
from resnet_ops.errors import ConfigError
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.settings import (
    STATE,
    WRITE_ONCE_SCHEME,
    is_direct,
    mask_password,
    prepare_environment,
    registry_uri,
    tracking_uri,
)
from resnet_ops_registry.operations.outbox import configured_endpoint

__all__ = ["TRAINING_VIEW", "check_free", "run_server"]

TRAINING_VIEW = "workflowType=machine_learning"
"""Behind the `?` of an address in MLflow's UI, which else opens in its GenAI view, where no registry is to be seen."""


def check_free(host: str, port: int, otherwise: str) -> None:
    """Raise ConfigError, which says what to do `otherwise`, where nothing can listen on this address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        # the last two: what cannot be a name
        except (OSError, TypeError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"Cannot listen on {host}:{port} ({why}). Choose another: {otherwise}"
            ) from error


def run_server(host: str, port: int) -> None:
    """Replace this process by `mlflow server` on the project's databases. Does not return.

    Raises ConfigError when the settings name a server already, or when the port is taken.
    """
    if not is_direct():
        raise ConfigError(
            f"The settings name a server already ({mask_password(tracking_uri())}). Unset MLFLOW_TRACKING_URI and "
            "MLFLOW_REGISTRY_URI to start one on the project's own database."
        )
    check_free(host, port, f"make ui PORT={port + 1}")
    connect()
    prepare_environment()
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    address = f"http://{host}:{port}"
    console.print(f"Models and their verdicts:  {address}/#/models?{TRAINING_VIEW}")
    console.print(f"Runs and drift reports:     {address}/#/experiments?{TRAINING_VIEW}")
    console.print("MLflow may open in its GenAI view: choose Model training, top left, once.")
    console.print("Stop with Ctrl-C.")
    sys.stdout.flush()
    artifacts = WRITE_ONCE_SCHEME + (Path.cwd() / STATE / "artifacts").as_uri()
    if configured_endpoint() is not None:
        _start_sender()
    # in the environment, which only its owner can read; the words of a command are in every list of processes
    os.environ.update(MLFLOW_BACKEND_STORE_URI=tracking_uri(), MLFLOW_REGISTRY_STORE_URI=registry_uri())
    arguments = ["--artifacts-destination", artifacts, "--host", host, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *arguments])  # noqa: S606


def _start_sender() -> None:
    """A process beside the server that tells the webhook of decisions, and ends with the server."""
    code = "from resnet_ops.cli import main; main()"
    subprocess.Popen([sys.executable, "-c", code, "webhook", "send", "--follow"])  # noqa: S603
