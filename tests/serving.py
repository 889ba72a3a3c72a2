"""Servers in processes of their own, ended with the block that started them."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

__all__ = ["answering", "free_port"]

SECONDS = 300.0
"""Until a server answers, at most."""


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def answering(
    command: Sequence[str],
    address: str,
    log: Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    path: str = "/health",
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server, once it answers at `address` and `path`; it and its children end with the block.

    log: takes what it says. folder, environment: where it runs; those of this process where none are given. Raises
    RuntimeError, with what it said, where it ends or does not answer.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        _wait_for(address + path, process, log)
        yield process
    finally:
        with suppress(ProcessLookupError):  # all of them are gone already
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise RuntimeError(f"{address} does not answer:\n{log.read_text()[-4000:]}")
