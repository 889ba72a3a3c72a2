"""The estimate's own noise sets what may alarm; another mix of classes is no loss; copies are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet_ops_monitoring.drift.accuracy_calibration import look_of_summary
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import Reference, build_reference, load_reference
from resnet_ops_monitoring.drift.trials import Tried, calibrated_accuracy
from resnet_ops_monitoring.inference_log.frames import matrix
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.estimate_error import Calibration
from resnet_ops_monitoring.statistics.summary import summarise
from resnet_ops_monitoring.statistics.two_sample import copies, copies_shift
from tests.unit.monitoring.conftest import as_predictions, make_predictions

Frames = Callable[..., pd.DataFrame]
CLASSES = tuple("0123456789")
_KINDS = ("fog", "turned", "jpeg_compression", "gaussian_noise", "pixelate")


def _changed(
    frame: pd.DataFrame, direction: np.ndarray, blur: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Embeddings shifted along a direction that the head does not see, and towards each other, which hurts."""
    old = matrix(frame, "embedding").astype(float)
    centres = np.random.default_rng(99).normal(0, 1.2, (10, 8))
    shifted = (1 - blur) * old + rng.normal(0, 2 * blur, old.shape)
    logits = shifted @ centres.T - (centres**2).sum(axis=1) / 2
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return frame.assign(
        embedding=list((shifted + direction).astype(np.float32)),
        probabilities=list(found),
        predicted=[str(each) for each in found.argmax(axis=1)],
    )


@pytest.fixture(scope="module")
def reference() -> Reference:
    return _reference(_KINDS)


def _reference(kinds: tuple[str, ...], weights: list[float] | None = None) -> Reference:
    rng = np.random.default_rng(0)
    frame = make_predictions(rng, 1000, weights=weights)
    made = build_reference(frame, ModelIdentity("made-up", "1", "d" * 64), CLASSES, rows=1000, seed=0)
    labels = np.array(frame["label"], dtype=np.int64)

    def tried() -> list[Tried]:
        found = []
        for kind in kinds:
            direction = rng.normal(0, 0.3, 8)
            for severity in range(5):
                rows = rng.permutation(len(frame))[:200]
                some = frame.iloc[rows].reset_index(drop=True)
                changed = _changed(some, severity * direction, 0.1 * max(severity - 1, 0), rng)
                found.append(Tried(kind, as_predictions(changed), as_predictions(some), labels[rows]))
        return found

    return replace(
        made,
        accuracy_calibration=calibrated_accuracy(made.schema, as_predictions(frame), labels, tried(), 0),
    )


def _calibration(reference: Reference) -> Calibration:
    assert reference.accuracy_calibration is not None
    assert reference.accuracy_calibration.calibration is not None
    return reference.accuracy_calibration.calibration


@pytest.mark.slow
def test_harmless_changes_of_a_kind_that_was_not_tried_hardly_ever_alarm_and_harmful_ones_do(
    reference: Reference, made_up: Frames, params: DriftParams
) -> None:
    rng = np.random.default_rng(5)
    alarms: dict[float, list[bool]] = {0.0: [], 0.3: []}
    shifted: list[bool] = []
    for blur, found in alarms.items():
        for number in range(12):
            direction = rng.normal(0, 0.4, 8)
            window = _changed(made_up(rng, 300), direction, blur, rng)
            verdict = judge(window, reference, replace(params, seed=number), window="w")
            shifted.append(any(each.fired or each.suppressed for each in verdict.findings))
            found.append(verdict.status == "alarm")
    assert np.mean(shifted) >= 0.9
    assert np.mean(alarms[0.0]) <= 0.15
    assert np.mean(alarms[0.3]) >= 0.9


def test_the_guard_is_never_below_what_counts_as_harmless(reference: Reference) -> None:
    assert _calibration(reference).guards.min() >= 0.01
    assert _calibration(reference).guard(10) == _calibration(reference).guards[0]
    assert _calibration(reference).guard(10**6) == _calibration(reference).guards[-1]


def test_the_guard_of_classes_lies_above_what_harmless_perturbations_shift(
    reference: Reference, made_up: Frames
) -> None:
    calibration, accuracy = _calibration(reference), reference.accuracy_calibration
    assert accuracy is not None
    guards = calibration.class_guards
    assert (guards[:-1] > guards[1:]).all(), "small windows shift more by chance"
    assert 0 < guards[-1] < guards[0] < 0.3
    clean = accuracy.clean
    once = replace(clean, rows=1000, shares=clean.shares + np.eye(10)[0] * 1.1 * guards[-1])
    less = replace(clean, rows=1000, shares=clean.shares + np.eye(10)[0] * 0.9 * guards[-1])
    assert calibration.classes_shifted(clean, once)
    assert not calibration.classes_shifted(clean, less)
    old = {name: each for name, each in calibration.to_arrays().items() if name != "class_guards"}
    assert not Calibration.from_arrays(old).classes_shifted(clean, once)


@pytest.mark.slow
def test_the_guard_of_the_mix_lies_between_what_perturbations_and_mixes_shift(made_up: Frames) -> None:
    even, rng = [0.25] * 4 + [0] * 6, np.random.default_rng(6)
    reference = _reference(_KINDS[:3], even)
    calibration, accuracy = _calibration(reference), reference.accuracy_calibration
    assert accuracy is not None
    assert reference.mix_space is not None
    assert all(0 < each < 1 for each in calibration.mix_guards)
    behind: dict[str, list[bool]] = {"mix": [], "images": []}
    for number in range(10):
        some = [*np.roll([0.1, 0.15, 0.25, 0.5], number), *[0] * 6]
        images = _changed(made_up(rng, 500, weights=even), rng.normal(0, 0.3, 8), 0.0, rng)
        for name, frame in (("mix", made_up(rng, 500, weights=some)), ("images", images)):
            now = look_of_summary(summarise(frame, reference.schema))
            behind[name].append(calibration.mixed(accuracy.clean, now, reference.mix_space).behind)
    assert sum(behind["mix"]) >= 9
    assert sum(behind["images"]) <= 3


def test_a_calibration_of_before_there_was_a_guard_of_the_mix_guesses_as_it_did(
    reference: Reference, made_up: Frames
) -> None:
    calibration, accuracy, space = (
        _calibration(reference),
        reference.accuracy_calibration,
        reference.mix_space,
    )
    assert accuracy is not None
    assert space is not None
    arrays = calibration.to_arrays()
    old = Calibration.from_arrays({name: each for name, each in arrays.items() if name != "mix_guards"})
    mix = made_up(np.random.default_rng(8), 500, weights=[0.02] * 5 + [0.18] * 5)
    now = look_of_summary(summarise(mix, reference.schema))
    found = old.mixed(accuracy.clean, now, space)
    assert found.behind
    always = calibration.classes.at_the_mix_of(accuracy.clean, now, space, 0.0)
    assert found.accuracy == always.accuracy != accuracy.right / accuracy.tested


@pytest.mark.slow
def test_another_mix_of_classes_is_no_loss_and_its_accuracy_is_estimated(
    made_up: Frames, params: DriftParams
) -> None:
    """Class 0 is answered wrongly more often than others; where it comes often, accuracy falls, and that is said."""
    rng = np.random.default_rng(2)
    frame = made_up(rng, 3000)
    hard = frame["label"] == "0"
    confused = frame[hard & (rng.random(3000) < 0.4)].index
    frame.loc[confused, "label"] = "1"
    made = build_reference(frame, ModelIdentity("made-up", "1", "d" * 64), CLASSES, rows=2000, seed=0)
    labels = np.array(frame["label"], dtype=np.int64)
    accuracy_calibration = calibrated_accuracy(made.schema, as_predictions(frame), labels, [], 0)
    now = made_up(rng, 1000, weights=[0.02] * 5 + [0.18] * 5)
    found = judge(now, replace(made, accuracy_calibration=accuracy_calibration), params, window="w")
    truth = float((now["predicted"] == now["label"]).mean())
    assert found.status == "alarm"
    assert {each.signal for each in found.findings if each.fired} >= {"classes"}
    assert found.likely_reason is None
    assert found.estimated is not None
    assert found.estimated.low <= truth <= found.estimated.high
    plain = judge(
        now,
        replace(made, accuracy_calibration=replace(accuracy_calibration, calibration=None)),
        params,
        window="w",
    )
    assert plain.estimated is not None
    assert abs(found.estimated.value - truth) < max(abs(plain.estimated.value - truth), 0.03)


def test_fifty_equal_frames_in_a_thousand_alarm_and_a_few_repeats_do_not(
    reference: Reference, made_up: Frames, params: DriftParams
) -> None:
    rng = np.random.default_rng(3)
    for repeats, seen in ((50, True), (3, False)):
        frame = made_up(rng, 1000)
        embedding = matrix(frame, "embedding").copy()
        embedding[:repeats] = embedding[0] + rng.normal(0, 1e-6, (repeats, 8))
        verdict = judge(frame.assign(embedding=list(embedding)), reference, params, window="w")
        copied = [each for each in verdict.findings if each.signal == "copies"]
        assert [each.fired for each in copied] == [seen]
        assert (verdict.status == "alarm") == seen
        assert (verdict.estimated is None) == seen
        assert ("a camera may be frozen" in verdict.reason) == seen


def test_copies_are_counted_against_those_of_the_reference() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (100, 4))
    assert copies(rows) == 0
    assert copies(np.concatenate([rows, rows[:10], rows[:1]])) == 11
    assert copies(rows[:1]) == 0
    assert copies_shift(0, 2000, 0, 500) == 1
    assert copies_shift(0, 2000, 10, 500) < 1e-6
    assert copies_shift(400, 2000, 25, 500) > 0.05
    assert copies_shift(100, 2000, 25, 500) > 0.05


@pytest.mark.parametrize("share", [0.03, 0.05, 0.1])
def test_an_image_that_comes_again_and_again_is_as_usual_where_it_did_so_before(share: float) -> None:
    rng, fired = np.random.default_rng(0), 0
    for _ in range(400):
        known, now = (max(int(rng.binomial(rows, share)) - 1, 0) for rows in (2000, 500))
        fired += copies_shift(known, 2000, now, 500) <= 0.05
    assert fired <= 0.08 * 400


def test_a_saved_calibration_guesses_the_same_and_a_broken_one_is_refused(
    reference: Reference, made_up: Frames, params: DriftParams, tmp_path: Path
) -> None:
    reference.save(tmp_path / "reference.parquet")
    again = load_reference(tmp_path / "reference.parquet")
    frame = made_up(np.random.default_rng(4), 200, shift=0.4)
    first, second = (judge(frame, each, params, window="w") for each in (reference, again))
    assert first.estimated == second.estimated
    assert first.status == second.status
    arrays = _calibration(reference).to_arrays()
    for name, value in (
        ("guards", arrays["guards"][:1]),
        ("moves", arrays["moves"] * np.nan),
        ("classes.certain", np.zeros(3)),
    ):
        with pytest.raises(ValueError, match="accuracy calibration"):
            Calibration.from_arrays({**arrays, name: value})
