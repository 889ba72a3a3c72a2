"""Rows over HTTP: safe before they are answered for, each once, and what is none is named."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_ops_monitoring.inference_log.client.delivery import LIMITS as QUEUE
from resnet_ops_monitoring.inference_log.client.segments import read_segment
from resnet_ops_monitoring.inference_log.columns import STATISTICS, Row
from resnet_ops_monitoring.inference_log.gaps import list_gaps
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.rows import decode
from resnet_ops_monitoring.sink.inference import Statistics
from tests.unit.monitoring.inference_log.writing import answer, away, eventually, logged, segments
from tests.unit.monitoring.sink.sinking import row, sinking
from tests.unit.project_imports import ROOT


def test_a_row_is_in_the_log_as_it_was_sent(tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "source": "Gerät 1",
        "group": "part 7",
        "latency_ms": 1.25,
        "label": "7",
        "route": "canary",
    }
    with sinking(tmp_path) as sink:
        said = sink.send([row(1, **more, time="2026-01-31T13:00:00+01:00")])
        assert (said.status_code, said.json()["taken"]) == (200, 1)
    found = logged(tmp_path).iloc[0]
    probabilities, embedding, statistics = answer(1)
    assert np.asarray(found["probabilities"], "<f4").tobytes() == probabilities.tobytes()
    assert np.asarray(found["embedding"], "<f4").tobytes() == embedding.tobytes()
    assert {name: found[name] for name in statistics} == statistics
    assert found["time"].to_pydatetime() == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert {name: found[name] for name in ("source", "group", "latency_ms", "label")} == {
        name: more[name] for name in ("source", "group", "latency_ms", "label")
    }


def test_routes_and_requests_without_an_answer_are_told_apart(tmp_path: Path) -> None:
    bare = {name: row(2)[name] for name in ("request_id", "model", "version", "digest")}
    with sinking(tmp_path) as sink:
        sent = [row(1, route="shadow"), {**bare, "status": "refused"}, {**bare, "status": "failed"}, row(3)]
        assert sink.send(sent).json()["taken"] == 4
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    outcomes, served, shadow = (
        log.outcomes("made-up"),
        log.read("made-up"),
        log.read("made-up", routes=("shadow",)),
    )
    log.close()
    assert (outcomes.refused, outcomes.failed) == (1, 1)
    assert (served["request_id"].tolist(), shadow["request_id"].tolist()) == (["r-3"], ["r-1"])


def test_null_is_not_a_number_and_what_is_too_large_is_infinite_and_both_are_logged(tmp_path: Path) -> None:
    with sinking(tmp_path) as sink:
        sent = row(1, embedding=[None, 1e300, 0, 0, 0, 0], statistics=dict.fromkeys(STATISTICS))
        assert sink.send([sent]).status_code == 200
    found = logged(tmp_path).iloc[0]
    assert np.isnan(found["embedding"][0])
    assert np.isinf(found["embedding"][1])
    assert np.isnan(found["brightness"])


@pytest.mark.slow
def test_what_was_answered_is_on_the_disk_while_the_database_is_away_and_comes_once(tmp_path: Path) -> None:
    with sinking(tmp_path) as sink:
        with away(tmp_path):
            for _ in range(2):
                assert sink.send([row(number) for number in range(20)]).status_code == 200
            kept = {
                found.request_id
                for path in segments(tmp_path)
                for _, content in read_segment(path).records
                if isinstance(found := decode(content), Row)
            }
            assert kept == {f"r-{number}" for number in range(20)}
            assert sink.get("/readyz").status_code == 200
        eventually(lambda: not segments(tmp_path), "the segments are written")
    assert sorted(logged(tmp_path)["request_id"]) == sorted(kept)


def test_a_request_is_one_row_however_often_and_by_however_many_it_is_sent(tmp_path: Path) -> None:
    sent = [row(number) for number in range(10)]
    with sinking(tmp_path) as sink, ThreadPoolExecutor(4) as clients:
        said = list(clients.map(lambda _: sink.send(sent).status_code, range(8)))
        assert said == [200] * 8
        assert sink.send([row(3, embedding=[0] * 6)]).status_code == 200
        eventually(lambda: sink.delivery.stats().refused == 1, "another answer under the same id is counted")
    assert len(logged(tmp_path)) == 10


def test_rows_that_are_none_are_named_counted_and_cost_no_other(tmp_path: Path) -> None:
    when = "2026-01-31T12:00:00Z"
    sent = [
        row(0),
        row(1, probabilities=[0.5, 0.5], time=when, source="line 1"),
        row(2, surprise=1),
        row(3, classes=["7", "größer", "EU", "NA"]),
        row(4, embedding=[1.0]),
        row(5, statistics={"brightness": 1}),
        row(6, time="2026-01-31T12:00:00"),
        row(7, status="refused"),
        {"request_id": "nobody's"},
        "no row",
        row(8),
    ]
    with sinking(tmp_path) as sink:
        said = sink.send(sent)
        assert said.status_code == 400
        content = said.json()
        assert content["taken"] == 2
        reasons = {each["row"]: each["reason"] for each in content["refused"]}
        assert list(reasons) == list(range(1, 10))
        named = {1: "probabilities", 2: "surprise", 3: "classes", 4: "embedding", 5: "statistics", 6: "time"}
        assert [row for row, name in named.items() if name not in reasons[row]] == []
        assert "refused has no classes, probabilities" in reasons[7]
    assert sorted(logged(tmp_path)["request_id"]) == ["r-0", "r-8"]
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    gaps = {gap.source: gap for gap in list_gaps(log)}
    log.close()
    assert (gaps["line 1"].lost, gaps["line 1"].since) == (1, datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert gaps[None].lost == 6  # of what names no version, nobody can say whose it was


def test_without_room_nothing_is_taken_and_clients_are_told_when_to_come_back(tmp_path: Path) -> None:
    with sinking(tmp_path, queue=replace(QUEUE, rows=5)) as sink:
        said = sink.send([row(number) for number in range(6)])
        assert (said.status_code, said.headers["Retry-After"]) == (503, "5")
        assert sink.delivery.stats().recorded == 0
        assert sink.send([row(number) for number in range(5)]).status_code == 200
    assert len(logged(tmp_path)) == 5


@pytest.mark.slow
def test_rows_that_find_no_place_are_not_answered_for_and_can_be_sent_again(tmp_path: Path) -> None:
    with sinking(tmp_path, queue=replace(QUEUE, disk_bytes=0), safe_seconds=0.3) as sink:
        with away(tmp_path):
            said = sink.send([row(1)])
            assert (said.status_code, said.headers["Retry-After"]) == (503, "5")
            assert "all that they may" in said.json()["message"]
            assert sink.get("/readyz").status_code == 503
        eventually(lambda: sink.send([row(1)]).status_code == 200, "the database takes the row")
        eventually(lambda: sink.get("/readyz").status_code == 200, "it is ready")
    assert len(logged(tmp_path)) == 1


def test_a_sink_that_ends_has_its_rows_in_the_database(tmp_path: Path) -> None:
    with away(tmp_path), sinking(tmp_path) as sink:
        assert sink.send([row(1)]).status_code == 200
    assert len(segments(tmp_path)) == 1
    with sinking(tmp_path) as sink:
        assert sink.send([row(2)]).status_code == 200
    assert segments(tmp_path) == []
    assert len(logged(tmp_path)) == 2


def test_a_token_is_asked_for_where_one_is_set(tmp_path: Path) -> None:
    token = "of-the-sink-0123456789"
    with sinking(tmp_path, token=token) as sink:
        assert sink.send([row(1)]).status_code == 401
        assert sink.get("/metrics").status_code == 401
        assert sink.get("/healthz").status_code == 200
        assert sink.send([row(2)], headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert logged(tmp_path)["request_id"].tolist() == ["r-2"]


def test_openapi_and_metrics_say_what_is_taken_and_what_became_of_it(tmp_path: Path) -> None:
    with sinking(tmp_path) as sink:
        sink.send([row(1), row(2)])
        document = sink.get("/openapi.json").json()
        operation = document["paths"]["/v1/inferences"]["post"]
        properties = operation["requestBody"]["content"]["application/json"]["schema"]["items"]["properties"]
        assert set(row(1)) | {"group", "time", "route", "status"} <= set(properties)
        assert {"200", "400", "401", "503"} <= set(operation["responses"])
        assert "$ref" not in str(operation["requestBody"])
        metrics = sink.get("/metrics").text
    assert "resnet_ops_inference_log_recorded_total 2.0" in metrics
    assert 'resnet_ops_sink_requests_total{route="/v1/inferences",status="200"} 1.0' in metrics


def test_the_example_of_the_docs_is_taken(tmp_path: Path) -> None:
    words = (ROOT / "docs" / "inference-log.md").read_text().partition("/v1/inferences --data '")[2]
    with sinking(tmp_path) as sink:
        assert sink.send_bytes(words.partition("'")[0].encode()).status_code == 200


def test_statistics_are_those_of_the_log() -> None:
    assert tuple(Statistics.model_fields) == STATISTICS
