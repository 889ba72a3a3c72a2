"""The verdict: silent without drift, loud with it, and clear on hostile windows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import Reference, build_reference
from resnet_ops_monitoring.drift.verdict import load_verdict
from resnet_ops_monitoring.drift.words import advice, headline
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.camera import degrade
from resnet_ops_monitoring.settings.drift import DriftParams

if TYPE_CHECKING:
    from tests.unit.monitoring.conftest import Served

Frames = Callable[..., pd.DataFrame]
CLASSES = tuple("0123456789")
IDENTITY = ModelIdentity("made-up", "1", "d" * 64)


def _reference(made_up: Frames, rng: np.random.Generator, rows: int = 600) -> Reference:
    return build_reference(made_up(rng, rows), IDENTITY, CLASSES, rows=rows, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 300])
def test_windows_without_drift_alarm_at_most_as_often_as_agreed(
    made_up: Frames, params: DriftParams, rows: int
) -> None:
    windows = 200
    without_floors = replace(params, softmax_effect=0, classes_effect=0, embeddings_effect=0)
    alarms = 0
    for seed in range(windows):
        rng = np.random.default_rng([rows, seed])
        reference = _reference(made_up, rng)
        alarms += (
            judge(made_up(rng, rows), reference, replace(without_floors, seed=seed), window="w").status
            == "alarm"
        )
    assert alarms <= stats.binom.ppf(0.999, windows, params.alpha), f"{alarms} of {windows} windows"


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 300])
def test_windows_that_hurt_the_model_alarm(made_up: Frames, params: DriftParams, rows: int) -> None:
    alarms, windows = 0, 20
    for seed in range(windows):
        rng = np.random.default_rng([rows, seed])
        reference = _reference(made_up, rng)
        alarms += judge(made_up(rng, rows, shift=0.8), reference, params, window="w").status == "alarm"
    assert alarms == windows


def test_a_class_mix_that_moved_alarms_and_names_the_class(made_up: Frames, params: DriftParams) -> None:
    rng = np.random.default_rng(0)
    weights = [0.05] * 8 + [0.55, 0.05]
    verdict = judge(made_up(rng, 300, weights=weights), _reference(made_up, rng), params, window="w")
    assert verdict.status == "alarm"
    assert "lass 8 is predicted 5" in verdict.reason
    assert "of the time instead of" in verdict.reason


def test_real_images_as_they_are_raise_no_alarm(served: Served, params: DriftParams) -> None:
    verdict = judge(served.score(served.unseen, labels=served.truth), served.reference, params, window="w")
    assert verdict.headline == "ok"
    assert verdict.passed
    assert verdict.estimated_accuracy is not None
    assert verdict.real_accuracy is not None
    assert abs(verdict.estimated_accuracy - verdict.real_accuracy.value) < 0.05
    assert not verdict.labels_contradict


def test_a_dirty_camera_alarms_and_the_reason_says_how_the_images_changed(
    served: Served, params: DriftParams
) -> None:
    frame = served.score(degrade(served.unseen, seed=0), labels=served.truth)
    verdict = judge(frame, served.reference, params, window="w")
    assert verdict.headline == "alarm"
    assert not verdict.passed
    assert "Images are darker (" in verdict.reason
    assert "blurrier" in verdict.reason
    assert "Labels show" in verdict.reason
    assert "look at camera" in advice(verdict, params.min_rows)[0]


def test_image_statistics_alone_are_information_and_no_alarm(made_up: Frames, params: DriftParams) -> None:
    rng = np.random.default_rng(1)
    darker = made_up(rng, 200).assign(brightness=0.1)
    verdict = judge(darker, _reference(made_up, rng), params, window="w")
    assert verdict.headline == "ok, input drift"
    assert "Images are darker" in verdict.reason
    assert headline(verdict).startswith("OK")


def test_an_effect_below_the_floor_is_no_alarm_however_significant(
    made_up: Frames, params: DriftParams
) -> None:
    rng = np.random.default_rng(2)
    reference, window = _reference(made_up, rng, 3000), made_up(rng, 3000, shift=0.8)
    floors = replace(params, softmax_effect=1, classes_effect=1, embeddings_effect=1)
    assert judge(window, reference, replace(floors, softmax_effect=0), window="w").status == "alarm"
    assert judge(window, reference, floors, window="w").status == "ok"


@pytest.mark.parametrize("rows", [0, 1, 49])
def test_too_few_rows_are_insufficient_data_and_never_pass(
    made_up: Frames, params: DriftParams, rows: int
) -> None:
    rng = np.random.default_rng(3)
    verdict = judge(made_up(rng, 49).iloc[:rows], _reference(made_up, rng), params, window="w")
    assert verdict.status == verdict.headline == "insufficient data"
    assert not verdict.passed
    assert verdict.reason.startswith(f"The window holds {rows} rows; at least 50 usable")
    assert "this is not a pass" in advice(verdict, params.min_rows)[0]


def test_a_window_of_nothing_but_nan_is_insufficient_data(made_up: Frames, params: DriftParams) -> None:
    rng = np.random.default_rng(4)
    nothing: Any = [np.full(10, np.nan, np.float32)] * 100
    nans = made_up(rng, 100).assign(probabilities=nothing, brightness=np.nan)
    verdict = judge(nans, _reference(made_up, rng), params, window="w")
    assert verdict.status == "insufficient data"
    assert "100 are not finite" in verdict.reason


def test_some_rows_of_nan_alarm_above_the_agreed_share(made_up: Frames, params: DriftParams) -> None:
    rng = np.random.default_rng(5)
    reference, window = _reference(made_up, rng), made_up(rng, 200)
    for count, status in ((4, "ok"), (20, "alarm")):
        broken = window.copy()
        vectors: Any = [np.full(8, np.inf, np.float32)] * count + list(window["embedding"][count:])
        broken["embedding"] = vectors
        verdict = judge(broken, reference, params, window="w")
        assert (verdict.status, verdict.unusable) == (status, count)
    assert "10\N{NO-BREAK SPACE}% of the rows" in verdict.reason


def test_constant_columns_and_a_missing_class_get_a_verdict(made_up: Frames, params: DriftParams) -> None:
    rng = np.random.default_rng(6)
    one = made_up(rng, 100)
    constant = one.assign(
        embedding=[one["embedding"][0]] * 100, probabilities=[one["probabilities"][0]] * 100, predicted="3"
    )
    assert judge(constant, _reference(made_up, rng), params, window="w").status == "alarm"
    lacking = made_up(rng, 300)
    lacking = lacking[lacking["predicted"] != "3"]
    verdict = judge(lacking, _reference(made_up, rng), params, window="w")
    assert verdict.status == "alarm"
    assert "lass 3 is predicted 0\N{NO-BREAK SPACE}% of the time" in verdict.reason


def test_missing_image_statistics_are_left_out(made_up: Frames, params: DriftParams) -> None:
    rng = np.random.default_rng(7)
    verdict = judge(made_up(rng, 100).assign(sharpness=np.nan), _reference(made_up, rng), params, window="w")
    columns = [finding.column for finding in verdict.findings if finding.signal == "image"]
    assert columns == ["brightness", "contrast", "saturation", "entropy"]


def test_rows_of_an_unknown_version_are_invalid_and_named(made_up: Frames, params: DriftParams) -> None:
    rng = np.random.default_rng(8)
    mixed = made_up(rng, 100)
    mixed.loc[:9, ["version", "digest"]] = ["2", "e" * 64]
    verdict = judge(mixed, _reference(made_up, rng), params, window="w")
    assert (verdict.status, verdict.passed, verdict.rows) == ("invalid data", False, 100)
    assert "10 of 100 rows of made-up v2" in verdict.reason
    assert headline(verdict).startswith("Not judged: ")
    assert "not a pass" in advice(verdict, params.min_rows)[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"predicted": "cat"}, "classes that made-up v1 lacks: cat"),
        ({"request_id": "same"}, "99 of 100 rows repeat a request id, the first is 'same'"),
        ({"embedding": [[1.0, 2.0]] * 100}, "embedding hold 2 numbers, those of made-up v1 hold 8"),
        ({"embedding": [[1.0], [1.0, 2.0]] * 50}, "vectors of different lengths"),
        ({"probabilities": ["much"] * 100}, "something else than vectors of numbers"),
        ({"probabilities": [None] * 100}, "something else than vectors of numbers"),
    ],
)
def test_rows_that_cannot_be_compared_are_invalid_and_say_why(
    made_up: Frames, params: DriftParams, change: dict[str, Any], words: str
) -> None:
    rng = np.random.default_rng(8)
    reference = _reference(made_up, rng)
    verdict = judge(made_up(rng, 100).assign(**change), reference, params, window="w")
    assert verdict.status == "invalid data"
    assert words in verdict.reason


def test_a_clock_that_goes_backwards_changes_nothing_but_the_order(
    made_up: Frames, params: DriftParams
) -> None:
    rng = np.random.default_rng(8)
    reference, rows = _reference(made_up, rng), made_up(rng, 300)
    backwards = rows.assign(time=rows["time"].to_numpy()[::-1])
    backwards["time"] = pd.to_datetime(backwards["time"], utc=True)
    verdict = judge(backwards, reference, params, window="w")
    assert verdict == judge(rows, reference, params, window="w")
    assert verdict.start is not None
    assert verdict.end is not None
    assert verdict.start < verdict.end


@pytest.mark.slow
def test_a_flood_within_one_minute_is_judged_in_seconds(made_up: Frames, params: DriftParams) -> None:
    rng = np.random.default_rng(15)
    flood = made_up(rng, 50_000)
    flood["time"] = pd.Timestamp("2026-01-05T08:00Z") + pd.to_timedelta(np.arange(50_000) * 1.2, unit="ms")
    reference = _reference(made_up, rng)
    begin = time.process_time()
    verdict = judge(flood, reference, params, window="w")
    assert time.process_time() - begin < 5.0  # 0.3 s on a quiet core
    assert (verdict.status, verdict.rows) == ("ok", 50_000)


@pytest.mark.slow
def test_one_broken_source_of_four_alarms_and_is_named(made_up: Frames, params: DriftParams) -> None:
    rng = np.random.default_rng(13)
    reference, rows = _reference(made_up, rng), made_up(rng, 900)
    rows["source"] = np.repeat(["line 1", "line 2", "line 3", "line 4"], [290, 290, 290, 30])
    calm = judge(rows, reference, params, window="w")
    assert [(part.source, part.rows, part.status) for part in calm.sources] == [
        ("line 1", 290, "ok"),
        ("line 2", 290, "ok"),
        ("line 3", 290, "ok"),
        ("line 4", 30, "insufficient data"),
    ]
    assert calm.status == "ok"
    broken = made_up(rng, 900, shift=0.6).assign(source="line 3", request_id=rows["request_id"])
    verdict = judge(rows.where(rows["source"] != "line 3", broken), reference, params, window="w")
    assert [part.status for part in verdict.sources] == ["ok", "ok", "alarm", "insufficient data"]
    assert verdict.status == "alarm"
    assert "Source line 3 (290 rows): " in verdict.reason


@pytest.mark.slow
def test_windows_of_several_sources_without_drift_alarm_as_rarely(
    made_up: Frames, params: DriftParams
) -> None:
    windows = 80
    without_floors = replace(params, softmax_effect=0, classes_effect=0, embeddings_effect=0)
    alarms = 0
    for seed in range(windows):
        rng = np.random.default_rng([77, seed])
        rows = made_up(rng, 300).assign(source=np.repeat(["a", "b", "c"], 100))
        reference, settings = _reference(made_up, rng), replace(without_floors, seed=seed)
        alarms += judge(rows, reference, settings, window="w").status == "alarm"
    assert alarms <= stats.binom.ppf(0.999, windows, params.alpha), f"{alarms} of {windows} windows"


def test_more_sources_than_are_judged_one_by_one_leave_the_whole(
    made_up: Frames, params: DriftParams
) -> None:
    rng = np.random.default_rng(14)
    rows = made_up(rng, 300)
    rows["source"] = rows["request_id"]
    assert judge(rows, _reference(made_up, rng), params, window="w").sources == ()


def test_labels_that_prove_mistakes_are_said_though_outputs_look_as_before(
    made_up: Frames, params: DriftParams
) -> None:
    rng = np.random.default_rng(9)
    wrong = made_up(rng, 200).assign(
        label=lambda frame: frame["predicted"].str.replace("[0-4]", "9", regex=True)
    )
    verdict = judge(wrong, _reference(made_up, rng), params, window="w")
    assert verdict.status == "ok"
    assert verdict.labels_contradict
    assert headline(verdict).startswith("Labels show more mistakes")
    assert "Labels show" in verdict.reason


def test_the_same_window_gets_the_same_verdict_and_survives_its_file(
    made_up: Frames, params: DriftParams, tmp_path: Path
) -> None:
    rng = np.random.default_rng(10)
    reference, window = _reference(made_up, rng), made_up(rng, 200)
    verdict = judge(window, reference, params, window="w")
    assert verdict == judge(window, reference, params, window="w")
    path = tmp_path / "verdict.json"
    verdict.save(path)
    assert load_verdict(path) == verdict


def test_a_window_of_500_rows_is_judged_fast(made_up: Frames, params: DriftParams) -> None:
    rng = np.random.default_rng(11)
    reference, window = _reference(made_up, rng, 1000), made_up(rng, 500)
    full = replace(params, permutations=999, test_rows=500)
    judge(window, reference, full, window="w")
    begin = time.process_time()
    judge(window, reference, full, window="w")
    assert time.process_time() - begin < 1.0  # 0.1 s on a quiet core
