"""Segments that a writer left, as the next one brings them to the log."""

import errno
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.appending import add_rows
from resnet_ops_monitoring.inference_log.client import delivery, destination, shipper
from resnet_ops_monitoring.inference_log.client.segments import Found, read_segment
from tests.unit.monitoring.inference_log.writing import (
    SMALL,
    away,
    eventually,
    gaps_of,
    logged,
    record,
    segments,
    writer_of,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def put_by(folder: Path, rows: int) -> Path:
    """A segment that a writer left."""
    with away(folder):
        log = writer_of(folder)
        assert record(log, rows, time=NOON, source="line 1") == rows
        log.close()
        (path,) = segments(folder)
    return path


@pytest.mark.parametrize("place", [30, 700, -1], ids=["first record", "in the middle", "last record"])
def test_of_a_damaged_segment_the_rest_is_replayed_and_the_damage_is_a_gap(
    tmp_path: Path, place: int
) -> None:
    path = put_by(tmp_path, 10)
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(bytes(content))
    with writer_of(tmp_path) as log:
        eventually(lambda: (log.stats().written, log.stats().damaged) == (9, 1), "the segment is written")
        eventually(lambda: segments(tmp_path) == [], "the segment goes")
    assert len(logged(tmp_path)) == 9
    (gap,) = gaps_of(tmp_path)
    assert (gap.lost, gap.source, gap.since, gap.reason) == (1, "line 1", NOON, "a segment is damaged")


def test_records_of_another_program_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = put_by(tmp_path, 3)
    from resnet_ops_monitoring.inference_log.client.segments import Segment

    other = Segment(path.with_name("0" * 17 + "-other.segment"))
    other.add([b"r", b"z12", b'g{"id": 1}'])
    other.close()
    with writer_of(tmp_path) as log:
        eventually(lambda: log.stats().written == 3, "the other segment is written")
        assert log.stats().damaged == 3
    assert "A record that was put by is left out" in caplog.text
    assert segments(tmp_path) == []


def test_a_row_that_the_database_never_takes_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(connection: Any, rows: Any) -> Any:
        if any(row.request_id == "r-7" for row in rows):
            raise DataError("value too long")
        return add_rows(connection, rows)

    monkeypatch.setattr(destination, "add_rows", picky)
    with writer_of(tmp_path) as log:
        assert record(log, 20, time=NOON) == 20
        eventually(lambda: log.stats().written == 19, "the others are written")
        assert log.stats().refused == 1
    (gap,) = gaps_of(tmp_path)
    assert (gap.lost, gap.reason) == (1, "the database refuses it")


class NoThread(threading.Thread):
    """When the interpreter ends, none starts."""

    def start(self) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")


@pytest.mark.parametrize("kind", [threading.Thread, NoThread])
def test_of_many_segments_one_that_cannot_be_read_stops_no_other_and_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[threading.Thread]
) -> None:
    with away(tmp_path), writer_of(tmp_path, limits=delivery.Limits(**{**vars(SMALL), "rows": 200})) as log:
        assert record(log, 200) == 200
    unreadable = segments(tmp_path)[1].name

    def read(path: Path) -> Found:
        if path.name == unreadable:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_segment(path)

    with monkeypatch.context() as patched:
        patched.setattr(shipper, "read_segment", read)
        patched.setattr(shipper, "Thread", kind)
        with writer_of(tmp_path) as log:
            eventually(lambda: len(segments(tmp_path)) == 1, "the others are written")
    assert [path.name for path in segments(tmp_path)] == [unreadable]
    there = len(logged(tmp_path))
    assert 100 < there < 200
    with writer_of(tmp_path) as log:
        eventually(lambda: log.stats().written == 200 - there, "the last segment is written")
    assert {*logged(tmp_path)["request_id"]} == {f"r-{i}" for i in range(200)}


@pytest.fixture
def soon_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipper, "_LATE", 0.0)


@pytest.mark.usefixtures("soon_late")
def test_rows_that_waited_long_are_marked_as_late(tmp_path: Path) -> None:
    put_by(tmp_path, 10)
    with writer_of(tmp_path) as log:
        eventually(lambda: log.stats().written == 10, "the segment is written")
    (gap,) = gaps_of(tmp_path)
    assert (gap.lost, gap.late, gap.source, gap.since, gap.until) == (0, 10, "line 1", NOON, NOON)
    assert gap.reason.startswith("waited until ")
