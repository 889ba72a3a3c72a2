"""Labels over HTTP: all of a body are in the log, or none and the answer says why."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from resnet_ops_monitoring.inference_log.connection import LogDatabase
from resnet_ops_monitoring.inference_log.database import labels
from tests.unit.monitoring.inference_log.writing import away, eventually, logged
from tests.unit.monitoring.sink.sinking import LiveSink, row, sinking
from tests.unit.project_imports import ROOT

PAIR = {"request_id": "r-0", "label": "NA"}
BODY: dict[str, Any] = {"labels": [PAIR], "by": "ada", "origin": "random"}


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[LiveSink]:
    """With three answers in its log."""
    with sinking(tmp_path, max_rows=50, max_bytes=100_000) as made:
        assert made.send([row(number) for number in range(3)]).status_code == 200
        eventually(lambda: made.delivery.stats().written == 3, "the rows are written")
        yield made


def labelled(folder: Path) -> list[tuple[Any, ...]]:
    log = LogDatabase(f"sqlite:///{folder}/log.db")
    with log.transaction("read") as connection:
        columns = [labels.c[name] for name in ("request_id", "label", "origin", "by")]
        found = connection.execute(select(*columns).order_by(labels.c.id)).all()
    log.close()
    return [tuple(each) for each in found]


def test_labels_come_into_the_log_once_and_corrections_keep_the_first(sink: LiveSink, tmp_path: Path) -> None:
    for changed in (2, 0):
        said = sink.label({"r-0": "NA", "r-1": "größer"}).json()
        assert (said["labels"], said["changed"]) == (2, changed)
    assert sink.label({"r-0": "7"}, by="bob", origin="complaint").json()["changed"] == 1
    assert labelled(tmp_path) == [
        ("r-0", "NA", "random", "ada"),
        ("r-1", "größer", "random", "ada"),
        ("r-0", "7", "random", "bob"),
    ]
    assert dict(logged(tmp_path)[["request_id", "label"]].values) == {
        "r-0": "7",
        "r-1": "größer",
        "r-2": None,
    }


@pytest.mark.parametrize(("name", "label", "named"), [("r-1", "cat", "'cat'"), ("nobody", "NA", "'nobody'")])
def test_a_label_that_is_no_class_or_of_no_answer_is_named_and_nothing_is_labelled(
    sink: LiveSink, tmp_path: Path, name: str, label: str, named: str
) -> None:
    said = sink.label({"r-0": "NA", name: label})
    assert said.status_code == 400
    assert named in said.json()["message"]
    assert labelled(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"", 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (json.dumps([PAIR]).encode(), 400, "dictionary"),
        (json.dumps({**BODY, "labels": []}).encode(), 400, "labels"),
        (json.dumps({**BODY, "labels": [PAIR, {"request_id": "r-1"}]}).encode(), 400, "labels.1.label"),
        (json.dumps({**BODY, "labels": [{**PAIR, "label": 7}]}).encode(), 400, "labels.0.label"),
        (json.dumps({**BODY, "labels": [{**PAIR, "why": "x"}]}).encode(), 400, "why"),
        (json.dumps({**BODY, "by": ""}).encode(), 400, "by"),
        (json.dumps({**BODY, "origin": "guessed"}).encode(), 400, "origin"),
        (json.dumps({**BODY, "labels": [PAIR] * 51}).encode(), 413, "51 labels"),
        (b" " * 100_001, 413, "bytes"),
    ],
    ids=range(11),
)
def test_what_is_no_body_is_refused_and_said(
    sink: LiveSink, tmp_path: Path, body: bytes, status: int, named: str
) -> None:
    said = sink.send_bytes(body, to="labels")
    assert said.status_code == status
    assert named in said.json()["message"]
    assert labelled(tmp_path) == []


def test_mutated_labels_are_taken_or_refused_in_one_line(sink: LiveSink) -> None:
    whole, chance = json.dumps(BODY).encode(), random.Random(0)
    with requests.Session() as session:
        for _ in range(100):
            body = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            headers = {"Content-Type": "application/json"}
            said = session.post(f"{sink.url}/v1/labels", data=bytes(body), headers=headers, timeout=60)
            assert said.status_code == 200 or (said.status_code == 400 and "\n" not in said.json()["message"])


def test_only_json_is_taken_from_who_has_the_token(tmp_path: Path) -> None:
    token = "of-the-sink-0123456789"
    with sinking(tmp_path, token=token) as sink:
        sent = {"Authorization": f"Bearer {token}"}
        assert sink.send([row(0)], headers=sent).status_code == 200
        eventually(lambda: sink.delivery.stats().written == 1, "the row is written")
        assert sink.label({"r-0": "NA"}).status_code == 401
        assert sink.send_bytes(json.dumps(BODY).encode(), "text/csv", "labels", **sent).status_code == 415
        assert labelled(tmp_path) == []
        assert sink.label({"r-0": "NA"}, headers=sent).status_code == 200


def test_while_the_log_is_away_clients_are_told_to_come_back(sink: LiveSink, tmp_path: Path) -> None:
    with away(tmp_path):
        said = sink.label({"r-0": "NA"})
        assert (said.status_code, said.headers["Retry-After"]) == (503, "5")
    assert sink.label({"r-0": "NA"}).status_code == 200
    assert len(labelled(tmp_path)) == 1


def test_openapi_says_what_labels_are_and_the_example_of_the_docs_is_taken(sink: LiveSink) -> None:
    operation = sink.get("/openapi.json").json()["paths"]["/v1/labels"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == set(BODY)
    assert set(schema["properties"]["labels"]["items"]["properties"]) == set(PAIR)
    assert {"200", "400", "401", "413", "503"} <= set(operation["responses"])
    assert "$ref" not in str(operation["requestBody"])
    docs = (ROOT / "docs" / "inference-log.md").read_text()
    for route in ("inferences", "labels"):
        words = docs.partition(f"/v1/{route} --data '")[2]
        said = sink.send_bytes(words.partition("'")[0].encode(), to=route)
        assert said.status_code == 200
        eventually(lambda: sink.delivery.stats().written == 4, "the row is written")
    assert said.json()["changed"] == 1
