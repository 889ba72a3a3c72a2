"""Summaries add up: to the same numbers however the rows were split, ordered or where they were summarised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.detector import judge, judge_summary
from resnet_ops_monitoring.drift.reference import Reference, accept_window, build_reference, load_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.bins import BINS, count, edges_of, mean_of
from resnet_ops_monitoring.statistics.summary import by_source, empty, load_summary, merge, summarise
from resnet_ops_monitoring.statistics.two_sample import kolmogorov_smirnov, kolmogorov_smirnov_counts
from tests.unit.monitoring.conftest import make_predictions

Frames = Callable[..., pd.DataFrame]
CLASSES = tuple("0123456789")
IDENTITY = ModelIdentity("made-up", "1", "d" * 64)
NOON = datetime(2026, 1, 6, 12, tzinfo=UTC)


@cache
def _reference(rows: int = 500, kept: int = 60) -> Reference:
    return build_reference(
        make_predictions(np.random.default_rng(0), rows), IDENTITY, CLASSES, rows=kept, seed=0
    )


@cache
def _window() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = make_predictions(rng, 240)
    rows.loc[rng.random(240) < 0.1, "sharpness"] = np.nan
    rows.loc[rng.random(240) < 0.3, "label"] = None
    broken = rng.random(240) < 0.05
    rows["embedding"] = [v * np.nan if bad else v for v, bad in zip(rows["embedding"], broken, strict=True)]
    return rows


@pytest.mark.slow
@given(parts=st.lists(st.integers(0, 5), min_size=240, max_size=240), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_parts_add_up_to_the_whole_whatever_the_split_and_the_order(parts: list[int], seed: int) -> None:
    schema, rows = _reference().schema, _window()
    whole = summarise(rows, schema)
    where = np.array(parts)
    shuffled = [rows[where == k].sample(frac=1, random_state=seed) for k in range(6)]
    each = [summarise(part, schema) for part in shuffled]
    assert merge(schema, each) == whole
    assert merge(schema, [merge(schema, each[:3]), merge(schema, reversed(each[3:]))]) == whole


def test_a_summary_counts_what_the_rows_hold() -> None:
    rows, summary = _window(), summarise(_window(), _reference().schema)
    usable = np.array([np.isfinite(v).all() for v in rows["embedding"]])
    assert (summary.rows, summary.unusable, summary.usable) == (240, int((~usable).sum()), int(usable.sum()))
    assert list(summary.predicted) == [int((rows["predicted"][usable] == name).sum()) for name in CLASSES]
    assert summary.counts[5:].sum(axis=1).tolist() == [summary.usable] * 11
    assert summary.counts[2].sum() == np.isfinite(rows["sharpness"][usable]).sum()
    assert summary.mean(0) == pytest.approx(rows["brightness"][usable].mean(), abs=1e-6)
    assert summary.labelled == rows["label"].notna().sum()
    assert summary.right == (rows["label"] == rows["predicted"]).sum()
    assert (summary.start, summary.end) == (rows["time"].min(), rows["time"].max())
    assert len(summary.reservoir) == 60
    drawn = rows.set_index("request_id").loc[summary.reservoir.ids.tolist()]
    np.testing.assert_array_equal(np.stack(drawn["embedding"].tolist()), summary.reservoir.embedding)


@pytest.mark.slow
def test_a_reservoir_is_a_fair_draw() -> None:
    times = np.zeros(240)
    rows = _window().assign(embedding=_window()["probabilities"].map(lambda p: p[:8]))
    for seed in range(100):
        schema = replace(_reference().schema, seed=seed)
        times[[int(name[1:]) for name in summarise(rows, schema).reservoir.ids]] += 1
    expected = 100 * 60 / 240
    assert times.sum() == 100 * 60
    assert abs(times - expected).max() < 5 * np.sqrt(expected * 0.75)


def test_saved_bytes_come_back_and_damaged_ones_are_refused() -> None:
    summary = summarise(_window(), _reference().schema)
    content = summary.to_bytes()
    assert load_summary(content) == summary
    assert load_summary(empty(_reference().schema).to_bytes()) == empty(_reference().schema)
    for damaged in (content[:-40], b"", b"PK nothing"):
        with pytest.raises(DataError, match="not a summary of a window"):
            load_summary(damaged)


def test_summaries_of_different_references_do_not_mix(params: DriftParams) -> None:
    other = _reference(400)
    with pytest.raises(DataError, match="another reference"):
        merge(other.schema, [summarise(_window(), _reference().schema)])
    with pytest.raises(DataError, match="another reference"):
        judge_summary(summarise(_window(), _reference().schema), other, params, window="w")


def test_a_summary_is_judged_as_its_rows_are(params: DriftParams) -> None:
    reference, rows = _reference(), _window().assign(source=["a", "b"] * 120)
    hours = [rows.iloc[:100], rows.iloc[100:]]
    merged = merge(reference.schema, [summarise(hour, reference.schema) for hour in hours])
    sources = by_source(rows, reference.schema, 20)
    assert set(sources) == {"a", "b"}
    assert judge_summary(merged, reference, params, window="w", sources=sources) == judge(
        rows, reference, params, window="w"
    )


@pytest.mark.slow
@given(
    before=st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]) | st.floats(0, 1), min_size=5, max_size=700),
    now=st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]) | st.floats(-1, 2), min_size=1, max_size=300),
)
@settings(max_examples=150, deadline=None)
def test_the_distance_in_bins_misses_the_exact_one_by_at_most_a_bin(
    before: list[float], now: list[float]
) -> None:
    left, right = np.array(before), np.array(now)
    edges = edges_of(left)
    assert (np.diff(edges) >= 0).all()
    distance, _ = kolmogorov_smirnov_counts(count(left, edges)[0], count(right, edges)[0])
    exact, _ = kolmogorov_smirnov(left, right)
    assert exact - 1 / BINS - 1 / len(left) - 1e-12 <= distance <= exact + 1e-12


def test_a_constant_column_that_moves_by_a_hair_is_seen() -> None:
    edges = edges_of(np.zeros(500))
    for shifted in (-1e-9, 1e-9):
        both = count(np.zeros(500), edges)[0], count(np.full(99, shifted), edges)[0]
        distance, _ = kolmogorov_smirnov_counts(*both)
        assert distance == 1
    assert edges_of(np.full(9, np.nan)).tolist() == [0.0] * (BINS - 1)


def test_sums_do_not_depend_on_order_and_survive_absurd_values() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    edges = edges_of(values)

    def total(part: NDArray[np.float64]) -> int:
        return count(part, edges)[1]

    assert total(values) == total(values[::-1]) == total(values[:300]) + total(values[300:])
    assert mean_of(total(values), 1000) == pytest.approx(values.mean(), abs=1e-6)
    for absurd in ([1e300, np.nan, np.inf], [-np.inf, 1e300], [np.nan, 2.0**16]):
        counts, found = count(np.array(absurd), edges)
        assert (counts.sum(), found) == (1, total(np.array([2.0**16])))
    assert count(np.array([]), edges)[1] == count(np.full(3, np.nan), edges)[1] == 0


def test_an_accepted_window_is_the_new_normal_with_its_story(
    made_up: Frames, params: DriftParams, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    labelled, shifted = _reference(), made_up(rng, 600, shift=0.8).assign(label=None)
    later = made_up(rng, 300, shift=0.8).assign(label=None)
    assert judge(later, labelled, params, window="w").status == "alarm"
    accepted = accept_window(labelled, shifted, by="Ada", why="new lens", at=NOON)
    accepted.save(tmp_path / "accepted.parquet")
    back = load_reference(tmp_path / "accepted.parquet")
    assert back.accepted == accepted.accepted
    assert back.summary == accepted.summary
    verdict = judge(later, back, params, window="w")
    assert verdict.status == "ok"
    assert (
        verdict.compared_with == "the production of 2026-01-05 08:00 to 2026-01-05 08:09 UTC, accepted by Ada"
    )
    assert verdict.reference_accuracy == judge(later, labelled, params, window="w").reference_accuracy
    assert verdict.estimated_accuracy == judge(later, labelled, params, window="w").estimated_accuracy


@pytest.mark.parametrize(("by", "why"), [("", "new lens"), ("Ada", " ")])
def test_a_window_is_not_accepted_without_name_and_reason(made_up: Frames, by: str, why: str) -> None:
    with pytest.raises(DataError, match="a name and a reason"):
        accept_window(_reference(), made_up(np.random.default_rng(0), 60), by=by, why=why, at=NOON)


def test_rows_that_are_not_finite_are_left_out_of_an_accepted_window(
    made_up: Frames, params: DriftParams
) -> None:
    rows = made_up(np.random.default_rng(0), 300)
    broken: Any = [np.full(8, np.nan, np.float32)] * 10 + rows["embedding"].tolist()[10:]
    accepted = accept_window(_reference(), rows.assign(embedding=broken), by="Ada", why="so", at=NOON)
    assert accepted.summary.usable == 290
    assert all(np.isfinite(vector).all() for vector in accepted.rows["embedding"])
    assert judge(made_up(np.random.default_rng(1), 300), accepted, params, window="w").status == "ok"


def test_windows_without_usable_rows_or_of_other_files_are_not_accepted(made_up: Frames) -> None:
    rows = made_up(np.random.default_rng(0), 60)
    nothing: Any = [np.full(8, np.nan, np.float32)] * 60
    with pytest.raises(DataError, match="60 are not finite"):
        accept_window(_reference(), rows.assign(embedding=nothing), by="Ada", why="so", at=NOON)
    with pytest.raises(DataError, match="other files"):
        accept_window(_reference(), rows.assign(digest="e" * 64), by="Ada", why="so", at=NOON)
    for few in (0, 3):
        with pytest.raises(DataError, match=f"{few} rows, .* 4 usable rows"):
            accept_window(_reference(), rows.iloc[:few], by="Ada", why="so", at=NOON)
    assert accept_window(_reference(), rows.iloc[:4], by="Ada", why="so", at=NOON).seen == 4
