"""Every request by every version is a row, and only answers that somebody was given are production."""

import json
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.reference import build_reference
from resnet_ops_monitoring.drift.time_ranges import judge_time_range
from resnet_ops_monitoring.inference_log.client.writer import open_writer
from resnet_ops_monitoring.inference_log.columns import Row, Status
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.labels import count_right
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.rows import decode
from resnet_ops_monitoring.inference_log.time_range import TimeRange
from resnet_ops_monitoring.service.windows import due_time_ranges
from tests.unit.monitoring.conftest import HOURLY, PARAMS, make_predictions
from tests.unit.monitoring.inference_log.writing import CLASSES, answer, away, label, record, writer_of

WHO = ModelIdentity("made-up", "1", "d" * 64)
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
RANGE: dict[str, Any] = {"start": START, "end": START + HOUR}


@pytest.fixture
def log(tmp_path: Path) -> InferenceLog:
    return InferenceLog(f"sqlite:///{tmp_path}/log.db")


def frame(rows: int = 300, seed: int = 0, **more: Any) -> pd.DataFrame:
    return make_predictions(np.random.default_rng(seed), rows).assign(window=None, **more)


def unanswered(folder: Path, status: Status, rows: int, start: datetime = START) -> None:
    """Requests without an answer, of the version of `frame`."""
    about: dict[str, Any] = {"model": "made-up", "version": "1", "digest": "d" * 64, "classes": CLASSES}
    with open_writer(f"sqlite:///{folder}/log.db", **about, folder=folder / "spool") as log:
        for row in range(rows):
            moment = start + timedelta(seconds=row)
            assert log.record_unanswered(status, request_id=f"{status}-{row}", time=moment, queue_ms=0.5)


def test_champion_challenger_and_canary_answer_the_same_request_without_conflict(log: InferenceLog) -> None:
    assert log.append(frame(30)) == 30
    assert log.append(frame(30, 1, digest="e" * 64, version="2", route="shadow")) == 30
    assert log.append(frame(30, 2, digest="f" * 64, version="3", route="canary")) == 30
    assert log.append(frame(30)) == 0
    assert log.append(frame(30, route="canary")) == 0, "sent again once the canary was promoted, or before"
    assert log.read("made-up")["digest"].value_counts().to_dict() == {"d" * 64: 30, "f" * 64: 30}
    assert set(log.read("made-up", routes=("shadow",))["digest"]) == {"e" * 64}
    assert log.summary()[["version", "route", "rows"]].values.tolist() == [
        ["1", "champion", 30],
        ["2", "shadow", 30],
        ["3", "canary", 30],
    ]
    assert log.rows_of(["r3"], "d" * 64)["digest"].tolist() == ["d" * 64]


def test_what_somebody_was_given_takes_the_place_of_the_same_answer_in_shadow(log: InferenceLog) -> None:
    log.append(frame(30, route="shadow"))
    assert log.append(frame(30, time=START + HOUR)[:10]) == 10
    assert log.append(frame(30, route="shadow")) == 0
    served, unseen = log.read("made-up"), log.read("made-up", routes=("shadow",))
    assert (len(served), len(unseen)) == (10, 20)
    assert (served["time"] == START + HOUR).all(), "when it was given"
    with pytest.raises(DataError, match="another probabilities"):
        log.append(frame(30).assign(probabilities=frame(30, 9)["probabilities"]))
    assert len(log.read("made-up")) == 10


def test_answers_in_shadow_never_count_as_production_of_the_version(log: InferenceLog) -> None:
    reference = build_reference(frame(400, 3), WHO, tuple("0123456789"), rows=400, seed=0)
    log.append(frame())
    alone = judge_time_range(log, reference, PARAMS, name="w", **RANGE)
    ids = [f"s{i}" for i in range(300)]
    log.append(frame(300, 4, request_id=ids, route="shadow", predicted="7", label="1"))
    assert judge_time_range(log, reference, PARAMS, name="w", **RANGE).verdict == alone.verdict
    assert (
        TimeRange(WHO, **dict(zip(("since", "until"), RANGE.values(), strict=True))).period(log).rows == 300
    )
    assert sum(count_right(log)) == 300
    log.append(frame(5, 5, request_id=list("abcde"), route="shadow", time=START - 5 * HOUR))
    assert [each.since for each in due_time_ranges(log, WHO, HOURLY, None, START + HOUR)] == [START]


def test_requests_without_an_answer_are_counted_and_told_and_judged_by_nobody(
    log: InferenceLog, tmp_path: Path
) -> None:
    reference = build_reference(frame(400, 3), WHO, tuple("0123456789"), rows=400, seed=0)
    log.append(frame())
    alone = judge_time_range(log, reference, PARAMS, name="w", **RANGE).verdict
    unanswered(tmp_path, "refused", 12)
    unanswered(tmp_path, "failed", 3)
    found = judge_time_range(log, reference, PARAMS, name="w", **RANGE).verdict
    assert (found.refused, found.failed, found.rows) == (12, 3, 300)
    assert found.findings == alone.findings
    assert found.reason.endswith("beside 300 answered images: 12 refused, 3 failed.")
    assert log.summary()[["rows", "refused", "failed"]].values.tolist() == [[300, 12, 3]]
    with pytest.raises(DataError, match="'failed-0'"):
        label(log, ["failed-0"], ["7"])


def test_an_hour_in_which_no_request_was_answered_is_not_passed_over(
    log: InferenceLog, tmp_path: Path
) -> None:
    log.append(frame(10))
    unanswered(tmp_path, "refused", 5, START + 2 * HOUR)
    log.append(frame(10, 1, request_id=[f"x{i}" for i in range(10)], time=START + 4 * HOUR))
    found = [each.since for each in due_time_ranges(log, WHO, HOURLY, None, START + 5 * HOUR)]
    assert found == [START, START + 2 * HOUR, START + 4 * HOUR]


def test_a_request_that_was_refused_can_be_sent_again_and_answered(tmp_path: Path) -> None:
    with writer_of(tmp_path) as writer:
        for _ in range(2):
            assert writer.record_unanswered("refused", request_id="r-0", total_ms=0.1)
        assert record(writer, 1, queue_ms=1.5, total_ms=4.0) == 1
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    assert log.summary()[["rows", "refused"]].values.tolist() == [[1, 1]]
    with log.transaction("read") as connection:
        times = connection.exec_driver_sql("SELECT status, queue_ms, total_ms FROM inferences ORDER BY id")
        assert times.all() == [("refused", None, 0.1), ("ok", 1.5, 4.0)]


def test_routes_and_failures_come_through_segments_as_they_were(tmp_path: Path) -> None:
    with away(tmp_path), writer_of(tmp_path) as writer:
        assert record(writer, 3, route="shadow", total_ms=7.0) == 3
        assert writer.record_unanswered("failed", request_id="f", source="line 1", route="canary")
    with writer_of(tmp_path) as writer:
        record(writer, 1, "next")
        while writer.stats().written < 5:
            pass
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    found = log.summary()[["route", "rows", "failed"]].values.tolist()
    assert found == [["canary", 0, 1], ["champion", 1, 0], ["shadow", 3, 0]]


@pytest.mark.parametrize("given", [{"route": "shade"}, {"queue_ms": "long"}])
def test_what_is_no_route_or_time_is_refused_and_said(
    tmp_path: Path, given: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with writer_of(tmp_path) as writer:
        assert not writer.record(*answer(0), **given)
        assert not writer.record_unanswered("ok")
        assert writer.stats().refused == 2
    assert "status is none of refused, failed" in caplog.text


def test_the_group_of_an_image_comes_into_the_log_also_from_rows_that_know_none(tmp_path: Path) -> None:
    probabilities, embedding, statistics = answer(1)
    with writer_of(tmp_path) as writer:
        assert record(writer, 2, group="patient 7") == 2
        assert record(writer, 1, "single") == 1
        assert not writer.record(*answer(0), group="")
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    assert sorted(log.read("made-up")["group"].fillna("none")) == ["none", "patient 7", "patient 7"]
    log.close()
    words = json.dumps(["made-up", "1", "d" * 64, "old", None, "NA", None, "shadow", "ok"]).encode()
    numbers = [*statistics.values(), 2.5, 1.0, 4.0, 1.0, 1.0]
    head = struct.pack("<cqII10d", b"s", 1_767_600_000_000_000, len(words), embedding.nbytes, *numbers)
    row = decode(head + words + embedding.tobytes() + probabilities.tobytes())
    assert isinstance(row, Row)
    assert (row.group, row.route, row.total_ms) == (None, "shadow", 4.0)


def test_a_replay_is_of_the_groups_that_are_said_now_and_production_of_those_that_were(
    log: InferenceLog,
) -> None:
    for name, group in (("replay", "b"), (None, "a")):
        rows = frame(3).assign(window=name)
        rows["request_id"] = [f"{name} {row}" for row in range(3)]
        assert log.append(rows.assign(group=["", "a", "a"])) == 3
        assert log.append(rows.assign(group=["b", "a", "b"])) == (2 if name else 0)
        found = log.read("made-up")
        assert found[found["request_id"] == f"{name} 2"]["group"].item() == group
    assert log.count("made-up")[""].rows == 6


@pytest.mark.parametrize("group", ["x" * 201, "a\0b", 7, 7.5])
def test_a_group_that_no_column_of_texts_holds_is_refused(group: object, log: InferenceLog) -> None:
    with pytest.raises(DataError, match="group is no text"):
        log.append(frame(2).assign(group=pd.Series([None, group], dtype=object)))
    assert log.count("made-up") == {}


def test_an_empty_group_is_none_as_in_a_manifest(log: InferenceLog) -> None:
    log.append(frame(2).assign(group=["", "a"]))
    assert [*log.read("made-up")["group"]] == [None, "a"]


def test_a_row_that_a_program_of_before_put_by_is_read(tmp_path: Path) -> None:
    probabilities, embedding, statistics = answer(1)
    words = json.dumps(["made-up", "1", "d" * 64, "old", "line 1", "NA", "EU"]).encode()
    numbers = [*statistics.values(), 2.5]
    head = struct.pack("<cqII6d", b"r", 1_767_600_000_000_000, len(words), embedding.nbytes, *numbers)
    row = decode(head + words + embedding.tobytes() + probabilities.tobytes())
    assert isinstance(row, Row)
    assert (row.route, row.status, row.kept, row.drawn) == ("champion", "ok", 1.0, 1.0)
    assert row.group is None
    assert (row.request_id, row.label, row.latency_ms) == ("old", "EU", 2.5)
    assert row.embedding == embedding.tobytes()
    assert row.probabilities == probabilities.tobytes()
