"""`resnet-ops log serve` as people start it: a process of its own, to its clean end or `kill -9`."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Timer

import pytest
import requests
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from tests.unit.monitoring.inference_log.writing import away, eventually, logged, segments, writer_of
from tests.unit.monitoring.sink.sinking import row


@contextmanager
def started(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and where rows are sent."""
    command = [sys.executable, "-c", "from resnet_ops.cli import main; main()", "log", "serve", "--port", "0"]
    told = {"RESNET_OPS_INFERENCE_LOG": f"sqlite:///{folder}/log.db"}
    told["RESNET_OPS_INFERENCE_SPOOL"] = str(folder / "spool")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **told}
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert "are taken on http://" in first
            yield process, first.split("are taken on ")[1].strip()
        finally:
            process.kill()


def send_until_killed(process: subprocess.Popen[str], url: str, life: int, after: float) -> set[str]:
    """Kill it so many seconds after its first answer; the ids that it answered for."""
    answered, end = set[str](), Timer(after, process.kill)
    with requests.Session() as session:
        for number in range(10**6):
            sent = [row(5 * number + each, f"life{life}") for each in range(5)]
            try:
                assert session.post(url, json=sent, timeout=60).status_code == 200
            except requests.RequestException:
                break
            answered |= {each["request_id"] for each in sent}
            if number == 0:
                end.start()
    end.join()
    return answered


@pytest.mark.slow
@pytest.mark.parametrize("state", ["there", "away"])
def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path, state: str) -> None:
    chance, answered = random.Random(state), set[str]()
    with away(tmp_path) if state == "away" else nullcontext():
        for life in range(2):
            with started(tmp_path) as (process, url):
                answered |= send_until_killed(process, url, life, chance.uniform(0, 0.5))
    with writer_of(tmp_path):
        eventually(lambda: segments(tmp_path) == [], "the segments of the dead are taken over")
    found = logged(tmp_path)["request_id"].tolist()
    assert answered <= set(found)
    assert len(found) == len(set(found))
    assert len(answered) >= 10


@pytest.mark.slow
def test_a_sink_that_is_told_to_stop_ends_cleanly_with_its_rows_in_the_log(tmp_path: Path) -> None:
    with started(tmp_path) as (process, url):
        assert requests.post(url, json=[row(1)], timeout=60).status_code == 200
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate()
    assert (process.returncode, out) == (0, "Stopped.\n")
    assert len(logged(tmp_path)) == 1
    assert segments(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--log", "postgresql://me:secret@host/x"], "Set RESNET_OPS_INFERENCE_LOG"),
        (["--log", "no url"], "not a database URL"),
        (["--host", "192.0.2.1"], "Cannot listen on '192.0.2.1'"),
        (["--host", "0.0.0.0"], "Set RESNET_OPS_LOG_TOKEN"),
        (["--host", ""], "Set RESNET_OPS_LOG_TOKEN"),
        (["--host", "x" * 64], "Cannot listen on"),
        (["--port", "65536"], "between 0 and 65535"),
    ],
)
def test_what_cannot_be_is_said_in_one_message(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(build_app(), ["log", "serve", "--port", "0", *words])
    assert (result.exit_code, said in result.output) == (1, True), result.output
    assert "secret" not in result.output
