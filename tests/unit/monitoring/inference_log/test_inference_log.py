"""The inference log, on real SQLite files."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from resnet_ops.errors import ConfigError, DataError, ServiceError, StorageError
from resnet_ops_monitoring.inference_log.frames import LOGGED, matrix
from resnet_ops_monitoring.inference_log.hour_summaries import keep_summary, kept_summaries
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import Count, InferenceLog
from tests.unit.monitoring.inference_log.writing import label

Frames = Callable[..., pd.DataFrame]


@pytest.fixture
def log(tmp_path: Path) -> InferenceLog:
    return InferenceLog(f"sqlite:///{tmp_path}/deep/inference.db")


@pytest.fixture
def frame(made_up: Frames) -> pd.DataFrame:
    return made_up(np.random.default_rng(0), 30)


def test_what_is_appended_is_read_back_to_the_bit(log: InferenceLog, frame: pd.DataFrame) -> None:
    assert log.append(frame) == 30
    back = log.read("made-up", window="w")
    assert list(back.columns) == list(LOGGED)
    for name in ("embedding", "probabilities"):
        np.testing.assert_array_equal(matrix(back, name), matrix(frame, name))
    assert list(back["time"]) == list(frame["time"])
    np.testing.assert_array_equal(back["brightness"], frame["brightness"])


def test_a_repeated_append_adds_nothing(log: InferenceLog, frame: pd.DataFrame) -> None:
    log.append(frame.iloc[:10])
    assert log.append(frame.assign(latency_ms=99.0)) == 20
    assert log.append(frame) == 0
    assert len(log.read("made-up")) == 30


def test_an_answer_that_is_sent_again_later_adds_nothing(log: InferenceLog, frame: pd.DataFrame) -> None:
    frame = frame.assign(window=None)
    log.append(frame)
    later = frame.assign(time=frame["time"] + pd.Timedelta(minutes=1), source="camera 7")
    assert log.append(later) == 0
    assert list(log.read("made-up")["time"]) == list(frame["time"])


@pytest.mark.parametrize("change", [{"version": "2"}, {"brightness": 0.9}, {"source": "camera 7"}])
def test_other_content_under_a_known_id_is_refused_and_nothing_is_added(
    log: InferenceLog, frame: pd.DataFrame, change: dict[str, Any]
) -> None:
    log.append(frame.iloc[:1])
    with pytest.raises(DataError, match=f"'r0' is already in the log .* another {next(iter(change))}"):
        log.append(frame.assign(**change))
    assert len(log.read("made-up")) == 1


def test_an_id_twice_in_one_frame_is_refused(log: InferenceLog, frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="'r0' occurs twice"):
        log.append(pd.concat([frame, frame.iloc[:1]]))


def test_a_stretch_of_time_holds_its_start_and_not_its_end(log: InferenceLog, frame: pd.DataFrame) -> None:
    log.append(frame)
    start, end = datetime(2026, 1, 5, 8, 0, 5, tzinfo=UTC), datetime(2026, 1, 5, 8, 0, 9, tzinfo=UTC)
    assert list(log.read("made-up", start=start, end=end)["request_id"]) == ["r5", "r6", "r7", "r8"]


def test_a_time_without_zone_is_refused(log: InferenceLog) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        log.read("made-up", start=datetime(2026, 1, 5))


def test_rows_of_other_models_versions_and_files_stay_out(log: InferenceLog, frame: pd.DataFrame) -> None:
    log.append(frame)
    assert len(log.read("other")) == 0
    assert len(log.read("made-up", version="2")) == 0
    assert len(log.read("made-up", digest="e" * 64)) == 0
    assert list(log.read("other").columns) == list(LOGGED)


def test_labels_come_later_and_a_repeat_changes_none(log: InferenceLog, frame: pd.DataFrame) -> None:
    log.append(frame.assign(label=None))
    assert log.read("made-up")["label"].isna().all()
    assert label(log, ["r1", "r2"], ["7", "8"]) == 2
    assert label(log, ["r1", "r2"], ["7", "9"]) == 1
    assert list(log.read("made-up")["label"][:4]) == [None, "7", "9", None]
    assert log.append(frame.assign(label=None)) == 0


def test_labels_that_are_no_class_of_the_model_are_refused_and_counted(
    log: InferenceLog, frame: pd.DataFrame
) -> None:
    classes = ["NA", "EU", "7", "a "]
    rows: Any = list(np.full((len(frame), len(classes)), 0.25, np.float32))
    answers = [classes[row % len(classes)] for row in range(len(frame))]
    log.append(frame.assign(label=None, predicted=answers, probabilities=rows))
    with pytest.raises(DataError, match=r"3 of 4 labels .*: 'eu' \(2 times\), '9\.0' \(1 times\)"):
        label(log, ["r1", "r2", "r3", "r4"], ["eu", "NA", "eu", "9.0"])
    assert log.read("made-up")["label"].isna().all()
    assert label(log, ["r1", "r2", "r3"], ["7.0", " NA ", "a"]) == 3
    assert list(log.read("made-up")["label"][1:4]) == ["7", "NA", "a "]


def test_classes_that_were_never_answered_are_asked_for(log: InferenceLog, frame: pd.DataFrame) -> None:
    log.append(frame.assign(label=None, predicted="7"))
    asked = []

    def classes_of(identity: ModelIdentity) -> tuple[str, ...]:
        asked.append(str(identity))
        return ("7", "8")

    assert label(log, ["r1"], ["7"], classes_of=classes_of) == 1
    assert asked == []
    assert label(log, ["r2"], ["8"], classes_of=classes_of) == 1
    assert asked == ["made-up v1"]
    with pytest.raises(DataError, match=r"1 of 1 labels .*'9' \(1 times\)\. .* 7, 8"):
        label(log, ["r3"], ["9"], classes_of=classes_of)


@pytest.mark.parametrize("kind", ["datetime", "text", "column"])
def test_times_without_a_zone_are_refused(log: InferenceLog, frame: pd.DataFrame, kind: str) -> None:
    naive = frame["time"].dt.tz_localize(None)
    times: dict[str, Any] = {
        "datetime": [*frame["time"][:-1], naive.iloc[-1].to_pydatetime()],
        "text": naive.astype(str),
        "column": naive,
    }
    with pytest.raises(DataError, match=r"of 30 times .* time zone, .* 2026-"):
        log.append(frame.assign(time=times[kind]))
    assert len(log.read("made-up")) == 0


def test_the_hour_that_comes_twice_in_autumn_is_two_hours(log: InferenceLog, frame: pd.DataFrame) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    twice = [datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold) for fold in (0, 1)]
    log.append(frame[:2].assign(time=pd.Series(twice, dtype=object)))
    assert [str(time) for time in log.read("made-up")["time"]] == [
        "2026-10-25 00:30:00+00:00",
        "2026-10-25 01:30:00+00:00",
    ]


def test_rows_of_every_year_that_a_sink_takes_are_read(log: InferenceLog, frame: pd.DataFrame) -> None:
    years: Any = np.array(["1970-01-02", "8999-12-31T23:59:59.999999"], "datetime64[us]")
    times = pd.Series(years).dt.tz_localize("UTC")
    log.append(frame[:2].assign(time=times))
    (streamed,) = log.stream("made-up")
    for back in (log.read("made-up"), streamed, log.rows_of(["r0", "r1"], "d" * 64)):
        assert list(back["time"]) == list(times)
    pd.testing.assert_frame_equal(log.read("nobody"), log.rows_of([], "d" * 64))


def test_an_unknown_id_labels_nothing(log: InferenceLog, frame: pd.DataFrame) -> None:
    log.append(frame.assign(label=None))
    with pytest.raises(DataError, match=r"1 of 2 request ids .* 'nobody'"):
        label(log, ["r1", "nobody"], ["7", "8"])
    assert log.read("made-up")["label"].isna().all()


def test_values_that_are_not_finite_survive(log: InferenceLog, frame: pd.DataFrame) -> None:
    nothing: Any = [np.full(8, np.nan, np.float32)] * 30
    broken = frame.assign(brightness=np.nan, embedding=nothing)
    log.append(broken)
    back = log.read("made-up")
    assert back["brightness"].isna().all()
    assert np.isnan(matrix(back, "embedding")).all()
    assert log.append(broken) == 0


def test_two_writers_of_the_same_rows_add_them_once(log: InferenceLog, frame: pd.DataFrame) -> None:
    added: list[int] = []
    writers = [
        threading.Thread(target=lambda: added.append(InferenceLog(str(log.url)).append(frame)))
        for _ in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(added) == [0, 0, 0, 30]
    assert len(log.read("made-up")) == 30


def test_the_summary_counts_rows_and_labels(log: InferenceLog, frame: pd.DataFrame) -> None:
    labels: Any = [None] * 10 + ["1"] * 20
    log.append(frame.assign(label=labels))
    row = log.summary().iloc[0]
    assert (row["rows"], row["labelled"], row["last"]) == (30, 20, frame["time"].max())


def test_a_read_only_log_can_be_read_and_says_why_not_written(
    log: InferenceLog, frame: pd.DataFrame, tmp_path: Path
) -> None:
    log.append(frame.iloc[:5])
    locked = InferenceLog(f"sqlite:///file:{tmp_path}/deep/inference.db?mode=ro&uri=true")
    assert len(locked.read("made-up")) == 5
    with pytest.raises(StorageError, match=r"Cannot write .*readonly.*writable"):
        locked.append(frame)


_FULL = """
import resource, sys
import numpy as np, pandas as pd
from resnet_ops.errors import StorageError
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
log, frame = InferenceLog(sys.argv[1]), pd.read_pickle(sys.argv[2])
log.append(frame.iloc[:5])
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    log.append(pd.concat([frame.assign(request_id=[f"{k}-{i}" for i in range(30)]) for k in range(30)]))
except StorageError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.mark.slow
def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, frame: pd.DataFrame) -> None:
    url = f"sqlite:///{tmp_path}/full.db"
    frame.to_pickle(tmp_path / "frame.pkl")
    done = subprocess.run(
        [sys.executable, "-c", _FULL, url, str(tmp_path / "frame.pkl")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Cannot write to" in done.stdout, done.stderr
    assert "Free some space" in done.stdout
    assert len(InferenceLog(url).read("made-up")) == 5


@pytest.mark.parametrize(
    "place", ["me:hush@127.0.0.1:1/log?", "me:a/hush@127.0.0.1:1/log?", "127.0.0.1:1/log?password=hush&"]
)
def test_a_database_that_does_not_answer_is_named_without_its_password(place: str) -> None:
    with pytest.raises(ServiceError, match=r"Cannot open .* postgresql") as caught:
        InferenceLog(f"postgresql://{place}connect_timeout=2")
    assert "hush" not in str(caught.value)
    assert "RESNET_OPS_INFERENCE_LOG" in str(caught.value)


def test_a_url_that_is_none_is_a_setting_error() -> None:
    with pytest.raises(ConfigError, match="RESNET_OPS_INFERENCE_LOG is not"):
        InferenceLog("var/inference.db")
    with pytest.raises(ConfigError, match="No driver for nonsense"):
        InferenceLog("nonsense://host/log")


@pytest.mark.slow
def test_many_can_begin_the_same_log_at_once(tmp_path: Path) -> None:
    for attempt in range(20):
        barrier, failed = threading.Barrier(6), list[Exception]()

        def begin(url: str, barrier: threading.Barrier = barrier, failed: list[Exception] = failed) -> None:
            barrier.wait()
            try:
                InferenceLog(url).close()
            except Exception as error:  # noqa: BLE001
                failed.append(error)

        url = f"sqlite:///{tmp_path}/{attempt}.db"
        threads = [threading.Thread(target=begin, args=(url,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        with sqlite3.connect(f"{tmp_path}/{attempt}.db") as connection:
            assert connection.execute("SELECT version FROM inference_log_schema").fetchall() == [(2,)]
        connection.close()


def test_a_log_of_the_future_is_refused_and_says_what_to_do(log: InferenceLog) -> None:
    with sqlite3.connect(str(log.url.database)) as connection:
        connection.execute("UPDATE inference_log_alembic_version SET version_num = '0009'")
    connection.close()
    with pytest.raises(
        StorageError, match=r"schema revision 0009, .* up to 0004\. Use the resnet-ops version"
    ):
        InferenceLog(str(log.url))


def test_what_is_forgotten_is_gone_with_what_was_kept_of_its_hours(
    log: InferenceLog, made_up: Frames
) -> None:
    rows = made_up(np.random.default_rng(0), 120)
    rows["time"] = pd.date_range("2026-01-05T08:00Z", periods=120, freq="min")
    log.append(rows)
    hours = [datetime(2026, 1, 5, hour, tzinfo=UTC) for hour in (8, 9)]
    for hour in hours:
        keep_summary(log, "d" * 64, hour, "r", "", Count(60, 60, 0, 0), b"summary")
    moment = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    assert log.count_before(moment) == 60
    assert log.forget(moment) == 60
    assert log.forget(moment) == 0
    assert list(log.read("made-up")["request_id"]) == list(rows["request_id"][60:])
    assert [len(kept_summaries(log, "d" * 64, hour, "r")) for hour in hours] == [0, 1]
    assert log.forget(datetime(2026, 1, 5, 9, 30, tzinfo=UTC)) == 30
    assert kept_summaries(log, "d" * 64, hours[1], "r") == {}


def test_forgetting_needs_a_time_zone(log: InferenceLog) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        log.forget(datetime(2026, 1, 5))
