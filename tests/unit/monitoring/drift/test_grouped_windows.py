"""Rows of one patient or part are alike, so of each group one row is tested, and intervals count groups."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.grouped_alarms import judged
from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.detector import UNGROUPED, judge
from resnet_ops_monitoring.drift.partitions import export_log, summarise_partitions
from resnet_ops_monitoring.drift.reference import Reference, accept_window, build_reference, load_reference
from resnet_ops_monitoring.drift.time_ranges import judge_time_range
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.statistics.summary import load_summary, merge, summarise
from tests.unit.monitoring.conftest import PARAMS, make_predictions

WHO = ModelIdentity("made-up", "1", "d" * 64)
CLASSES = tuple("0123456789")


def frame(rows: int, groups: int | None, seed: int = 0) -> pd.DataFrame:
    """Rows of which each of the groups has as many; None for no groups."""
    made = make_predictions(np.random.default_rng(seed), rows).assign(window=None)
    return made if groups is None else made.assign(group=[f"p{row % groups}" for row in range(rows)])


def made_of(groups: int | None) -> Reference:
    return build_reference(frame(400, groups), WHO, CLASSES, rows=300, seed=0)


def test_one_row_of_each_group_is_kept_however_the_rows_were_split_up() -> None:
    rows, schema = frame(240, 30), made_of(40).schema
    whole = summarise(rows, schema)
    names = rows.set_index("request_id").loc[whole.reservoir.ids.tolist(), "group"]
    assert sorted(names) == sorted({*rows["group"]})
    assert (whole.rows, whole.independent, whole.worth) == (240, 30, 30 / 240)
    parts = np.random.default_rng(1).integers(0, 5, len(rows))
    assert merge(schema, [summarise(rows[parts == part], schema) for part in range(5)]) == whole
    few = replace(schema, rows=10)
    each = [summarise(rows[parts == part], few) for part in range(5)]
    assert merge(few, [merge(few, each[:2]), merge(few, each[2:])]) == summarise(rows, few)
    assert load_summary(whole.to_bytes()) == whole


def test_rows_without_a_group_are_summarised_to_the_bytes_of_before() -> None:
    rows, schema = frame(240, None), made_of(None).schema
    plain = summarise(rows, schema)
    assert summarise(rows.assign(group=None), schema).to_bytes() == plain.to_bytes()
    assert plain.independent == plain.usable == 240
    of_one: list[Any] = ["p" if row < 40 else None for row in range(240)]
    mixed = rows.assign(group=of_one)
    assert summarise(mixed, schema).independent == 201
    like_an_id: list[Any] = ["r200", *[None] * 239]
    named_as_an_id = rows.assign(group=like_an_id)
    assert summarise(named_as_an_id, schema).independent == 240


def test_a_window_of_few_groups_is_not_judged_and_says_so() -> None:
    found = judge(frame(400, 8, 1), made_of(40), replace(PARAMS, min_rows=10), window="w")
    assert (found.status, found.groups) == ("insufficient data", 8)
    assert "of 8 groups" in found.reason
    assert judge(frame(400, 100, 1), made_of(40), PARAMS, window="w").groups == 100


def test_an_alarm_says_that_its_reference_knows_no_groups() -> None:
    moved = make_predictions(np.random.default_rng(1), 400, shift=1.5)
    moved["group"] = [f"p{row % 100}" for row in range(400)]
    alarms = [judge(moved, made_of(groups), PARAMS, window="w") for groups in (None, 100)]
    assert [found.status for found in alarms] == ["alarm", "alarm"]
    assert [UNGROUPED in found.reason for found in alarms] == [True, False]


def test_intervals_count_groups_and_a_reference_remembers_what_its_rows_are_worth(tmp_path: Path) -> None:
    plain, grouped = made_of(None).accuracy(0.95), made_of(40).accuracy(0.95)
    assert (plain.value, plain.n) == (grouped.value, grouped.n)
    assert grouped.high - grouped.low > 2.5 * (plain.high - plain.low)
    accepted = accept_window(
        made_of(40), frame(200, 100, 3), by="kim", why="lamps", at=pd.Timestamp("2026-01-06T00:00Z")
    )
    accepted.save(tmp_path / "reference.parquet")
    back = load_reference(tmp_path / "reference.parquet")
    assert back.accuracy(0.95) == grouped
    assert back.summary == accepted.summary
    with pytest.raises(DataError, match="of 3 groups"):
        made_of(3)


def test_the_log_and_its_exports_know_groups(tmp_path: Path) -> None:
    log, rows, reference = InferenceLog(f"sqlite:///{tmp_path}/log.db"), frame(400, 100, 1), made_of(40)
    log.append(rows)
    back = log.read("made-up").set_index("request_id")["group"]
    assert back.to_dict() == dict(zip(rows["request_id"], rows["group"], strict=True))
    seen: list[int] = []
    found = judge_time_range(
        log,
        reference,
        PARAMS,
        name="w",
        start=rows["time"].min().floor("h"),
        end=rows["time"].max().ceil("h"),
        level=lambda independent: seen.append(independent) or 0.05,  # type: ignore[func-returns-value]
    )
    assert seen == [found.verdict.groups] == [100]
    assert len(found.rows) == 100
    export_log(log, tmp_path / "export", "made-up", start=None, end=None)
    assert summarise_partitions(tmp_path / "export", reference.schema, 1) == summarise(rows, reference.schema)
    log.close()


@pytest.mark.slow
def test_windows_of_groups_without_drift_alarm_at_their_level_only_with_their_groups() -> None:
    """Of 60 at a level of .05, more than 8 alarm once in 500 times, and fewer than 51 intervals hold as seldom."""
    without, logged = judged(500, 5, replace(PARAMS, permutations=199), 60)
    assert without[0] > 0.5
    assert logged[0] <= 8 / 60
    assert logged[2] >= 51 / 60
    assert logged[3] >= 51 / 60
