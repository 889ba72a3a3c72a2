"""Who would wait too long is refused before the routes are asked, as they would refuse them."""

import asyncio
import gc
import json
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from fastapi import FastAPI
from starlette.types import Message, Scope

from resnet_ops_monitoring.inference_log.client.writer import open_writer
from resnet_ops_monitoring.serving.application import make_app
from resnet_ops_monitoring.serving.scoring import Scoring
from resnet_ops_monitoring.web import running
from tests.unit.monitoring.serving.fake_model import FakeModel, image
from tests.unit.monitoring.serving.live import Live, fake_version, serving, until

TOKEN = {"Authorization": "Bearer secret"}


@contextmanager
def busy(token: str | None = None, log: str | None = None, folder: Path | None = None) -> Iterator[Live]:
    """A server that will take 100 seconds for the request that is under way."""
    model = FakeModel(answering=False)
    version = fake_version(model)
    if log is not None:
        identity = version.identity
        about: dict[str, Any] = {
            "model": identity.name,
            "version": identity.version,
            "digest": identity.digest,
        }
        version = replace(version, writer=open_writer(log, **about, classes=model.classes, folder=folder))
    with serving(version, token=token, max_wait_ms=1000) as live, ThreadPoolExecutor(1) as clients:
        live.scoring.batcher.pace._seconds, live.scoring.batcher.pace._images = 100.0, 1.0
        first = clients.submit(live.score, image(0), headers=TOKEN)
        assert model.begun.wait(60)
        try:
            yield live
        finally:
            model.go.set()
        assert first.result().status_code == 200


@pytest.mark.parametrize("path", ["/v1/score", "/invocations"])
def test_the_routes_are_not_asked_and_the_connection_goes_on(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy() as live, requests.Session() as session:
        monkeypatch.setattr(live.scoring, "answer", None)
        for _ in range(2):
            answer = session.post(live.url + path, json={"images": image(1).tolist()}, timeout=60)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 100
            assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
            assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
        pools = session.get_adapter(live.url).poolmanager.pools  # type: ignore[attr-defined]
        assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118, no dictionary
        metrics = live.get("/metrics").text
        assert f'{{route="{path}",status="503"}} 2.0' in metrics


def test_it_is_so_where_the_application_is_put_below_another_path(monkeypatch: pytest.MonkeyPatch) -> None:
    told = list[Message]()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Message) -> None:
        told.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/digits/v1/score",
        "root_path": "/digits",
        "state": {},
    }
    scope.update(headers=[(b"content-length", b"2")], query_string=b"")

    async def ask(scoring: Scoring) -> None:
        await make_app(scoring, None)(scope, receive, send)

    with busy() as live:
        monkeypatch.setattr(live.scoring, "answer", None)
        asyncio.run(ask(live.scoring))
        assert told[0]["status"] == 503
        assert '{route="/v1/score",status="503"} 1.0' in live.get("/metrics").text


def test_who_sends_no_token_is_told_so_however_busy_it_is() -> None:
    with busy("secret") as live:
        assert live.score(image(1)).status_code == 401
        assert live.score(image(1), headers=TOKEN).status_code == 503


def test_a_large_body_is_received_before_it_is_refused() -> None:
    with busy() as live:
        answer = live.score(image(1, 3000))
        assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")


def test_a_body_that_comes_slowly_is_waited_for() -> None:
    body = json.dumps({"images": image(1).tolist()}).encode()
    head = f"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with busy() as live, socket.create_connection(("127.0.0.1", live.port)) as client:
        client.sendall(head + body[:10])
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(60)
        client.sendall(body[10:])
        assert client.recv(12) == b"HTTP/1.1 503"


def test_it_is_a_row_of_the_log(tmp_path: Path) -> None:
    log = f"sqlite:///{tmp_path}/log.db"
    with busy(log=log, folder=tmp_path / "spool") as live:
        named = {"X-Request-Id": "early-1"}
        assert live.score(image(1), "/v1/score?source=line+7", headers=named).status_code == 503
        longest = "?source=" + "x" * 201
        assert live.score(image(1), "/v1/score" + longest).status_code == 503
        until(lambda: live.scoring.swap.current.log_state()["recorded"] == 2)  # type: ignore[index]
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        rows = connection.execute("SELECT request_id, status, source FROM inferences").fetchall()
    found = {name: (status, source) for name, status, source in rows}
    assert found["early-1"] == ("refused", "line 7")
    assert sorted(status for status, _ in found.values()) == ["ok", "refused", "refused"]


def test_the_collector_passes_over_what_was_loaded_before(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = list[int]()
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: frozen.append(gc.get_freeze_count()))
    before = gc.get_freeze_count()
    try:
        with socket.socket() as listener:
            running.run(uvicorn.Config(FastAPI()), listener)
    finally:
        gc.unfreeze()
    assert frozen[0] > before + 10_000
