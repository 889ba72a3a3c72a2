"""Sensitivity and specificity in windows: counted where labels are known, estimated where they are not."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import Reference, accept_window, build_reference, load_reference
from resnet_ops_monitoring.drift.time_ranges import judge_time_range, summarise_time_range
from resnet_ops_monitoring.drift.trials import Tried, calibrated_accuracy
from resnet_ops_monitoring.drift.verdict import OperatingVerdict, load_verdict
from resnet_ops_monitoring.inference_log.frames import matrix
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.report.breakdown import operating_section
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.operating_estimate import OperatingCalibration
from resnet_ops_monitoring.statistics.summary import load_summary, merge, summarise
from tests.unit.monitoring.conftest import as_predictions, make_predictions
from tests.unit.monitoring.inference_log.writing import label

Frames = Callable[..., pd.DataFrame]
CLASSES = tuple("0123456789")
IDENTITY = ModelIdentity("made-up", "1", "d" * 64)
POINT = OperatingPoint(("3", "7"), 0.8)
_KINDS = ("fog", "turned", "jpeg_compression", "gaussian_noise", "pixelate", "contrast")


def _softened(frame: pd.DataFrame, by: float, noise: float, rng: np.random.Generator) -> pd.DataFrame:
    """Less sure of the same answers, as under a dull light; with noise some answers are others."""
    old = matrix(frame, "probabilities").astype(float)
    logits = by * np.log(np.maximum(old, 1e-30)) + rng.normal(0, 1e-9 + noise, old.shape)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return frame.assign(
        embedding=list((matrix(frame, "embedding") * np.float32(by + noise / 4)).astype(np.float32)),
        probabilities=list(found),
        predicted=[str(each) for each in found.argmax(axis=1)],
    )


def _calibrated(point: OperatingPoint | None) -> Reference:
    rng = np.random.default_rng(0)
    frame = make_predictions(rng, 1500)
    made = build_reference(frame, IDENTITY, CLASSES, rows=1000, seed=0, operating=point)
    labels = np.array(frame["label"], dtype=np.int64)
    tried = []
    for place, kind in enumerate(_KINDS):
        for severity in range(5):
            rows = rng.permutation(len(frame))[:300]
            some = frame.iloc[rows].reset_index(drop=True)
            changed = _softened(some, 1 - 0.12 * severity, (place % 3) * 0.5 * severity, rng)
            tried.append(Tried(kind, as_predictions(changed), as_predictions(some), labels[rows]))
    found = calibrated_accuracy(made.schema, as_predictions(frame), labels, tried, 0)
    return replace(made, accuracy_calibration=found)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return _calibrated(POINT)


def _truth(frame: pd.DataFrame) -> tuple[float, float]:
    called = POINT.called(matrix(frame, "probabilities"), CLASSES)
    positive = frame["label"].isin(POINT.positive).to_numpy()
    return float(called[positive].mean()), float((~called)[~positive].mean())


def test_a_summary_counts_decisions_and_adds_them_up(made_up: Frames) -> None:
    rng = np.random.default_rng(1)
    rows = made_up(rng, 300)
    rows.loc[:9, "probabilities"] = pd.Series([np.full(10, np.nan, dtype=np.float32)] * 10)
    rows.loc[rng.random(300) < 0.3, "label"] = None
    schema = build_reference(
        make_predictions(rng, 200), IDENTITY, CLASSES, rows=60, seed=0, operating=POINT
    ).schema
    summary = summarise(rows, schema)
    probabilities = np.stack(rows["probabilities"].tolist())
    scores = probabilities[:, [3, 7]].sum(axis=1, dtype=np.float64)
    usable, called = np.isfinite(scores), scores >= POINT.threshold
    positive = rows["label"].isin(["3", "7"]).to_numpy()
    negative = rows["label"].notna().to_numpy() & ~positive
    assert summary.called == called.sum()
    assert summary.scores / 2**20 == pytest.approx(scores[usable].sum(), abs=1e-3)
    assert (summary.positives, summary.caught) == (positive.sum(), (positive & called).sum())
    assert summary.cleared == (negative & usable & ~called).sum()
    assert merge(schema, [summarise(rows[k::3], schema) for k in range(3)]) == summary
    assert load_summary(summary.to_bytes()) == summary


def test_without_an_operating_point_a_schema_is_the_one_it_was_and_older_summaries_are_read() -> None:
    rng = np.random.default_rng(0)
    frame = make_predictions(rng, 200)
    plain = build_reference(frame, IDENTITY, CLASSES, rows=60, seed=0).schema
    assert replace(plain, operating=POINT).digest != plain.digest
    assert (
        replace(plain, operating=replace(POINT, threshold=0.7)).digest
        != replace(plain, operating=POINT).digest
    )
    summary = summarise(frame, plain)
    with np.load(io.BytesIO(summary.to_bytes())) as stored:
        arrays = dict(stored)
    head = arrays["head"]
    arrays["head"] = np.concatenate(
        [[2], head[1:6], head[-2:]]
    )  # as releases before operating points wrote it
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    assert load_summary(content.getvalue()) == summary


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "noise", "costs"), [(1.0, 0.0, False), (0.75, 0.0, True), (0.6, 0.7, True), (0.9, 1.2, False)]
)
def test_the_estimate_holds_the_truth_under_changes_that_were_not_tried(
    reference: Reference, made_up: Frames, params: DriftParams, by: float, noise: float, costs: bool
) -> None:
    rng, held, errors, unchanged = np.random.default_rng(7), [], [], []
    calibration = reference.accuracy_calibration
    assert calibration is not None
    assert calibration.operating is not None
    for _ in range(25):
        frame = _softened(made_up(rng, 400), by, noise, rng)
        found = calibration.sides(summarise(frame, reference.schema), params.confidence, reference.mix_space)
        for side, truth in zip(("sensitivity", "specificity"), _truth(frame), strict=True):
            estimate = found[side].estimate
            held.append(estimate.low <= truth <= estimate.high)
            errors.append(abs(estimate.value - truth))
            unchanged.append(abs(found[side].right / found[side].tested - truth))
    assert np.mean(held) >= 0.9
    if costs:
        assert float(np.mean(errors)) <= 0.6 * float(np.mean(unchanged))


@pytest.mark.slow
def test_a_loss_at_the_operating_point_alarms_though_the_most_probable_class_is_right_as_often(
    reference: Reference, made_up: Frames, params: DriftParams
) -> None:
    """Softened answers are the same answers; fewer of them reach the threshold."""
    without = _calibrated(None)
    rng, alarms, calm = np.random.default_rng(3), {"with": 0, "without": 0}, 0
    for number in range(8):
        settings = replace(params, seed=number)
        frame = made_up(rng, 400)
        dull = _softened(frame, 0.5, 0.0, rng)
        assert (dull["predicted"] == frame["predicted"]).all()
        verdict = judge(dull, reference, settings, window="w")
        assert verdict.operating is not None
        alarms["with"] += verdict.status == "alarm" and verdict.operating.sensitivity.fell
        alarms["without"] += judge(dull, without, settings, window="w").status == "alarm"
        calm += judge(frame, reference, settings, window="w").status == "ok"
        if verdict.status == "alarm":
            assert "Sensitivity at the operating point" in verdict.reason
    assert alarms["with"] == 8
    assert alarms["without"] <= 2
    assert calm >= 7


def test_the_verdict_shows_tested_estimated_and_counted_and_is_kept(
    reference: Reference, made_up: Frames, params: DriftParams, tmp_path: Path
) -> None:
    frame = _softened(made_up(np.random.default_rng(4), 300), 0.5, 0.0, np.random.default_rng(4))
    verdict = judge(frame, reference, params, window="w")
    found = verdict.operating
    assert found is not None
    sensitivity, specificity = _truth(frame)
    assert found.sensitivity.real is not None
    assert found.specificity.real is not None
    assert found.sensitivity.real.value == pytest.approx(sensitivity)
    assert found.specificity.real.value == pytest.approx(specificity)
    assert found.sensitivity.real.n + found.specificity.real.n == 300
    assert found.called < found.called_before
    verdict.save(tmp_path / "verdict.json")
    assert load_verdict(tmp_path / "verdict.json") == verdict
    page = operating_section(replace(verdict, operating=replace(found, positive=("</table><script>",))))
    assert "<script>" not in page
    assert 'class="hit"' in page


def test_labels_that_come_after_the_hour_was_kept_are_counted_at_the_operating_point(
    reference: Reference, made_up: Frames, params: DriftParams, tmp_path: Path
) -> None:
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    frame = made_up(np.random.default_rng(5), 400)
    log.append(frame.assign(label=None, window=None))
    start = frame["time"].min().floor("h").to_pydatetime()

    def judged() -> OperatingVerdict:
        end = start + timedelta(hours=1)
        found = judge_time_range(log, reference, params, name="h", start=start, end=end).verdict.operating
        assert found is not None
        return found

    within = frame["time"] < start + timedelta(hours=1)
    assert judged().specificity.real is None
    some = frame[within & frame["label"].isin(POINT.positive)]
    label(log, some["request_id"].tolist(), some["label"].tolist())
    assert judged().specificity.real is None
    label(log, frame["request_id"].tolist(), frame["label"].tolist())
    found, truth = judged(), _truth(frame[within].reset_index(drop=True))
    assert found.sensitivity.real is not None
    assert found.specificity.real is not None
    assert (found.sensitivity.real.value, found.specificity.real.value) == pytest.approx(truth)


def test_labels_that_are_corrected_are_counted_anew_also_where_as_many_are_known_and_right(
    reference: Reference, made_up: Frames, params: DriftParams, tmp_path: Path
) -> None:
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    frame = made_up(np.random.default_rng(5), 100)
    log.append(frame.assign(label=None))
    called = POINT.called(matrix(frame, "probabilities"), CLASSES)
    rows = [int(np.flatnonzero(called)[0]), int(np.flatnonzero(~called)[0])]
    start = frame["time"].min().floor("h").to_pydatetime()
    for sides in (("37", "01"), ("01", "37")):
        wrong = [
            next(name for name in side if name != frame["predicted"][row])
            for row, side in zip(rows, sides, strict=True)
        ]
        label(log, frame["request_id"][rows].tolist(), wrong)
        end = start + timedelta(hours=1)
        found = summarise_time_range(log, reference.schema, params, start=start, end=end).whole
        assert (found.labelled, found.right, found.positives) == (2, 0, 1)
        assert found == summarise(log.read("made-up"), reference.schema)


def test_a_saved_reference_estimates_the_same_also_once_a_window_was_accepted(
    reference: Reference, made_up: Frames, params: DriftParams, tmp_path: Path
) -> None:
    accepted = accept_window(
        reference, made_up(np.random.default_rng(8), 300), by="Ada", why="lamp", at=datetime.now(UTC)
    )
    frame = made_up(np.random.default_rng(9), 200)
    for each in (reference, accepted):
        each.save(tmp_path / "reference.parquet")
        again = load_reference(tmp_path / "reference.parquet")
        assert again.schema.digest == each.schema.digest
        first, second = (judge(frame, one, params, window="w") for one in (each, again))
        assert first.operating is not None
        assert first == second


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shifts", np.full((5, 3, 8), np.nan)),
        ("sensitivity.guards", np.zeros(1)),
        ("specificity.noise", None),
        ("sensitivity.tested", np.array([3, 0])),
        ("specificity.rates", np.full(10, np.nan)),
    ],
)
def test_a_broken_calibration_is_refused(reference: Reference, name: str, value: np.ndarray | None) -> None:
    assert reference.accuracy_calibration is not None
    assert reference.accuracy_calibration.operating is not None
    arrays = reference.accuracy_calibration.operating.to_arrays()
    bad = np.full_like(arrays[name], np.nan) if value is None else value
    with pytest.raises(ValueError, match="operating point's calibration"):
        OperatingCalibration.from_arrays({**arrays, name: bad})


def test_nothing_is_estimated_where_a_side_has_no_image() -> None:
    frame = make_predictions(np.random.default_rng(0), 300)
    frame = frame[~frame["label"].isin(POINT.positive)].reset_index(drop=True)
    made = build_reference(frame, IDENTITY, CLASSES, rows=200, seed=0, operating=POINT)
    labels = np.array(frame["label"], dtype=np.int64)
    found = calibrated_accuracy(made.schema, as_predictions(frame), labels, [], 0)
    assert found.operating is None
