"""Exported hours, summarised anywhere, come to the same numbers as the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.partitions import export_log, frame_of, summarise_partitions
from resnet_ops_monitoring.drift.reference import Reference, build_reference
from resnet_ops_monitoring.drift.time_ranges import summarise_time_range
from resnet_ops_monitoring.inference_log.frames import COLUMNS, LOGGED
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.summary import summarise

Frames = Callable[..., pd.DataFrame]
NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture
def log(made_up: Frames, tmp_path: Path) -> InferenceLog:
    """Three hours of traffic; ten rows are of another version."""
    frame = made_up(np.random.default_rng(1), 500)
    frame["time"] = pd.Timestamp("2026-01-05T08:30Z") + pd.to_timedelta(np.arange(500) * 20, unit="s")
    frame.loc[:9, ["version", "digest"]] = ["2", "e" * 64]
    log = InferenceLog(f"sqlite:///{tmp_path}/inference.db")
    log.append(frame)
    return log


@pytest.fixture
def reference(made_up: Frames) -> Reference:
    identity = ModelIdentity("made-up", "1", "d" * 64)
    return build_reference(
        made_up(np.random.default_rng(0), 300), identity, tuple("0123456789"), rows=100, seed=0
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_exported_hours_come_to_the_same_numbers_by_any_number_of_processes(
    log: InferenceLog, reference: Reference, params: DriftParams, tmp_path: Path, workers: int
) -> None:
    export_log(log, tmp_path / "export", "made-up", start=None, end=None)
    found = summarise_partitions(tmp_path / "export", reference.schema, workers)
    assert found.rows == 490
    assert found == summarise(log.read("made-up", version="1"), reference.schema)
    assert found == summarise_time_range(log, reference.schema, params, start=NINE - timedelta(hours=1)).whole


def test_an_export_is_one_file_an_hour_and_a_repeat_changes_nothing(
    log: InferenceLog, tmp_path: Path
) -> None:
    written = export_log(log, tmp_path, "made-up", start=NINE, end=NINE + timedelta(minutes=90))
    assert [str(path.relative_to(tmp_path)) for path in written] == [
        "hour=2026-01-05T09Z/rows.parquet",
        "hour=2026-01-05T10Z/rows.parquet",
    ]
    assert sum(written.values()) == 270
    first = pd.read_parquet(next(iter(written)))
    assert list(first.columns)[: len(LOGGED)] == list(LOGGED)
    assert export_log(log, tmp_path, "made-up", start=NINE, end=NINE + timedelta(minutes=90)) == written
    pd.testing.assert_frame_equal(pd.read_parquet(next(iter(written))), first)
    assert export_log(log, tmp_path, "nobody", start=None, end=None) == {}


def test_hours_are_those_of_utc_whatever_zone_the_times_have(log: InferenceLog, tmp_path: Path) -> None:
    start = (NINE - timedelta(minutes=15)).astimezone(ZoneInfo("Europe/Berlin"))
    written = export_log(log, tmp_path, "made-up", start=start, end=start + timedelta(hours=1))
    assert [path.parent.name for path in written] == ["hour=2026-01-05T08Z", "hour=2026-01-05T09Z"]
    assert sum(len(pd.read_parquet(path)) for path in written) == sum(written.values()) == 180


def test_an_exported_row_is_the_logged_row(log: InferenceLog, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    (path,) = export_log(log, tmp_path, "made-up", start=NINE, end=NINE + timedelta(hours=1))
    back = frame_of(pq.ParquetFile(path).read())
    logged = log.read("made-up", start=NINE, end=NINE + timedelta(hours=1))
    for name in COLUMNS:
        assert all(map(np.array_equal, back[name], logged[name])), name
    assert len(frame_of(pq.ParquetFile(path).read().slice(0, 0))) == 0


@pytest.mark.slow
def test_no_export_and_damaged_files_are_said(
    log: InferenceLog, reference: Reference, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"resnet-ops log export"):
        summarise_partitions(tmp_path, reference.schema, 1)
    (path,) = export_log(log, tmp_path, "made-up", start=NINE, end=NINE + timedelta(hours=1))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="not a readable export"):
        summarise_partitions(tmp_path, reference.schema, 1)
