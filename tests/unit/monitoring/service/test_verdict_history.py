"""Verdicts beside the log: kept once, in order, and found again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from resnet_ops_monitoring.drift.verdict import Status, Verdict
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.time_range import Period
from resnet_ops_monitoring.service.history import VerdictHistory
from resnet_ops_monitoring.statistics.accuracy import Accuracy

MODEL = ModelIdentity("digits-classifier", "3", "d" * 64)
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def made(hour: int, status: Status = "ok", identity: ModelIdentity = MODEL) -> Verdict:
    return Verdict(
        window=f"hour-{hour:02}",
        identity=identity,
        status=status,
        input_drift=False,
        reason="As made.",
        rows=100,
        unusable=0,
        start=START + timedelta(hours=hour),
        end=START + timedelta(hours=hour + 1, microseconds=-1),
        reference_rows=500,
        reference_accuracy=Accuracy(0.9, 500, 0.87, 0.92),
        estimated_accuracy=None,
        real_accuracy=None,
        findings=(),
    )


@pytest.fixture
def history(project: Path) -> VerdictHistory:
    return VerdictHistory(InferenceLog.open())


def test_verdicts_come_back_oldest_first_in_whatever_order_they_were_added(history: VerdictHistory) -> None:
    for hour in (2, 0, 1):
        history.add(made(hour))
    assert [each.window for each in history.recent(MODEL)] == ["hour-00", "hour-01", "hour-02"]
    assert history.recent(MODEL)[0] == made(0)
    assert [each.window for each in history.recent(MODEL, limit=2)] == ["hour-01", "hour-02"]
    before = history.recent(MODEL, before=START + timedelta(hours=2))
    assert [each.window for each in before] == ["hour-00", "hour-01"]


def test_a_window_that_is_judged_again_replaces_its_verdict(history: VerdictHistory) -> None:
    history.add(made(0), link="#/old")
    history.add(made(0, "alarm"), link="#/new")
    history.add(made(0, "alarm"), link="#/new")
    assert [each.status for each in history.recent(MODEL)] == ["alarm"]
    assert history.link(MODEL, "hour-00") == "#/new"


def test_other_files_under_the_same_version_have_a_history_of_their_own(history: VerdictHistory) -> None:
    other = replace(MODEL, digest="e" * 64)
    history.add(made(0))
    history.add(made(0, "alarm", other))
    assert [each.status for each in history.recent(MODEL)] == ["ok"]
    assert [each.status for each in history.recent(other)] == ["alarm"]


def test_where_the_next_window_begins_is_known_from_periodic_windows_alone(history: VerdictHistory) -> None:
    assert history.judged_until(MODEL) is None
    first = Period(START, START + timedelta(hours=1), 100, 7)
    history.add(made(0), period=first)
    history.add(made(7))
    assert history.periods(MODEL, limit=5) == [first]
    assert history.judged_until(MODEL) == START + timedelta(hours=1)


def test_a_window_without_rows_stands_where_it_ended(history: VerdictHistory) -> None:
    empty = replace(made(1, "insufficient data"), start=None, end=None)
    history.add(empty, period=Period(START + timedelta(hours=1), START + timedelta(hours=2), 0, 0))
    history.add(made(2))
    assert [each.status for each in history.recent(MODEL)] == ["insufficient data", "ok"]


def test_the_logs_own_tables_and_schema_version_stay_as_they_are(history: VerdictHistory) -> None:
    history.add(made(0))
    log = InferenceLog.open()  # would refuse another schema version
    assert log.summary().empty
    assert VerdictHistory(log).recent(MODEL) == [made(0)]


def test_a_verdict_of_an_earlier_release_that_says_watch_is_a_warning(project: Path) -> None:
    log = InferenceLog.open()
    history = VerdictHistory(log)
    history.add(made(0, "warning"), link="")
    with log.transaction("write to") as connection:
        connection.execute(text("""UPDATE verdicts SET verdict = replace(verdict, '"warning"', '"watch"')"""))
        assert '"watch"' in str(connection.execute(text("SELECT verdict FROM verdicts")).scalar())
    assert [each.status for each in history.recent(MODEL)] == ["warning"]
