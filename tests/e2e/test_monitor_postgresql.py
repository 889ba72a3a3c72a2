"""The monitor's own questions to an inference log on PostgreSQL: validation, kept hours, verdicts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest

from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.reference import build_reference
from resnet_ops_monitoring.drift.time_ranges import judge_time_range
from resnet_ops_monitoring.inference_log.client.writer import open_writer
from resnet_ops_monitoring.inference_log.gaps import Gap, add_gaps, list_gaps
from resnet_ops_monitoring.inference_log.hour_summaries import kept_summaries
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.time_range import Period, TimeRange
from resnet_ops_monitoring.service.history import VerdictHistory
from resnet_ops_monitoring.settings.service import ValidationParams
from resnet_ops_monitoring.validation.window_checks import check_window, failures
from tests.attacks.servers import new_database, postgresql, postgresql_missing
from tests.unit.monitoring.conftest import PARAMS, make_predictions
from tests.unit.monitoring.inference_log.old_log import make_old_log
from tests.unit.monitoring.inference_log.test_revisions import (
    ORIGINS,
    check_migrated,
    killed_at,
    old_frame,
    open_at_once,
)
from tests.unit.monitoring.inference_log.writing import CLASSES as ANSWERS
from tests.unit.monitoring.inference_log.writing import answer, eventually, record

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(postgresql_missing() is not None, reason=postgresql_missing() or ""),
]

CLASSES = tuple("0123456789")
MODEL = ModelIdentity("made-up", "1", "d" * 64)
SINCE, HOUR = datetime(2026, 1, 5, 8, tzinfo=UTC), timedelta(hours=1)
STRETCH = TimeRange(MODEL, SINCE, SINCE + HOUR)
RULES = ValidationParams(max_rows=1000, sum_tolerance=0.001, clock_allowance_seconds=60, max_repeated=0.2)


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with postgresql() as found:
        yield found


@pytest.fixture
def log(uri: str, request: pytest.FixtureRequest) -> Iterator[InferenceLog]:
    opened = InferenceLog(new_database(uri, request.node.name[:60]))
    opened.append(frame(200))
    yield opened
    opened.close()


def frame(rows: int, seed: int = 0) -> pd.DataFrame:
    made = make_predictions(np.random.default_rng(seed), rows)
    return made.assign(contrast=made["contrast"] / 2.5)


def test_a_version_1_log_is_brought_up_to_date_by_one_of_many_and_loses_nothing(uri: str) -> None:
    reference = build_reference(frame(400, 2), MODEL, CLASSES, rows=400, seed=0)
    url = new_database(uri, "version_1")
    make_old_log(url, old_frame(), ORIGINS)
    assert open_at_once(url, 4) == ["300"] * 4
    check_migrated(url, reference)


def test_kill_9_while_a_log_is_brought_up_to_date_leaves_the_old_one(uri: str) -> None:
    for statement in (8, 16, 24):
        url = new_database(uri, f"killed_{statement}")
        make_old_log(url, old_frame(), ORIGINS)
        assert killed_at(url, statement)
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT max(version) FROM inference_log_schema").fetchone() == (1,)
            assert connection.execute("SELECT count(label) FROM inferences").fetchone() == (100,)
        check_migrated(url, build_reference(frame(400, 2), MODEL, CLASSES, rows=400, seed=0))


def test_what_somebody_was_given_takes_the_place_of_the_same_answer_in_shadow(log: InferenceLog) -> None:
    later = frame(200).assign(digest="e" * 64, version="2")
    assert log.append(later.assign(route="shadow")) == 200
    assert log.append(later[:50].assign(route="canary")) == 50
    assert log.append(later.assign(route="shadow")) == 0
    found = {
        route: len(log.read("made-up", digest="e" * 64, routes=(route,))) for route in ("shadow", "canary")
    }
    assert found == {"shadow": 150, "canary": 50}
    with log.transaction("write to") as connection:
        add_gaps(connection, [Gap(MODEL, None, SINCE, SINCE, "full", lost=5, route="shadow")])
    assert STRETCH.period(log).lost == 0


def test_many_rows_come_once_and_as_they_are_whether_or_not_there_are_repeats_among_them(
    log: InferenceLog,
) -> None:
    rows = frame(900, 1).assign(digest="e" * 64, version="2", latency_ms=None)
    rows.loc[:2, "brightness"] = [np.nan, np.inf, -np.inf]
    rows.loc[0, "source"] = "größer 📷"
    for some, new in (
        (rows[:300], 300),
        (rows[:400], 100),
        (rows[:250], 0),
        (rows[400:650], 250),
        (rows[650:], 250),
    ):
        assert log.append(some) == new
    found = log.read("made-up", digest="e" * 64)
    assert [*found["request_id"]] == [*rows["request_id"]]
    assert [*found["time"]] == [*rows["time"]]
    assert found["source"][0] == "größer 📷"
    assert found["latency_ms"].isna().all()
    np.testing.assert_array_equal(found["brightness"], rows["brightness"].astype(float))
    for name in ("embedding", "probabilities"):
        np.testing.assert_array_equal(
            np.stack(found[name].tolist()), np.stack(rows[name].tolist()).astype("<f4")
        )
    with pytest.raises(DataError, match="another probabilities"):
        log.append(rows.assign(probabilities=rows["probabilities"].to_numpy()[::-1]))
    assert len(log.read("made-up", digest="e" * 64)) == 900


def test_a_program_of_before_can_write_nothing_into_a_new_log(uri: str) -> None:
    url = new_database(uri, "newer")
    InferenceLog(url).close()
    with psycopg.connect(url) as connection, pytest.raises(psycopg.ProgrammingError):
        connection.execute(
            "INSERT INTO inferences (request_id, time, model, version, digest, embedding, probabilities, predicted)"
            " VALUES ('x', now(), 'm', '1', 'd', '', '', '7') ON CONFLICT (request_id) DO NOTHING"
        )


def said(log: InferenceLog) -> str:
    return failures(check_window(log, STRETCH, CLASSES, {"1": "d" * 64}, RULES, SINCE + HOUR))


def test_many_can_begin_the_same_log_at_once(uri: str) -> None:
    url, barrier = new_database(uri, "beginning"), Barrier(6)

    def begin(_: int) -> None:
        barrier.wait()
        InferenceLog(url).close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(begin, range(6)))


def test_postgresql_is_asked_the_same_about_a_window(log: InferenceLog) -> None:
    assert said(log) == ""
    log.append(
        frame(60, 1).assign(
            request_id=[f"x{i}" for i in range(60)], brightness=5.0, version="9", predicted="?"
        )
    )
    words = said(log)
    for problem in (
        "60 rows, for example v9",
        "brightness between 0 and 1: 60 rows",
        "clock of a source never back",
    ):
        assert problem in words


def test_hours_and_verdicts_are_kept_in_postgresql(log: InferenceLog) -> None:
    reference = build_reference(frame(400, 2), MODEL, CLASSES, rows=400, seed=0)
    verdicts = [
        judge_time_range(log, reference, PARAMS, name="w", start=SINCE, end=SINCE + HOUR).verdict
        for _ in range(2)
    ]
    assert verdicts[0] == verdicts[1]
    assert verdicts[0].rows == 200
    assert kept_summaries(log, MODEL.digest, SINCE, reference.schema.digest)
    history, period = VerdictHistory(log), Period(SINCE, SINCE + HOUR, 200, 200)
    for _ in range(2):
        history.add(verdicts[0], link="#", period=period)
    assert history.recent(MODEL) == [verdicts[0]]
    assert history.periods(MODEL, limit=9) == [period] == [STRETCH.period(log)]
    assert history.beside(MODEL, SINCE) == []


def test_a_gap_of_late_rows_excuses_their_order_of_arrival(log: InferenceLog) -> None:
    late = frame(60, 3).assign(
        request_id=[f"late{i}" for i in range(60)],
        time=pd.date_range(SINCE, periods=60, freq="s"),
        source="it's: late",
    )
    newer = late.assign(request_id=[f"x{i}" for i in range(60)], time=late["time"] + timedelta(minutes=20))
    log.append(newer.assign(brightness=late["brightness"] / 2))
    log.append(late)
    assert "clock of a source never back" in said(log)
    with log.transaction("write to") as connection:
        until = SINCE + timedelta(minutes=1)
        add_gaps(connection, [Gap(MODEL, "it's: late", SINCE, until, "waited", late=60)])
    assert said(log) == ""


def let_in(uri: str, name: str, allowed: bool) -> None:
    """Whether the server takes connections to a database; those that are there end."""
    with psycopg.connect(f"{uri}/postgres", autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {str(allowed).lower()}')
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )


def test_the_writer_loses_nothing_while_postgresql_is_away_and_brings_nothing_twice(
    uri: str, tmp_path: Path
) -> None:
    url = new_database(uri, "written")
    about: dict[str, Any] = {"model": "made-up", "version": "1", "digest": "d" * 64, "classes": ANSWERS}
    with open_writer(url, **about, folder=tmp_path) as log:
        assert record(log, 50, "before", source="größer") == 50
        eventually(lambda: log.stats().written == 50 and not log.stats().disk_bytes, "rows are written")
        before = log.stats().spilled
        let_in(uri, "written", False)
        assert record(log, 500, "while") == 500
        eventually(lambda: log.stats().depth == 0, "rows are put by")
        assert log.stats().spilled == before + 500
        let_in(uri, "written", True)
        eventually(lambda: log.stats().written == 550, "all rows are written")
        assert record(log, 50, "before", source="größer", time=SINCE) == 50  # asked again, answered the same
        for i in range(50):
            assert log.record(*answer(1000 + i), request_id=f"before-{i}", source="größer", time=SINCE)
        assert log.record(*answer(1), request_id="x" * 200, source="y" * 200)
        eventually(lambda: log.stats().written == 551, "the last row is written")
    opened = InferenceLog(url)
    rows = opened.read("made-up")
    assert len(rows) == rows["request_id"].nunique() == 551
    first = rows[rows["request_id"] == "before-1"].iloc[0]
    probabilities, embedding, statistics = answer(1)
    assert np.asarray(first["probabilities"], "<f4").tobytes() == probabilities.tobytes()
    assert np.asarray(first["embedding"], "<f4").tobytes() == embedding.tobytes()
    assert {name: first[name] for name in statistics} == statistics
    assert [(gap.lost, gap.reason) for gap in list_gaps(opened)] == [
        (50, "its request id is in the log with another answer")
    ]
    opened.close()


def test_a_text_that_a_database_has_no_letters_for_stops_no_other_row(uri: str, tmp_path: Path) -> None:
    with psycopg.connect(f"{uri}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
    about: dict[str, Any] = {"model": "made-up", "version": "1", "digest": "d" * 64, "classes": ANSWERS}
    with open_writer(f"{uri}/latin", **about, folder=tmp_path) as log:
        for number, source in enumerate(("größer", "猫", "cam")):
            assert log.record(*answer(number), request_id=f"r-{number}", source=source)
        eventually(lambda: log.stats().written == 2, "the others are written")
        assert log.stats().refused == 1
    opened = InferenceLog(f"{uri}/latin")
    assert [*opened.read("made-up")["source"]] == ["größer", "cam"]
    opened.close()
