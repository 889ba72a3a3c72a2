"""Gaps in a real log: written once, joined for people, counted for windows, gone with the rows of their time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from resnet_ops_monitoring.inference_log.gaps import (
    Gap,
    add_gaps,
    gap_words,
    late_ranges,
    list_gaps,
    lost_rows,
)
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.time_range import TimeRange
from tests.unit.monitoring.conftest import make_predictions

WHO = ModelIdentity("made-up", "1", "d" * 64)
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def log(tmp_path: Path) -> InferenceLog:
    return InferenceLog(f"sqlite:///{tmp_path}/inference.db")


def gap(minute: float, lost: int = 0, late: int = 0, source: str | None = None, why: str = "full") -> Gap:
    since = START + minute * MINUTE
    return Gap(WHO, source, since, since + timedelta(seconds=30), why, lost, late)


def add(log: InferenceLog, *found: Gap) -> None:
    with log.transaction("write to") as connection:
        add_gaps(connection, found)


def test_a_gap_that_is_brought_twice_is_there_once(log: InferenceLog) -> None:
    one = gap(0, 5)
    add(log, one)
    add(log, one, gap(30, 7))
    assert [each.lost for each in list_gaps(log)] == [5, 7]
    assert list_gaps(log)[0] == one


def test_what_a_source_lost_in_a_row_is_one_for_people(log: InferenceLog) -> None:
    add(log, *(gap(minute, 2, why="full" if minute < 3 else "slow") for minute in range(5)))
    add(log, gap(1, 4, source="line 1"), gap(1, late=9), gap(90, 1))
    found = list_gaps(log)
    assert {(each.source, each.lost, each.late) for each in found} == {
        (None, 10, 0),
        ("line 1", 4, 0),
        (None, 0, 9),
        (None, 1, 0),
    }
    assert len(found) == 4
    whole = next(each for each in found if each.lost == 10)
    assert (whole.since, whole.until) == (START, START + 4.5 * MINUTE)
    assert whole.reason == "full; slow"


def test_a_window_lacks_the_gaps_that_reach_into_it_and_no_others(log: InferenceLog) -> None:
    add(
        log,
        gap(-1, 1),
        gap(-0.25, 2),
        gap(10, 4, source="line 1"),
        gap(59.75, 8),
        gap(60, 16),
        gap(20, late=3),
    )
    other = ModelIdentity("made-up", "2", "e" * 64)
    add(log, Gap(other, None, START, START, "full", lost=99))
    lost = lost_rows(log, WHO, START, START + 60 * MINUTE)
    assert {source: each.lost for source, each in lost.items()} == {"": 10, "line 1": 4}
    assert TimeRange(WHO, START, START + 60 * MINUTE).period(log).lost == 14
    assert sum(each.lost for each in lost_rows(log, WHO, None, None).values()) == 31
    assert late_ranges(log, WHO, START, START + 60 * MINUTE) == [
        (None, START + 20 * MINUTE, START + 20.5 * MINUTE)
    ]


def test_the_words_say_how_many_of_how_many_from_when_to_when_and_why() -> None:
    lost = {"": gap(130, 300), "line 1": gap(144, 12, source="line 1", why="slow")}
    assert gap_words(lost, 3688) == (
        "312 of about 4,000 rows of line 1 were lost from 10:10 to 10:25 UTC (full; slow)"
    )
    days = {"": gap(0, 1).joined(gap(24 * 60, 1))}
    assert "from 2026-01-05 08:00 to 2026-01-06 08:01 UTC" in gap_words(days, 0)


def test_gaps_of_purged_times_go_with_the_rows(log: InferenceLog) -> None:
    log.append(make_predictions(np.random.default_rng(0), 120))
    add(log, gap(0, 1), gap(0.75, 2), gap(30, 4))
    assert log.forget(START + MINUTE) == 60
    assert [each.lost for each in list_gaps(log)] == [2, 4]


def test_what_is_lost_in_shadow_is_not_missing_in_production(log: InferenceLog) -> None:
    add(log, replace(gap(0, lost=5), route="shadow"), gap(1, lost=2), replace(gap(2, lost=1), route="canary"))
    add(log, replace(gap(3, late=4), route="shadow"))
    assert sum(each.lost for each in lost_rows(log, WHO, None, None).values()) == 3
    assert late_ranges(log, WHO, START, START + 60 * MINUTE) == []
    assert TimeRange(WHO, START, START + 60 * MINUTE).period(log).lost == 3
    assert sorted(each.route for each in list_gaps(log)) == ["canary", "champion", "shadow", "shadow"]
