"""Whatever is sent, nothing crashes, each request gets one line that says why, and the server goes on."""

import contextlib
import random
import socket
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
import requests
from PIL import Image

from tests.unit.core.mutated_images import mutated
from tests.unit.monitoring.serving.fake_model import FakeModel, image
from tests.unit.monitoring.serving.live import Live, fake_version, serving, until

TYPES = ("image/png", "image/jpeg", "application/json", "application/x-npy", "text/plain", "image/\x01", "")


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with serving(fake_version(FakeModel()), max_bytes=200_000, max_pixels=10_000) as made:
        yield made


def still_answers(live: Live) -> bool:
    return bool(live.score(image(4)).json()["predictions"][0]["class"] == "4")


def is_explained(answer: requests.Response) -> bool:
    said = answer.json()
    return set(said) == {"error_code", "message", "request_id"} and "\n" not in said["message"]


def mutated_bodies(count: int) -> Iterator[tuple[str, bytes]]:
    """Whole bodies of every type, truncated, changed and mixed up."""
    npy = BytesIO()
    np.save(npy, image(3))
    whole = {"npy": npy.getvalue(), "json": str({"images": image(3).tolist()}).replace("'", '"').encode()}
    chance = random.Random(0)
    yield from ((chance.choice(TYPES), body) for _, body in mutated(count // 2, seed=1))
    for name, body in mutated(count - count // 2, seed=2, whole=whole):
        yield ("application/x-npy" if "npy" in name else "application/json"), body


def test_mutated_bodies_are_answered_or_refused_in_one_line(live: Live) -> None:
    refused = 0
    with requests.Session() as session:
        for kind, body in mutated_bodies(600):
            path = "/invocations" if refused % 3 == 2 else "/v1/score"
            answer = session.post(live.url + path, data=body, headers={"Content-Type": kind.strip("\x01")})
            if answer.status_code != 200:
                assert 400 <= answer.status_code < 500, answer.text
                assert is_explained(answer)
                refused += 1
    assert refused > 300
    assert still_answers(live)


def bomb(side: int) -> bytes:
    """A small PNG of many pixels."""
    content = BytesIO()
    Image.new("L", (side, side)).save(content, "PNG")
    return content.getvalue()


def test_a_bomb_is_refused_by_its_header(live: Live) -> None:
    content = bomb(9_000)
    assert len(content) < 200_000
    answer = live.post(data=content, headers={"Content-Type": "image/png"})
    assert answer.status_code == 400
    assert "9000x9000 pixels" in answer.json()["message"]
    assert still_answers(live)


RAW = {
    "no http": b"\x16\x03\x01\x02\x00hello\r\n\r\n",
    "a header without end": b"POST /v1/score HTTP/1.1\r\nX: " + b"a" * 100_000,
    "many headers": b"POST /v1/score HTTP/1.1\r\n" + b"X-A: b\r\n" * 10_000,
    "a length that lies": b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "a length that is no number": b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 9e9\r\n\r\n",
    "two lengths": b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a chunk that lies": b"POST /v1/score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
}


@pytest.mark.parametrize("sent", RAW.values(), ids=RAW)
def test_what_is_no_http_is_hung_up_on(live: Live, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", live.port), timeout=60) as client:
        try:
            client.sendall(sent)
            answered = b""
            while part := client.recv(65536):
                answered += part
        except ConnectionError:
            answered = b""
    assert answered == b"" or answered.startswith(b"HTTP/1.1 4")
    assert still_answers(live)


HEADERS = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", HEADERS[:30], HEADERS, HEADERS + b"12345"])
def test_a_client_that_never_finishes_is_hung_up_on_and_holds_no_place(sent: bytes) -> None:
    with serving(fake_version(FakeModel()), receive_seconds=0.1, max_requests=1) as live:
        with socket.create_connection(("127.0.0.1", live.port), timeout=60) as client:
            client.sendall(sent)
            answered = b""
            while part := client.recv(65536):  # would raise after a minute
                answered += part
        assert answered == b"" or b" 408 " in answered.partition(b"\r\n")[0]
        assert (b" 408 " in answered) == sent.startswith(HEADERS)
        assert still_answers(live)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"),
        (HEADERS.replace(b"/v1/score", b"/nowhere"), b"1"),
    ],
    ids=["an empty line", "a body that nobody wants"],
)
def test_a_client_that_was_answered_and_goes_on_without_a_request_is_hung_up_on(
    first: bytes, then: bytes
) -> None:
    with (
        serving(fake_version(FakeModel()), receive_seconds=0.2) as live,
        socket.create_connection(("127.0.0.1", live.port), timeout=60) as client,
    ):
        client.sendall(first)
        assert client.recv(65536).startswith(b"HTTP/1.1 ")
        client.sendall(then)
        with contextlib.suppress(ConnectionError):
            while client.recv(65536):  # would raise after a minute
                pass
        assert still_answers(live)


def test_trailers_without_end_are_hung_up_on(live: Live) -> None:
    chunked = HEADERS.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked")
    with socket.create_connection(("127.0.0.1", live.port), timeout=60) as client:
        client.sendall(chunked + b"0\r\n")
        with pytest.raises(ConnectionError):
            client.sendall(b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(50_000)))
    assert still_answers(live)


def test_connections_that_say_nothing_do_not_keep_others_out() -> None:
    with serving(fake_version(FakeModel()), receive_seconds=0.1, max_connections=5) as live:
        silent = [socket.create_connection(("127.0.0.1", live.port), timeout=60) for _ in range(20)]
        for each in silent:
            assert each.recv(1) == b""
            each.close()
        assert still_answers(live)


def test_beyond_the_connections_that_are_taken_a_client_is_told_when_to_come_back() -> None:
    with serving(fake_version(FakeModel()), max_connections=3) as live:
        others = [socket.create_connection(("127.0.0.1", live.port), timeout=60) for _ in range(2)]
        answer = live.score(image(4))
        while answer.status_code == 200:  # until the server has accepted both
            answer = live.score(image(4))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert is_explained(answer)
        for each in others:
            each.close()
        until(lambda: live.score(image(4)).status_code == 200)


def test_a_client_that_hangs_up_in_its_body_is_forgotten(live: Live) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", live.port), timeout=60) as client:
            client.sendall(HEADERS + b"12345")
    until(lambda: not live.scoring.under_way)
    assert still_answers(live)
