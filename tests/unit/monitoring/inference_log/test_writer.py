"""The writer in one process, on real SQLite files: all is there once, or counted as lost."""

import errno
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from resnet_ops.errors import ConfigError, DataError
from resnet_ops_monitoring.inference_log.client import delivery
from resnet_ops_monitoring.inference_log.client.segments import read_segment
from resnet_ops_monitoring.inference_log.client.writer import Writer, open_writer
from resnet_ops_monitoring.inference_log.client.writer_metrics import export_metrics
from tests.unit.monitoring.inference_log.writing import (
    CLASSES,
    DIGEST,
    SMALL,
    answer,
    away,
    eventually,
    gaps_of,
    locked,
    logged,
    record,
    segments,
    writer_of,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_three_lines_log_an_answer_exactly(tmp_path: Path) -> None:
    probabilities, embedding, statistics = answer(1)
    with writer_of(tmp_path) as log:
        more: dict[str, Any] = {"request_id": "a", "time": NOON, "source": "Gerät 1", "latency_ms": 1.25}
        assert log.record(probabilities, embedding, statistics, **more, label="7")
    row = logged(tmp_path).iloc[0]
    assert np.asarray(row["probabilities"], "<f4").tobytes() == probabilities.tobytes()
    assert np.asarray(row["embedding"], "<f4").tobytes() == embedding.tobytes()
    assert {name: row[name] for name in statistics} == statistics
    assert row["time"].to_pydatetime() == NOON
    assert (row["source"], row["label"], row["latency_ms"], row["window"]) == ("Gerät 1", "7", 1.25, None)
    assert segments(tmp_path) == []


def test_a_server_that_logs_loads_no_framework() -> None:
    heavy = ("torch", "mlflow", "evidently", "great_expectations", "pandas", "pyarrow", "sklearn", "scipy")
    code = (
        f"from resnet_ops_monitoring import open_writer; import sys; print({{*{heavy}}} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_url_that_is_none_and_a_name_that_cannot_be_held_are_said_at_once(tmp_path: Path) -> None:
    about: dict[str, Any] = {"model": "m", "version": "1", "digest": DIGEST, "classes": CLASSES}
    with pytest.raises(ConfigError, match="not a database URL"):
        open_writer("var/log.db", **about)
    with pytest.raises(ConfigError, match="No driver for nonsense"):
        open_writer("nonsense://host/log", **about)
    with pytest.raises(DataError, match="model is no text of 1 to 200 characters"):
        open_writer(f"sqlite:///{tmp_path}/log.db", **{**about, "model": ""})


def test_a_repeated_request_is_logged_once_and_one_with_another_answer_is_counted(tmp_path: Path) -> None:
    with writer_of(tmp_path) as log:
        for _ in range(2):
            assert record(log, 5, time=NOON) == 5
        eventually(lambda: log.stats().written == 5, "five rows are written")
        assert log.record(*answer(99), request_id="r-3", time=NOON)
        assert log.record(*answer(0), request_id="other", time=NOON)
        eventually(lambda: log.stats().written == 6, "the other row is written")
        assert log.stats().refused == 1
    assert len(logged(tmp_path)) == 6
    (gap,) = gaps_of(tmp_path)
    assert (gap.lost, gap.since, gap.reason) == (1, NOON, "its request id is in the log with another answer")


def test_bad_input_fails_no_request_and_leaves_a_gap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    probabilities, embedding, statistics = answer(0)
    with writer_of(tmp_path) as log:
        for _ in range(3):
            assert not log.record(probabilities[:2], embedding, statistics, source="line 1", time=NOON)
        assert not log.record(
            probabilities, embedding, statistics, time=datetime(2026, 1, 31), source="\ud800"
        )
        nameless: Any = np.array(["champion", "shadow"])
        assert not log.record(
            probabilities, embedding, statistics, route=nameless, source="line 1", time=NOON
        )
        assert log.record(probabilities, embedding, statistics)
        assert (log.stats().refused, log.stats().recorded) == (5, 1)
    told = [entry.message for entry in caplog.records if entry.levelname == "WARNING"]
    assert [text.partition("counted: ")[2] for text in told] == [
        "probabilities are 2 numbers, but the classes 4",
        "source holds half a character, which is no text",
        "route is none of champion, shadow, canary",
    ]
    assert [(gap.source, gap.lost) for gap in gaps_of(tmp_path)] == [("line 1", 4), (None, 1)]


def test_a_database_that_is_away_costs_no_row_and_no_request(tmp_path: Path) -> None:
    with writer_of(tmp_path) as log:
        assert record(log, 30, "before") == 30
        eventually(lambda: log.stats().written == 30 and not segments(tmp_path), "the first rows are written")
        before = log.stats().spilled
        with away(tmp_path):
            assert record(log, 300, "while") == 300
            eventually(lambda: log.stats().depth == 0, "rows are put by")
            assert log.stats().spilled == before + 300
            assert log.stats().oldest_seconds > 0
            assert segments(tmp_path)
        assert record(log, 30, "after") == 30
        eventually(lambda: log.stats().written == 360, "all rows are written")
        eventually(lambda: log.stats().disk_bytes == 0, "no segment is left")
        assert record(log, 1, "at last") == 1
    rows = logged(tmp_path)
    assert len(rows) == rows["request_id"].nunique() == 361
    assert gaps_of(tmp_path) == []


def test_rows_leave_the_memory_while_the_database_hangs(tmp_path: Path) -> None:
    with writer_of(tmp_path) as log:
        assert record(log, 5, "before") == 5
        eventually(lambda: log.stats().written == 5 and not segments(tmp_path), "the first rows are written")
        with locked(tmp_path):
            assert record(log, 200, "while") == 200
            eventually(lambda: log.stats().depth == 0, "rows are put by")
            assert log.stats().written == 5
            kept = [content for path in segments(tmp_path) for content in read_segment(path).records]
            assert len(kept) == 200
        eventually(lambda: log.stats().written == 205, "all rows are written")
    rows = logged(tmp_path)
    assert len(rows) == rows["request_id"].nunique() == 205


def test_a_database_that_is_away_from_the_start_is_made_later(tmp_path: Path) -> None:
    with away(tmp_path):
        log = writer_of(tmp_path)
        assert record(log, 10) == 10
        log.close()
        assert len(segments(tmp_path)) == 1
    with writer_of(tmp_path) as log:
        eventually(lambda: log.stats().written == 10, "what the last writer left is written")
    assert len(logged(tmp_path)) == 10
    assert segments(tmp_path) == []


def full_disk(monkeypatch: pytest.MonkeyPatch, *, full: list[bool]) -> None:
    """Writes to segments fail at the lowest level while `full` holds True."""
    write = os.write

    def refuse(file: int, content: Any) -> int:
        if full[0] and Path(f"/proc/self/fd/{file}").readlink().suffix == ".segment":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, content)

    monkeypatch.setattr(os, "write", refuse)


def test_a_full_disk_costs_nothing_while_the_database_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_disk(monkeypatch, full=[True])
    with writer_of(tmp_path) as log:
        assert record(log, 500) == 500
        eventually(lambda: log.stats().written == 500, "all rows are written")
        assert log.stats().spilled == 0
    assert len(logged(tmp_path)) == 500


@pytest.mark.parametrize("how", ["full", "capped"])
def test_without_database_and_disk_memory_is_bounded_and_what_is_dropped_is_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    full = [how == "full"]
    full_disk(monkeypatch, full=full)
    room = 3000 if how == "capped" else SMALL.disk_bytes
    limits = delivery.Limits(**{**vars(SMALL), "disk_bytes": room})
    log = writer_of(tmp_path, limits=limits)
    with away(tmp_path):
        taken = 0
        for burst in range(30):
            taken += record(log, 20, f"b{burst}", time=NOON, source="line 1")
            stats = log.stats()
            assert stats.depth <= limits.rows
            assert stats.depth_bytes <= limits.bytes
            assert stats.disk_bytes <= limits.disk_bytes + 3000  # gaps go beyond it
        # however fast rows come, there is a time from which on the writer knows why they find no place
        eventually(lambda: trouble_of(log) != "", "the disk takes no more")
        for burst in range(30):
            taken += record(log, 20, f"late{burst}", time=NOON, source="line 1")
        assert (log.stats().recorded, log.stats().dropped) == (taken, 1200 - taken)
        assert taken < 600
        full[0] = False
    eventually(lambda: log.stats().written == taken, "what was taken is written")
    assert record(log, 10, "after", time=NOON) == 10
    log.close()
    rows = logged(tmp_path)
    assert len(rows) == rows["request_id"].nunique() == taken + 10
    found = gaps_of(tmp_path)
    assert sum(gap.lost for gap in found) == 1200 - taken
    assert {gap.source for gap in found} == {"line 1"}
    reasons = " ".join(gap.reason for gap in found)
    assert ("No space left on device" if how == "full" else "segments hold 3,000 bytes") in reasons


def test_bytes_are_bounded_as_rows_are(tmp_path: Path) -> None:
    limits = delivery.Limits(**{**vars(SMALL), "rows": 10_000, "bytes": 2000, "disk_bytes": 0})
    with away(tmp_path):
        log = writer_of(tmp_path, limits=limits)
        taken = record(log, 200)
        assert 0 < log.stats().depth_bytes <= 2000
        assert taken == log.stats().depth == log.stats().recorded
    eventually(lambda: log.stats().written == taken, "what was taken is written")
    log.close()


def test_a_process_that_ends_while_nothing_takes_its_rows_ends_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = delivery.Limits(**{**vars(SMALL), "disk_bytes": 0})
    with away(tmp_path):
        log = writer_of(tmp_path, limits=limits)
        assert record(log, 20) == 20
        log.close(patience=0.5)
    assert "20 rows and 0 gaps are lost to the inference log, since their process ends" in caplog.text


def test_nothing_is_recorded_after_closing_and_closing_twice_does_no_harm(tmp_path: Path) -> None:
    log = writer_of(tmp_path)
    assert record(log, 3) == 3
    log.close()
    assert record(log, 3, "late") == 0
    log.close()
    assert log.stats().dropped == 3
    assert len(logged(tmp_path)) == 3


def test_closing_with_a_hanging_database_puts_by_and_the_next_writer_brings_it(tmp_path: Path) -> None:
    log = writer_of(tmp_path)
    assert record(log, 5, "before") == 5
    eventually(lambda: log.stats().written == 5 and not segments(tmp_path), "the first rows are written")
    with locked(tmp_path):
        assert record(log, 50, "while") == 50
        log.close(patience=0.5)
        assert len(segments(tmp_path)) == 1
    with writer_of(tmp_path) as log:
        eventually(lambda: segments(tmp_path) == [], "the segment is taken over")
    rows = logged(tmp_path)
    assert len(rows) == rows["request_id"].nunique() == 55


def test_two_writers_and_many_threads_log_at_once(tmp_path: Path) -> None:
    writers = [writer_of(tmp_path, limits=SMALL) for _ in range(2)]
    taken: list[str] = []

    def serve(number: int) -> None:
        for i in range(100):
            name = f"{number}-{i}"
            while not writers[number % 2].record(*answer(i), request_id=name):
                threading.Event().wait(0.01)
            taken.append(name)

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in writers:
        log.close()
    with writer_of(tmp_path) as log:
        eventually(lambda: segments(tmp_path) == [], "all segments are written")
    rows = logged(tmp_path)
    assert len(rows) == rows["request_id"].nunique() == 600
    assert {*rows["request_id"]} == {*taken}


def trouble_of(log: Writer) -> str:
    """Why rows find no place now."""
    assert log._delivery is not None
    return log._delivery.trouble


def test_prometheus_reads_the_numbers(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with writer_of(tmp_path) as log:
        export_metrics(log, registry)
        assert record(log, 4) == 4
        eventually(lambda: log.stats().written == 4 and log.stats().depth == 0, "rows are written")
        who = {"model": "made-up", "version": "1"}
        for name, value in (("recorded_total", 4), ("written_total", 4), ("dropped_total", 0), ("depth", 0)):
            assert registry.get_sample_value(f"resnet_ops_inference_log_{name}", who) == value
        delay = registry.get_sample_value("resnet_ops_inference_log_delay_seconds", who)
        assert delay is not None
        assert delay > 0
