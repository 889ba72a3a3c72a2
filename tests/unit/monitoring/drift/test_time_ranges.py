"""A time range of the log is judged by kept summaries: the same numbers, each hour read once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import Reference, build_reference
from resnet_ops_monitoring.drift.time_ranges import judge_time_range, seasonal_baseline, summarise_time_range
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.summary import summarise
from tests.unit.monitoring.inference_log.writing import label

Frames = Callable[..., pd.DataFrame]
MONDAY = datetime(2026, 1, 5, 8, tzinfo=UTC)
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)


class CountingLog(InferenceLog):
    """A real log that remembers how many rows were read with their vectors."""

    read_rows = 0

    def stream(self, model: str, **choice: Any) -> Iterator[pd.DataFrame]:
        for rows in super().stream(model, **choice):
            self.read_rows += len(rows)
            yield rows


@pytest.fixture
def log(tmp_path: Path) -> CountingLog:
    return CountingLog(f"sqlite:///{tmp_path}/inference.db")


@pytest.fixture
def reference(made_up: Frames) -> Reference:
    identity = ModelIdentity("made-up", "1", "d" * 64)
    return build_reference(
        made_up(np.random.default_rng(0), 500), identity, tuple("0123456789"), rows=200, seed=0
    )


def traffic(
    made_up: Frames, rows: int, start: datetime, apart: float, name: str, shift: float = 0.0
) -> pd.DataFrame:
    seed = int.from_bytes(name.encode()[-6:], "big")
    frame = made_up(np.random.default_rng(seed), rows, shift=shift)
    times = [start + timedelta(seconds=apart * i) for i in range(rows)]
    return frame.assign(time=pd.to_datetime(times, utc=True), request_id=[f"{name}-{i}" for i in range(rows)])


@pytest.mark.slow
def test_a_stretch_is_judged_as_its_rows_are(
    made_up: Frames, log: CountingLog, reference: Reference, params: DriftParams
) -> None:
    rows = traffic(made_up, 400, MONDAY - timedelta(minutes=20), 30, "a")
    rows["source"] = np.where(np.arange(400) % 3 == 0, "line 1", "line 2")
    log.append(rows)
    start, end = MONDAY - timedelta(minutes=10), MONDAY + 2.5 * HOUR
    whole = log.read("made-up", start=start, end=end)
    expected = judge(whole, reference, params, window="w")
    assert len(expected.sources) == 2
    for _ in range(2):
        assert judge_time_range(log, reference, params, name="w", start=start, end=end).verdict == expected
    assert judge_time_range(log, reference, params, name="w", start=start).verdict == judge(
        log.read("made-up", start=start), reference, params, window="w"
    )
    assert judge_time_range(log, reference, params, name="w", window="w").verdict == judge(
        log.read("made-up", window="w"), reference, params, window="w"
    )


def test_an_hour_is_read_once_and_again_only_when_rows_came_late(
    made_up: Frames, log: CountingLog, reference: Reference, params: DriftParams
) -> None:
    log.append(traffic(made_up, 300, MONDAY, 30, "a").assign(label=None))
    time_range: Any = {"start": MONDAY, "end": MONDAY + 4 * HOUR}
    first = summarise_time_range(log, reference.schema, params, **time_range).whole
    assert log.read_rows == 300
    assert summarise_time_range(log, reference.schema, params, **time_range).whole == first
    assert log.read_rows == 300
    right, other = (str(answer) for answer in log.read("made-up")["predicted"][:2])
    label(log, ["a-0", "a-1"], [right, str((int(other) + 1) % 10)])
    labelled = summarise_time_range(log, reference.schema, params, **time_range).whole
    assert (labelled.labelled, labelled.right, log.read_rows) == (2, 1, 300)
    log.append(traffic(made_up, 10, MONDAY + HOUR, 60, "late"))
    late = summarise_time_range(log, reference.schema, params, **time_range).whole
    assert log.read_rows == 300 + 130
    assert late == summarise(log.read("made-up"), reference.schema)


def test_summaries_of_another_reference_are_not_used(
    made_up: Frames, log: CountingLog, reference: Reference, params: DriftParams
) -> None:
    log.append(traffic(made_up, 120, MONDAY, 30, "a"))
    other = build_reference(
        made_up(np.random.default_rng(5), 300), reference.identity, reference.classes, rows=100, seed=0
    )
    for each in (reference, other, reference):
        found = summarise_time_range(log, each.schema, params, start=MONDAY, end=MONDAY + HOUR).whole
        assert found == summarise(log.read("made-up"), each.schema)


def test_a_log_that_cannot_be_written_to_is_judged_all_the_same(
    made_up: Frames, log: CountingLog, reference: Reference, params: DriftParams
) -> None:
    log.append(traffic(made_up, 120, MONDAY, 30, "a"))
    locked = CountingLog(f"sqlite:///file:{log.url.database}?mode=ro&uri=true")
    assert judge_time_range(locked, reference, params, name="w", start=MONDAY).verdict.rows == 120


def test_a_clock_a_century_wrong_costs_no_time(
    made_up: Frames, log: CountingLog, reference: Reference, params: DriftParams
) -> None:
    log.append(traffic(made_up, 100, MONDAY, 1, "a"))
    log.append(traffic(made_up, 1, datetime(1970, 1, 1, tzinfo=UTC), 1, "past"))
    log.append(traffic(made_up, 1, datetime(2100, 1, 1, tzinfo=UTC), 1, "future"))
    begin = time.process_time()
    verdict = judge_time_range(
        log, reference, params, name="w", start=datetime(1960, 1, 1, tzinfo=UTC)
    ).verdict
    assert time.process_time() - begin < 2
    assert verdict.rows == 102
    assert (verdict.start, verdict.end) == (
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2100, 1, 1, tzinfo=UTC),
    )


def test_an_empty_stretch_is_insufficient_data_and_unknown_classes_are_invalid(
    made_up: Frames, log: CountingLog, reference: Reference, params: DriftParams
) -> None:
    assert (
        judge_time_range(log, reference, params, name="w", start=MONDAY).verdict.status == "insufficient data"
    )
    log.append(traffic(made_up, 60, MONDAY, 1, "a").assign(predicted="cat"))
    verdict = judge_time_range(log, reference, params, name="w", start=MONDAY, end=MONDAY + HOUR).verdict
    assert (verdict.status, verdict.rows, verdict.start) == ("invalid data", 60, MONDAY)
    assert "lacks: cat" in verdict.reason


@pytest.mark.slow
def test_like_is_compared_with_like_when_the_log_is_long_enough(
    made_up: Frames, log: CountingLog, reference: Reference, params: DriftParams
) -> None:
    night = [0.2] * 4 + [0.2 / 6] * 6  # at this hour other classes come than in the held-out split
    for week in range(4):
        frame = traffic(made_up, 200, MONDAY + week * WEEK, 10, f"w{week}")
        mixed = made_up(np.random.default_rng(40 + week), 200, weights=night)
        log.append(mixed.assign(time=frame["time"], request_id=frame["request_id"]))

    def judged(week: int) -> Any:
        start = MONDAY + week * WEEK
        return judge_time_range(log, reference, params, name="w", start=start, end=start + HOUR).verdict

    assert [judged(0).status, judged(1).status] == ["alarm", "alarm"]
    assert judged(1).compared_with == "the labelled reference"
    assert judged(2).compared_with == "the same hours of earlier weeks"
    assert judged(3).status == "ok"
    assert judged(3).reference_accuracy == judged(0).reference_accuracy


@pytest.mark.slow
def test_weeks_in_which_the_model_was_hurt_are_not_usual(
    made_up: Frames, log: CountingLog, reference: Reference, params: DriftParams
) -> None:
    for week in range(3):
        frame = traffic(made_up, 300, MONDAY + week * WEEK, 10, f"w{week}")
        weak: Any = [np.full(10, 0.1, np.float32)] * 300
        log.append(frame.assign(probabilities=weak))
    start = MONDAY + 3 * WEEK
    assert seasonal_baseline(log, reference, params, start=start, end=start + HOUR) is None


@pytest.mark.slow
def test_rows_to_show_are_drawn_and_bounded(
    made_up: Frames, log: CountingLog, reference: Reference, params: DriftParams
) -> None:
    log.append(traffic(made_up, 90, MONDAY, 30, "a"))
    few = judge_time_range(log, reference, params, name="w", start=MONDAY).rows
    pd.testing.assert_frame_equal(few, log.read("made-up"))
    log.append(traffic(made_up, 900, MONDAY + HOUR, 1, "b"))
    many = judge_time_range(log, reference, params, name="w", start=MONDAY).rows
    assert len(many) == 200
    assert many["request_id"].str.startswith("b").mean() > 0.8


def test_rows_are_found_by_their_ids(made_up: Frames, log: CountingLog) -> None:
    log.append(traffic(made_up, 20, MONDAY, 1, "a"))
    assert list(log.rows_of(["a-7", "a-3", "nobody"], "d" * 64)["request_id"]) == ["a-3", "a-7"]
    assert len(log.rows_of([], "d" * 64)) == 0


def test_rows_in_the_place_of_a_replays_are_read_also_where_they_get_the_same_ids(
    made_up: Frames, log: CountingLog, reference: Reference, params: DriftParams
) -> None:
    def check() -> None:
        found = summarise_time_range(log, reference.schema, params, start=MONDAY, end=MONDAY + HOUR).whole
        assert found == summarise(log.read("made-up"), reference.schema)

    before = traffic(made_up, 100, MONDAY, 30, "a").assign(source="simulated")
    log.append(before)
    check()
    log.append(before.assign(group="part 1"))
    check()
    assert log.drop_replays(["simulated"], reference.identity, ()) == 100
    log.append(traffic(made_up, 100, MONDAY, 30, "b").assign(source="simulated"))
    check()
