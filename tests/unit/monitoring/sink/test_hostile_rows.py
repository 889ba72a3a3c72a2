"""Whatever is sent, the sink answers in one line and goes on."""

import json
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from resnet_ops_monitoring.sink import reading
from tests.unit.monitoring.sink.sinking import LiveSink, row, sinking


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSink]:
    with sinking(tmp_path_factory.mktemp("sink"), max_rows=50, max_bytes=200_000) as made:
        yield made


def still_takes(sink: LiveSink) -> bool:
    return sink.send([row(1)]).status_code == 200


def is_explained(answer: requests.Response) -> bool:
    said = answer.json()
    return {"error_code", "message", "request_id"} <= set(said) and "\n" not in said["message"]


BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "no json": (b"[1", 400),
    "not utf-8": (b'["\xff\xfe"]', 400),
    "half a character": (b'["\\ud800"]', 400),
    "deep": (b"[" * 100_000, 400),
    "a long number": (b"[" + b"9" * 100_000 + b"]", 400),
    "no number": (b"[NaN]", 400),
    "no array": (b"{}", 400),
    "no rows": (b"[]", 400),
    "rows that are none": (b"[[], 1, null, {}]", 400),
    "too many rows": (b"[" + b"1," * 50 + b"1]", 413),
    "too many bytes": (b"[" + b" " * 200_000 + b"]", 413),
}


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES)
def test_what_is_no_body_is_refused(sink: LiveSink, body: bytes, status: int) -> None:
    answer = sink.send_bytes(body)
    assert (answer.status_code, is_explained(answer)) == (status, True)
    assert still_takes(sink)


@pytest.mark.parametrize("headers", [{"kind": "text/plain"}, {"Content-Encoding": "gzip"}])
def test_other_content_is_refused(sink: LiveSink, headers: dict[str, str]) -> None:
    assert sink.send_bytes(json.dumps([row(1)]).encode(), **headers).status_code == 415


VALUES: list[Any] = [
    "",
    "\0",
    "x" * 201,
    -1,
    10**400,
    1e308,
    True,
    [],
    {},
    [[1]],
    ["1"],
    [None] * 4,
    None,
    "2026",
]


@pytest.mark.slow
def test_any_value_in_any_place_is_taken_or_named(sink: LiveSink) -> None:
    names = [*row(0), "time", "source", "group", "label", "route", "status", "latency_ms"]
    with requests.Session() as session:
        for name in names:
            for value in VALUES:
                body = json.dumps([row(0, name="v", **{name: value}), row(1)]).encode()
                headers = {"Content-Type": "application/json"}
                answer = session.post(f"{sink.url}/v1/inferences", data=body, headers=headers, timeout=60)
                assert answer.status_code in (200, 400), (name, value, answer.text)
                if answer.status_code == 400 and value != 10**400:
                    assert [each["row"] for each in answer.json()["refused"]] == [0], (name, value)
    assert still_takes(sink)


def test_mutated_bodies_are_taken_or_refused_in_one_line(sink: LiveSink) -> None:
    whole, chance = json.dumps([row(0, source="line 1"), row(1)]).encode(), random.Random(0)
    with requests.Session() as session:
        for _ in range(150):
            body = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.3 else whole)
            for _ in range(chance.randrange(1, 4)):
                if body:
                    body[chance.randrange(len(body))] = chance.randrange(256)
            headers = {"Content-Type": "application/json"}
            answer = session.post(f"{sink.url}/v1/inferences", data=bytes(body), headers=headers, timeout=60)
            assert answer.status_code == 200 or (answer.status_code == 400 and is_explained(answer))
    assert still_takes(sink)


HEADERS = b"POST /v1/inferences HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", HEADERS[:30], HEADERS, HEADERS + b"[1"])
def test_a_client_that_never_finishes_is_hung_up_on_and_holds_no_place(sent: bytes, tmp_path: Path) -> None:
    with sinking(tmp_path, receive_seconds=0.1, max_requests=1) as sink:
        with socket.create_connection(("127.0.0.1", sink.port), timeout=60) as client:
            client.sendall(sent)
            answered = b""
            with suppress(ConnectionError):
                while b" 408 " not in answered and (part := client.recv(65536)):  # would raise after a minute
                    answered += part
        assert (b" 408 " in answered) == sent.startswith(HEADERS)
        assert still_takes(sink)


def test_names_of_many_versions_take_no_more_memory_than_is_set_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = 3 * len(row(0)["classes"])
    monkeypatch.setattr(reading, "_NAMES", names)
    reader = reading.Reader(10)
    for version in ("1", "1", "2", "3", "4", "5"):
        found = reader.read(reading.JSON_TYPE, json.dumps([row(0, version=version)]).encode())
        assert not found.refused
    assert [each.version for each in reader._versions] == ["3", "4", "5"]
    assert reader._held == names
