"""`resnet-ops serve` as people start it: a process of its own, from a name to a clean end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops.errors import ConfigError
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.server import TOKEN
from resnet_ops_registry.common.connection import connect
from tests.unit.monitoring.scene import Scene
from tests.unit.monitoring.serving.live import until
from tests.unit.registry.conftest import NAME

ROOT = Path(__file__).resolve().parents[4]
URI = f"models:/{NAME}@champion"


@pytest.fixture
def settings(scene: Scene) -> Path:
    """The project's own settings, in the scene's folder; on a busy machine, too, nobody waits too long."""
    path = scene.folder / "params.yaml"
    whole = yaml.safe_load((ROOT / "params.yaml").read_text())
    whole["serve"]["max_wait_ms"] = 60_000
    path.write_text(yaml.safe_dump({"data": whole["data"], "serve": whole["serve"]}))
    return path


@contextmanager
def started(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and its address once it answers."""
    command = [
        sys.executable,
        "-c",
        "from resnet_ops.cli import main; main()",
        "serve",
        *words,
        "--port",
        "0",
    ]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert "answers on http://" in first, process.communicate()
            yield process, first.split("answers on ")[1].split("/v1")[0]
        finally:
            process.kill()


@pytest.mark.slow
def test_a_server_answers_logs_and_ends_cleanly_with_what_it_took(scene: Scene, settings: Path) -> None:
    images = scene.served.unseen[:40]
    with started(scene.folder, URI) as (process, url), ThreadPoolExecutor(8) as clients:

        def ask(row: int) -> int:
            sent = {"json": {"images": images[row][None].tolist()}, "headers": {"X-Request-Id": f"r{row}"}}
            return requests.post(f"{url}/v1/score", timeout=60, **sent).status_code  # type: ignore[arg-type]

        assert requests.get(f"{url}/readyz", timeout=60).json()["gate"] == "passed @champion"
        answered = list(clients.map(ask, range(40)))
        status = CliRunner().invoke(build_app(), ["serve", "status", "--url", url, "--json"])
        assert (status.exit_code, json.loads(status.output)["version"]) == (0, "3")
        words = CliRunner().invoke(build_app(), ["serve", "status", "--url", url]).output
        assert "digits-classifier v3 (passed @champion)" in words
        assert "No trouble." in words
        process.send_signal(signal.SIGTERM)
        out, lines = process.communicate()
    assert (process.returncode, out) == (0, "Stopped.\n")
    assert answered == [200] * 40
    told = [json.loads(line) for line in lines.splitlines()]
    assert sum(each["message"] == "answered" and each["route"] == "/v1/score" for each in told) == 40
    log = InferenceLog(f"sqlite:///{scene.folder}/var/inference.db")
    assert len(log.read(NAME)) == 40
    log.close()


@pytest.mark.slow
def test_challenger_and_canary_are_followed_and_shown_beside_the_champion(
    scene: Scene, settings: Path
) -> None:
    whole = yaml.safe_load(settings.read_text())
    whole["serve"] |= {"poll_seconds": 0.05, "canary": {**whole["serve"]["canary"], "share": 0.5}}
    settings.write_text(yaml.safe_dump(whole))
    for alias, version in (("challenger", "1"), ("canary", "2")):
        connect().set_registered_model_alias(NAME, alias, version)
    sent = {"images": scene.served.unseen[:1].tolist()}
    with started(scene.folder, URI) as (process, url):

        def status() -> dict[str, Any]:
            return dict(requests.get(f"{url}/v1/status", timeout=60).json())

        until(lambda: all(status()[name]["version"] for name in ("shadow", "canary")))
        answers = [requests.post(f"{url}/v1/score", json=sent, timeout=60).json() for _ in range(30)]
        until(lambda: status()["shadow"]["requests"] == {"answered": 30})
        words = CliRunner().invoke(build_app(), ["serve", "status", "--url", url]).output
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert {each["version"] for each in answers} == {"2", "3"}
    assert {each["gate"] for each in answers} == {"passed @champion"}
    assert "Shadow: v1 (passed @champion)" in words
    assert "Canary: v2 (passed @champion)" in words
    log = InferenceLog(f"sqlite:///{scene.folder}/var/inference.db")
    found = log.summary()[["version", "route"]].values.tolist()
    log.close()
    assert sorted(found) == [["1", "shadow"], ["2", "canary"], ["3", "champion"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([f"models:/{NAME}/3"], "names no alias"),
        ([f"models:/{NAME}@nobody"], "nobody"),
        ([URI, "--log", "postgresql://me:secret@host/x"], "Set RESNET_OPS_INFERENCE_LOG"),
        ([URI, "--log", "no url"], "not a database URL"),
        ([URI, "--host", "192.0.2.1"], "Cannot listen on '192.0.2.1'"),
        ([URI, "--host", "0.0.0.0"], "no token is set"),
        ([URI, "--params", "nowhere.yaml"], "nowhere.yaml is missing"),
        (["start", "--ungated", "nowhere"], "neither models:/"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_message(
    scene: Scene, settings: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = CliRunner().invoke(build_app(), ["serve", *words, "--port", "0"])
    assert result.exit_code == 1
    assert said in result.output
    assert "secret" not in result.output


def test_a_token_is_read_from_the_environment_or_a_file_and_never_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (TOKEN.variable, TOKEN.file_variable):
        monkeypatch.delenv(name, raising=False)
    assert TOKEN.read() is None
    file = tmp_path / "token"
    file.write_text("of-a-file-0123456789\n")
    monkeypatch.setenv(TOKEN.file_variable, str(file))
    assert TOKEN.read() == "of-a-file-0123456789"
    monkeypatch.setenv(TOKEN.variable, "of-the-environment")
    assert TOKEN.read() == "of-the-environment"
    monkeypatch.setenv(TOKEN.variable, "short")
    with pytest.raises(ConfigError, match="at least 16"):
        TOKEN.read()
    monkeypatch.delenv(TOKEN.variable)
    monkeypatch.setenv(TOKEN.file_variable, str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="cannot be read"):
        TOKEN.read()


def test_no_server_is_said() -> None:
    result = CliRunner().invoke(build_app(), ["serve", "status", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "No server of resnet-ops answers" in result.output
