"""What clients get: answers that name who gave them, and refusals that say why in one line."""

import json
import sqlite3
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.answer import Scores
from tests.unit.monitoring.serving.fake_model import FakeModel, image
from tests.unit.monitoring.serving.live import Live, fake_version, serving, until

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with serving(fake_version(FakeModel(), OperatingPoint(("7", "8"), 0.5))) as made:
        yield made


def sent_as(pixels: np.ndarray, kind: str) -> dict[str, Any]:
    content = BytesIO()
    if kind == "npy":
        np.save(content, pixels)
        return {"data": content.getvalue(), "headers": {"Content-Type": "application/x-npy"}}
    if kind == "json":
        return {"json": {"images": pixels.tolist()}}
    Image.fromarray(pixels[0, :, :, 0]).save(content, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return {"data": content.getvalue(), "headers": {"Content-Type": f"image/{kind.lower()}"}}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "npy", "json"])
def test_each_way_to_send_an_image_gets_the_same_answer(live: Live, kind: str) -> None:
    answer = live.post(**sent_as(image(100), kind))  # JPEG keeps one even grey as it is
    assert answer.status_code == 200, answer.text
    said = answer.json()
    Scores.model_validate(said)
    assert {key: said[key] for key in ("model", "version", "digest", "gate")} == {
        "model": "digits-classifier",
        "version": "3",
        "digest": "d" * 64,
        "gate": "passed @champion",
    }
    (only,) = said["predictions"]
    assert only["class"] == "0"
    assert list(only["probabilities"]) == list("0123456789")
    assert sum(only["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert "embedding" not in only


def test_a_batch_is_answered_in_its_order_with_embeddings_where_asked(live: Live) -> None:
    images = np.concatenate([image(level) for level in (17, 3, 250)])
    said = live.score(images, "/v1/score?embedding=true").json()["predictions"]
    assert [each["class"] for each in said] == ["7", "3", "0"]
    assert [each["embedding"] for each in said] == [[17, 18], [3, 4], [250, 251]]


def test_a_version_with_an_operating_point_decides_there(live: Live) -> None:
    said = live.score(np.concatenate([image(7), image(8), image(1)])).json()["predictions"]
    decisions = [each["decision"] for each in said]
    assert [each["positive"] for each in decisions] == [True, True, False]
    assert all(each["threshold"] == 0.5 and each["classes"] == ["7", "8"] for each in decisions)
    assert decisions[0]["score"] == pytest.approx(
        said[0]["probabilities"]["7"] + said[0]["probabilities"]["8"], abs=1e-6
    )


def test_a_version_without_one_does_not_decide() -> None:
    with serving(fake_version(FakeModel())) as live:
        assert "decision" not in live.score(image(7)).json()["predictions"][0]


@pytest.mark.parametrize("path", ["/v1/score", "/nowhere", "/healthz"])
def test_a_request_keeps_its_id_and_its_trace(live: Live, path: str) -> None:
    sent = {"X-Request-Id": "line-1/2026.01:7", "traceparent": TRACE}
    answer = live.score(image(1), path, headers=sent)
    assert answer.headers["x-request-id"] == sent["X-Request-Id"]
    assert answer.headers["traceparent"] == TRACE
    if path == "/v1/score":
        assert answer.json()["request_id"] == sent["X-Request-Id"]


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "{}", "ü", "-begin"])
def test_an_id_that_is_not_well_formed_is_replaced_by_one_that_is(live: Live, name: str) -> None:
    sent = {
        "X-Request-Id": name.encode("latin-1"),
        "traceparent": TRACE.replace("4", "0").replace("00f0", "zzzz"),
    }
    first, second = (live.score(image(1), headers=sent) for _ in range(2))
    assert len(first.json()["request_id"]) == 32
    assert first.json()["request_id"] != second.json()["request_id"]
    assert "traceparent" not in first.headers


INVOCATIONS = [
    {"inputs": image(3, 2).tolist()},
    {"instances": image(3, 2).astype(float).tolist()},
    {"inputs": image(3, 2).tolist(), "params": {}},
]


@pytest.mark.parametrize("body", INVOCATIONS, ids=["inputs", "instances", "params"])
def test_mlflows_clients_go_on_as_before(live: Live, body: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*type hint.*")  # mlflow's own, of its own modules
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    client = ScoringServerClient("127.0.0.1", live.port)  # type: ignore[no-untyped-call]
    client.ping()  # type: ignore[no-untyped-call]
    said = client.invoke(json.dumps(body)).get_predictions(predictions_format="ndarray")
    assert said.shape == (2, 10)
    assert said.argmax(axis=1).tolist() == [3, 3]


def test_mlflows_clients_are_told_who_answered_in_headers(live: Live) -> None:
    answer = live.post("/invocations", json=INVOCATIONS[0])
    assert set(answer.json()) == {"predictions"}
    assert answer.headers["X-Model-Version"] == "3"
    assert answer.headers["X-Model-Gate"] == "passed @champion"
    wrong = live.post("/invocations", json={"dataframe_split": {}})
    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "BAD_REQUEST")


def npy(values: np.ndarray) -> bytes:
    content = BytesIO()
    np.save(content, values, allow_pickle=True)
    return content.getvalue()


WRONG = {
    "no image": ("image/png", b"\x89PNG\r\n\x1a\n and then nothing", 400, "no image"),
    "an image of another format": ("image/gif", b"GIF89a", 400, "no image"),
    "another type": ("text/csv", b"1,2", 415, "content type"),
    "no type": ("", b"1,2", 415, "content type"),
    "no JSON": ("application/json", b"{", 400, "no JSON"),
    "deep JSON": ("application/json", b"[" * 100_000, 400, "no JSON"),
    "a list": ("application/json", b"[1]", 400, "no object"),
    "another key": ("application/json", b'{"x": 1}', 400, "keys"),
    "rows of unequal length": ("application/json", b'{"images": [[1], [1, 2]]}', 400, "array"),
    "words": (
        "application/json",
        json.dumps({"images": [[[["a"]] * 8] * 8]}).encode(),
        400,
        "no array of numbers",
    ),
    "numbers that are none": (
        "application/json",
        json.dumps({"images": [[[[float("nan")]] * 8] * 8]}).encode(),
        400,
        "no JSON",
    ),
    "too large": ("application/json", json.dumps({"images": [[[[256]] * 8] * 8]}).encode(), 400, "0 to 255"),
    "beyond what a float holds": (
        "application/json",
        json.dumps({"images": [[[[7.5]] * 8] * 8]}).replace("7.5", "1e400").encode(),
        400,
        "0 to 255",
    ),
    "halves": (
        "application/json",
        json.dumps({"images": [[[[0.5]] * 8] * 8]}).encode(),
        400,
        "whole numbers",
    ),
    "no images": ("application/json", b'{"images": []}', 400, "shape"),
    "another size": ("application/x-npy", npy(np.zeros((1, 9, 8, 1), np.uint8)), 400, "(1, 9, 8, 1)"),
    "a pickle": ("application/x-npy", npy(np.array([{}, None])), 400, ".npy"),
    "floats": ("application/x-npy", npy(np.zeros((1, 8, 8, 1))), 400, ".npy"),
    "cut off": ("application/x-npy", npy(np.zeros((1, 8, 8, 1), np.uint8))[:-1], 400, ".npy"),
    "with more behind": ("application/x-npy", npy(np.zeros((1, 8, 8, 1), np.uint8)) + b"x", 400, ".npy"),
    "a header that lies": (
        "application/x-npy",
        npy(np.zeros((1, 8, 8, 1), np.uint8)).replace(b"(1, 8, 8, 1)", b"(9**9,8,8,1)"),
        400,
        ".npy",
    ),
}


@pytest.mark.parametrize(("kind", "body", "status", "words"), WRONG.values(), ids=WRONG)
def test_what_is_no_image_gets_one_line_that_says_why(
    live: Live, kind: str, body: bytes, status: int, words: str
) -> None:
    answer = live.post(data=body, headers={"Content-Type": kind})
    said = answer.json()
    assert answer.status_code == status, said
    assert set(said) == {"error_code", "message", "request_id"}
    assert words in said["message"]
    assert "\n" not in said["message"]
    assert live.score(image(4)).json()["predictions"][0]["class"] == "4"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/score", 405), ("POST", "/nowhere", 404), ("POST", "/v1/score?embedding=perhaps", 400)],
)
def test_what_is_no_route_gets_the_same_form(live: Live, method: str, path: str, status: int) -> None:
    answer = requests.request(method, live.url + path, timeout=60)
    assert answer.status_code == status
    assert set(answer.json()) == {"error_code", "message", "request_id"}


def test_16_bit_grey_is_refused_where_no_setting_says_what_its_levels_mean(live: Live) -> None:
    content = BytesIO()
    Image.fromarray(np.full((8, 8), 4000, np.uint16)).save(content, "PNG")
    answer = live.post(data=content.getvalue(), headers={"Content-Type": "image/png"})
    assert answer.status_code == 400
    assert "data.grey_bits" in answer.json()["message"]


def test_more_images_than_may_wait_are_refused() -> None:
    with serving(fake_version(FakeModel()), max_waiting=3) as live:
        assert live.score(np.concatenate([image(1)] * 3)).status_code == 200
        answer = live.score(np.concatenate([image(1)] * 4))
        assert answer.status_code == 413
        assert "4 images" in answer.json()["message"]


@pytest.mark.parametrize("name", ["source", "group"])
def test_a_name_that_no_log_can_hold_is_refused(live: Live, name: str) -> None:
    assert live.score(image(1), path=f"/v1/score?{name}=line%201").status_code == 200
    for value in ("%00", "", "x" * 201):
        answer = live.score(image(1), path=f"/v1/score?{name}={value}")
        assert (answer.status_code, name in answer.json()["message"]) == (400, True)


def test_too_many_bytes_or_pixels_are_refused() -> None:
    with serving(fake_version(FakeModel()), max_bytes=2000, max_pixels=63) as live:
        large: dict[str, Any] = {"data": b"x" * 2001, "headers": {"Content-Type": "image/png"}}
        assert live.post(**large).status_code == 413
        parts: dict[str, Any] = {"data": iter([b"x" * 1000] * 3), "headers": {"Content-Type": "image/png"}}
        assert live.post(**parts).status_code == 413  # of which no header says how much comes
        answer = live.post(**sent_as(image(1), "PNG"))
        assert answer.status_code == 400
        assert "8x8 pixels, and at most 63" in answer.json()["message"]


def test_a_token_is_asked_for_where_one_is_set() -> None:
    token = "s3cret-s3cret-s3cret"
    with serving(fake_version(FakeModel()), token=token) as live:
        right = {"Authorization": f"Bearer {token}"}
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": token}):
            for answer in (live.score(image(1), headers=headers), live.get("/metrics", headers=headers)):
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert token not in answer.text
        assert live.score(image(1), headers=right).status_code == 200
        assert live.get("/v1/status", headers=right).status_code == 200
        assert live.get("/healthz").status_code == live.get("/readyz").status_code == 200


def test_openapi_names_what_can_be_sent_and_what_comes_back(live: Live) -> None:
    document = live.get("/openapi.json").json()
    assert {"/v1/score", "/invocations", "/healthz", "/readyz", "/metrics", "/v1/status"} <= set(
        document["paths"]
    )
    score = document["paths"]["/v1/score"]["post"]
    assert {"image/jpeg", "image/png", "image/webp", "application/json", "application/x-npy"} == set(
        score["requestBody"]["content"]
    )
    assert {"200", "400", "401", "408", "413", "415", "500", "503", "504"} <= set(score["responses"])


def test_metrics_count_answers_and_name_the_version(live: Live) -> None:
    live.score(image(1))
    text = live.get("/metrics").text
    assert 'resnet_ops_serving_requests_total{route="/v1/score",status="200"}' in text
    assert 'gate="passed @champion"' in text
    assert "resnet_ops_serving_queue_images 0.0" in text


def test_beyond_the_queue_clients_are_told_to_come_back_and_what_was_taken_is_answered() -> None:
    model = FakeModel(answering=False)
    with serving(fake_version(model), max_batch=2, max_waiting=4) as live, ThreadPoolExecutor(40) as clients:
        first = clients.submit(live.score, image(0))
        assert model.begun.wait(60)
        others = [clients.submit(live.score, image(1)) for _ in range(30)]
        until(lambda: sum(each.done() for each in others) == 26)  # four wait, and the model answers nobody
        assert live.scoring.batcher.waiting == 4
        model.go.set()
        answers = [each.result() for each in (first, *others)]
        assert sorted(each.status_code for each in answers) == [200] * 5 + [503] * 26
        assert all(int(each.headers["Retry-After"]) >= 1 for each in answers if each.status_code == 503)
        assert live.score(image(2)).status_code == 200


def test_no_more_requests_are_under_way_than_may() -> None:
    model = FakeModel(answering=False)
    with serving(fake_version(model), max_requests=3) as live, ThreadPoolExecutor(4) as clients:
        taken = [clients.submit(live.score, image(0)) for _ in range(3)]
        until(lambda: live.scoring.under_way == 3)
        answer = live.score(image(1))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        model.go.set()
        assert [each.result().status_code for each in taken] == [200] * 3


def test_bodies_under_way_take_no_more_memory_than_they_may() -> None:
    model = FakeModel(answering=False)
    body = sent_as(image(1), "npy")
    most = 2 * len(body["data"])
    with serving(fake_version(model), max_bytes_in_all=most) as live, ThreadPoolExecutor(4) as clients:
        taken = [clients.submit(live.post, **body) for _ in range(2)]
        until(lambda: live.scoring.batcher.waiting + sum(map(len, model.asked)) == 2)
        assert live.post(**body).status_code == 503
        model.go.set()
        assert [each.result().status_code for each in taken] == [200] * 2
        assert live.post(**body).status_code == 200


def test_a_request_past_its_deadline_is_told_so_and_leaves_the_queue() -> None:
    model = FakeModel(answering=False)
    with serving(fake_version(model), answer_seconds=0.2) as live, ThreadPoolExecutor(2) as clients:
        late = [clients.submit(live.score, image(level)) for level in (0, 1)]
        assert [each.result().status_code for each in late] == [504, 504]
        assert live.scoring.batcher.waiting == 0
        model.go.set()
        assert [*model.asked] in ([[0]], [[1]], [[0, 1]], [[1, 0]])


def test_a_model_that_fails_is_a_500_and_the_next_is_answered() -> None:
    model = FakeModel()
    with serving(fake_version(model)) as live:
        model.fault = RuntimeError("secret of the model")
        answer = live.score(image(1), headers={"X-Request-Id": "r1"})
        assert (answer.status_code, answer.headers["X-Request-Id"]) == (500, "r1")
        assert "secret" not in answer.text
        assert 'route="/v1/score",status="500"} 1.0' in live.get("/metrics").text
        model.fault = None
        assert live.score(image(1)).status_code == 200


def test_answers_that_are_not_finite_are_no_answers() -> None:
    model = FakeModel()
    plain = model.predict
    with serving(fake_version(model)) as live:
        model.predict = lambda images, batch_size=0: replace_with_nan(plain(images))  # type: ignore[method-assign]
        answer = live.score(image(1))
    assert answer.status_code == 500
    assert "not finite" in answer.json()["message"]


def replace_with_nan(said: Any) -> Any:
    said.probabilities[:] = np.nan
    return said


def test_requests_without_an_answer_are_rows_too_but_what_is_no_image_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = FakeModel()
    version = fake_version(model)
    version.open_log("sqlite:///inference.db")
    with serving(version, max_requests=1) as live, ThreadPoolExecutor(1) as clients:
        model.fault = RuntimeError("a fault")
        assert live.score(image(1)).status_code == 500
        assert live.post(data=b"no image", headers={"Content-Type": "image/png"}).status_code == 400
        model.fault = None
        model.go.clear()
        taken = clients.submit(live.score, image(2))
        until(lambda: live.scoring.under_way == 1)
        assert [live.score(image(3)).status_code for _ in range(2)] == [503, 503]
        model.go.set()
        assert taken.result().status_code == 200
    log = InferenceLog("sqlite:///inference.db")
    outcomes, rows = log.outcomes(version.identity.name), log.read(version.identity.name)
    log.close()
    assert (outcomes.failed, outcomes.refused, len(rows)) == (1, 2, 1)
    with closing(sqlite3.connect("inference.db")) as database:
        ((waited, took),) = database.execute("SELECT queue_ms, total_ms FROM inferences WHERE status = 'ok'")
    assert took >= waited >= 0


def test_a_deadline_that_passes_is_a_failed_request_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = FakeModel(answering=False)
    version = fake_version(model)
    version.open_log("sqlite:///inference.db")
    with serving(version, answer_seconds=0.2) as live:
        assert live.score(image(1)).status_code == 504
        model.go.set()
    log = InferenceLog("sqlite:///inference.db")
    assert log.outcomes(version.identity.name).failed == 1
    log.close()
