"""Rows of masks and boxes: named numbers in the place of probabilities, as the client in Python takes them."""

from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import Any

import pytest

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.incoming import Incoming
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.sink.arrow import ARROW_TYPE
from resnet_ops_monitoring.sink.reading import JSON_TYPE, Reader
from tests.unit.monitoring.inference_log.writing import CLASSES, DIGEST, answer, writer_of
from tests.unit.monitoring.sink.sinking import row, sinking
from tests.unit.monitoring.sink.test_arrow import stream, table
from tests.unit.project_imports import ROOT

SCALARS = ("boxes", "mean area", "confidence")
NUMBERS = [3.0, 0.125, 0.75]


def boxes(number: int, **changes: Any) -> dict[str, Any]:
    """A row as a client sends it."""
    kind = CLASSES[number % len(CLASSES)]
    about: dict[str, Any] = {"scalars": list(SCALARS), "probabilities": NUMBERS, "predicted": kind}
    return row(number, **{**about, **changes})


def test_named_numbers_in_json_and_arrow_are_the_rows_that_python_makes() -> None:
    identity = ModelIdentity("made-up", "1", DIGEST)
    incoming = Incoming(identity, CLASSES, scalars=SCALARS)
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    about: dict[str, Any] = {"moment": moment, "source": None, "latency_ms": None, "label": None}
    made = []
    for number in range(4):
        _, embedding, statistics = answer(number)
        named: dict[str, Any] = {"request_id": f"r-{number}", "predicted": CLASSES[number]}
        made.append(incoming.row(NUMBERS, embedding, statistics, **named, **about))
    rows = [boxes(number) for number in range(4)]
    json = dumps([{**each, "time": moment.isoformat()} for each in rows]).encode()
    arrow = stream(table(rows=[{**each, "time": moment} for each in rows]))
    for kind, body in ((JSON_TYPE, json), (ARROW_TYPE, arrow)):
        assert Reader(50).read(kind, body).rows == made


def test_what_python_refuses_is_refused_row_by_row(tmp_path: Path) -> None:
    sent = [
        boxes(0),
        boxes(1, predicted=None),
        boxes(2, predicted="somebody"),
        boxes(3, probabilities=NUMBERS[:2]),
        boxes(4, scalars=["boxes", "confidence", "mean area"]),
        row(5, predicted=CLASSES[0], version="2"),
        boxes(6, scalars=["boxes", "mean area", "sure"], version="3"),
        boxes(7, scalars=["confidence"] * 3, version="4"),
        row(8, status="failed", scalars=list(SCALARS)) | dict.fromkeys(("classes", "probabilities")),
        row(9),
    ]
    with sinking(tmp_path) as sink:
        said = sink.send(sent).json()
    assert said["taken"] == 1
    reasons = {each["row"]: each["reason"] for each in said["refused"]}
    assert list(reasons) == list(range(1, len(sent)))
    words = {
        1: "predicted is none",
        2: "predicted is none",
        3: "2 numbers",
        4: "order",
        5: "predicted",
        6: "confidence",
        7: "once",
        8: "scalars",
        9: "scalars",
    }
    assert [place for place, word in words.items() if word not in reasons[place]] == []
    with pytest.raises(DataError, match="confidence"):
        writer_of(tmp_path, scalars=("boxes",))


def test_openapi_and_the_example_of_the_docs_name_them(tmp_path: Path) -> None:
    words = (ROOT / "docs" / "inference-log.md").read_text()
    example = words.partition("an image with boxes:\n\n```json\n")[2].partition("```")[0]
    with sinking(tmp_path) as sink:
        operation = sink.get("/openapi.json").json()["paths"]["/v1/inferences"]["post"]
        content = operation["requestBody"]["content"]["application/json"]["schema"]["items"]["properties"]
        assert {"scalars", "predicted"} <= set(content)
        assert sink.send_bytes(f"[{example}]".encode()).json()["taken"] == 1
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    assert log.read("cells")["predicted"].tolist() == ["WBC"]
    log.close()
