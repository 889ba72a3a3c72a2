"""What Great Expectations says of a stretch of a real log, by SQL."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.time_range import TimeRange
from resnet_ops_monitoring.settings.service import ValidationParams
from resnet_ops_monitoring.validation.manifest_checks import ManifestCheck
from resnet_ops_monitoring.validation.window_checks import check_window, failures

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

CLASSES = tuple("0123456789")
PARAMS = ValidationParams(max_rows=1000, sum_tolerance=0.001, clock_allowance_seconds=60, max_repeated=0.2)
MODEL = ModelIdentity("made-up", "1", "d" * 64)
SINCE = datetime(2026, 1, 5, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)

Maker = Callable[..., pd.DataFrame]


def found(frame: pd.DataFrame, identity: ModelIdentity = MODEL, now: datetime = SINCE + HOUR) -> str:
    log = InferenceLog.open()
    log.append(frame)
    return failures(checked(log, identity, now))


def checked(
    log: InferenceLog, identity: ModelIdentity = MODEL, now: datetime = SINCE + HOUR
) -> tuple[ManifestCheck, ...]:
    time_range = TimeRange(identity, SINCE, SINCE + HOUR)
    return check_window(log, time_range, CLASSES, {"1": "d" * 64}, PARAMS, now)


def with_probabilities(frame: pd.DataFrame, row: np.ndarray) -> pd.DataFrame:
    """The frame with these in its row 3."""
    rows = list(frame["probabilities"])
    rows[3] = row.astype(np.float32)
    return frame.assign(probabilities=rows)


@pytest.fixture
def frame(made_up: Maker, project: Path) -> pd.DataFrame:
    frame = made_up(np.random.default_rng(0), 200)
    return frame.assign(contrast=frame["contrast"] / 2.5)


def test_a_sound_window_fails_nothing(frame: pd.DataFrame) -> None:
    assert found(frame) == ""


def test_no_rows_leave_the_other_rules_unasked_and_are_for_the_judge(project: Path) -> None:
    checks = checked(InferenceLog.open())
    assert failures(checks) == ""
    assert [check.rule for check in checks if not check.held] == ["at least one row"]
    assert not any("probabilities" in check.rule for check in checks)


def test_a_flood_is_not_judged(made_up: Maker, project: Path) -> None:
    said = found(made_up(np.random.default_rng(0), 1001))
    assert "at most 1,000 rows: 1,001 rows" in said


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("brightness", 1.5, "brightness between 0 and 1: 1 rows, for example 1.5"),
        ("entropy", -2.0, "entropy between 0 and 5: 1 rows, for example -2"),
        ("predicted", "eleven", "predicted classes known: 1 rows, for example eleven"),
        (
            "version",
            "9",
            "every answer by a registered version of made-up: 1 rows, for example v9 dddddddddddd",
        ),
        ("digest", "e" * 64, "for example v1 eeeeeeeeeeee"),
    ],
)
def test_a_single_row_that_cannot_be_is_named(
    frame: pd.DataFrame, column: str, value: object, words: str
) -> None:
    values = frame[column].tolist()
    values[7] = value
    frame[column] = values
    assert words in found(frame)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (np.full(10, 0.2), "probabilities sum to one: 1 rows, for example 2"),
        (np.full(9, 1 / 9), "10 probabilities in each row: 1 rows, for example 9"),
        (np.r_[1.5, -0.5, np.zeros(8)], "no negative probability: 1 rows, for example -0.5"),
        (np.roll(np.r_[1.0, np.zeros(9)], 9), "the most probable class predicted: 1 rows predict another"),
    ],
)
def test_probabilities_that_are_none_are_named(frame: pd.DataFrame, row: np.ndarray, words: str) -> None:
    frame = with_probabilities(frame, row)
    frame.loc[3, "predicted"] = "0"
    assert words in found(frame)


def test_rows_that_are_not_finite_are_the_judges_to_count(frame: pd.DataFrame) -> None:
    frame = with_probabilities(frame, np.full(10, np.nan))
    frame.loc[4, ["brightness", "contrast"]] = np.nan
    assert found(frame) == ""


def test_a_clock_that_runs_backwards_is_noticed_by_the_order_of_arrival(frame: pd.DataFrame) -> None:
    frame["time"] = frame["time"][::-1].to_numpy()
    said = found(frame)
    assert "by more than 60 s: a row is 199 s older" in said


def test_rows_a_little_out_of_order_are_allowed(frame: pd.DataFrame) -> None:
    frame["time"] = frame["time"].to_numpy().reshape(-1, 10)[:, ::-1].ravel()
    assert found(frame) == ""


def test_times_in_the_future_are_counted_and_spoil_no_window(frame: pd.DataFrame) -> None:
    frame.loc[5, "time"] = SINCE + 2 * HOUR
    assert found(frame) == ""
    (noticed,) = (check for check in checked(InferenceLog.open()) if not check.held)
    assert noticed.rule == "no time of this model more than 60 s in the future"
    assert noticed.found == "1 rows, set aside"
    assert all(check.held for check in checked(InferenceLog.open(), now=SINCE + 2 * HOUR))


def test_sources_that_send_in_batches_are_each_in_their_own_order(frame: pd.DataFrame) -> None:
    frame["source"] = ["left"] * 100 + ["right"] * 100
    frame["time"] = [*frame["time"][:100], *frame["time"][:100]]
    assert found(frame) == ""
    again = frame.assign(request_id=[f"late {i}" for i in range(200)], time=frame["time"][::-1].to_numpy())
    assert "clock of a source never back by more than 60 s" in found(again)


def test_a_frozen_camera_repeats_its_image(frame: pd.DataFrame) -> None:
    alike = ["brightness", "contrast", "sharpness", "saturation", "entropy", "predicted", "probabilities"]
    for column in alike:
        for row in range(60):
            frame.at[row, column] = frame.at[0, column]
    assert "at most 20% of the rows copies of another: 30%" in found(frame)


def test_an_unknown_label_is_a_warning_since_it_may_be_news(frame: pd.DataFrame) -> None:
    frame.loc[2, "label"] = "a new kind"
    log = InferenceLog.open()
    log.append(frame)
    checks = checked(log)
    assert failures(checks) == ""
    assert [check.found for check in checks if not check.held] == ["1 rows, for example a new kind"]


def test_a_name_that_would_break_a_query_is_only_a_name(frame: pd.DataFrame) -> None:
    name = "o'x :b %s %(a)s \\ ) OR 1=1 --"
    frame["model"] = name
    frame.loc[7, "brightness"] = 1.5
    assert "brightness between 0 and 1: 1 rows" in found(frame, replace(MODEL, name=name))
    with pytest.raises(DataError, match="is not a digest"):
        checked(InferenceLog.open(), replace(MODEL, digest="' OR 1=1"))
