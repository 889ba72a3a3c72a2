"""What shifts and what hurts are told apart: by the estimate, and in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from resnet_ops_monitoring.drift.accuracy_calibration import AccuracyCalibration, Harm
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.likeness import SILENT, apart, margin_of, most_like, named, reach_of
from resnet_ops_monitoring.drift.perturbations import PERTURBATIONS, perturbed
from resnet_ops_monitoring.drift.reference import Reference, build_reference, load_reference
from resnet_ops_monitoring.drift.signals import Comparison
from resnet_ops_monitoring.drift.words import advice, family, perturbation
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.summary import summarise
from resnet_ops_monitoring.statistics.two_sample import Whitening

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.monitoring.conftest import Served

Frames = Callable[..., pd.DataFrame]
CLASSES = tuple("0123456789")


@pytest.mark.parametrize(
    ("loss", "fired", "suppressed"),
    [
        (None, {"softmax", "embeddings"}, set()),
        (0.03, {"softmax", "embeddings"}, set()),
        (0.01, {"softmax"}, {"embeddings"}),
        (-0.01, set(), {"softmax", "embeddings"}),
    ],
)
def test_the_estimate_says_whether_a_change_of_images_alarms(
    made_up: Frames, params: DriftParams, loss: float | None, fired: set[str], suppressed: set[str]
) -> None:
    rng = np.random.default_rng(0)
    identity = ModelIdentity("made-up", "1", "d" * 64)
    reference = build_reference(made_up(rng, 1000), identity, CLASSES, rows=1000, seed=0)
    now = summarise(made_up(rng, 400, shift=0.5), reference.schema)
    found = Comparison(
        reference.summary, now, CLASSES, params, 0.05, None if loss is None else Harm(loss)
    ).findings()
    model = [each for each in found if each.signal in ("softmax", "embeddings")]
    assert {each.signal for each in model if each.fired} == fired
    assert {each.signal for each in model if each.suppressed} == suppressed


def test_another_mix_of_classes_alarms_whatever_the_estimate_says(
    made_up: Frames, params: DriftParams
) -> None:
    rng = np.random.default_rng(1)
    identity = ModelIdentity("made-up", "1", "d" * 64)
    reference = build_reference(made_up(rng, 1000), identity, CLASSES, rows=1000, seed=0)
    now = summarise(made_up(rng, 400, weights=[0.05] * 8 + [0.55, 0.05]), reference.schema)
    found = Comparison(reference.summary, now, CLASSES, params, 0.05, Harm(-0.1)).findings()
    assert {each.signal for each in found if each.fired} == {"classes"}


@pytest.mark.parametrize(
    ("shifted", "mixed", "fired"),
    [(True, False, {"classes"}), (False, True, {"classes"}), (False, False, set())],
)
def test_changed_images_that_turn_answers_over_alarm_where_harmless_ones_turn_over_fewer(
    made_up: Frames, params: DriftParams, shifted: bool, mixed: bool, fired: set[str]
) -> None:
    """Accuracy may stay where a class loses what another one gains: the estimate alone does not see that."""
    rng = np.random.default_rng(1)
    identity = ModelIdentity("made-up", "1", "d" * 64)
    reference = build_reference(made_up(rng, 1000), identity, CLASSES, rows=1000, seed=0)
    now = summarise(made_up(rng, 400, shift=0.5, weights=[0.05] * 8 + [0.55, 0.05]), reference.schema)
    harm = Harm(-0.1, guard=0.02, mixed=mixed, classes_shifted=shifted)
    comparison = Comparison(reference.summary, now, CLASSES, params, 0.05, harm)
    assert {each.signal for each in comparison.findings() if each.fired} - {"image"} == fired
    assert {each.signal for each in comparison.of_source() if each.fired} == fired


@pytest.mark.slow
def test_darker_images_that_the_model_reads_as_well_are_said_and_wake_nobody(
    served: Served, calibrated_accuracy: Reference, params: DriftParams
) -> None:
    darker = perturbed(served.unseen, "darkened", 1, 0)
    verdict = judge(served.score(darker, labels=served.truth), calibrated_accuracy, params, window="w")
    assert verdict.real_accuracy is not None
    assert verdict.real_accuracy.value > verdict.reference_accuracy.low
    assert verdict.headline == "ok, input drift"
    assert any(each.suppressed for each in verdict.findings)
    assert "Images look different to the model, but by the estimate it does about as well" in verdict.reason


@pytest.mark.parametrize(("kind", "place"), [("darkened", "lamp")])
def test_an_alarm_names_the_likely_reason_and_where_to_look(
    served: Served, calibrated_accuracy: Reference, params: DriftParams, kind: str, place: str
) -> None:
    verdict = judge(
        served.score(perturbed(served.unseen, kind, 5, 1)), calibrated_accuracy, params, window="w"
    )
    assert verdict.status == "alarm"
    assert verdict.likely_reason == kind
    assert verdict.reason.startswith(
        f'Of all perturbations tried, this looks most like "{perturbation(kind)}". '
    )
    assert place in advice(verdict, params.min_rows)[0]


@pytest.mark.slow
def test_what_is_named_of_a_change_is_of_its_family_nine_times_in_ten_and_else_nothing_is(
    served: Served, calibrated_accuracy: Reference, params: DriftParams
) -> None:
    accuracy_calibration, before = calibrated_accuracy.accuracy_calibration, calibrated_accuracy.summary
    assert accuracy_calibration is not None
    right = []
    for kind, severity in PERTURBATIONS:
        if severity in (3, 5):
            now = summarise(
                served.score(perturbed(served.unseen, kind, severity, 7)), calibrated_accuracy.schema
            )
            found = Comparison(before, now, CLASSES, params, 0.05).likely_reason(accuracy_calibration)
            right += [] if found is None else [family(found) == family(kind)]
    assert len(right) >= 3
    assert np.mean(right) >= 0.9


def test_a_margin_is_found_where_kinds_differ_and_none_where_they_do_not() -> None:
    rng = np.random.default_rng(0)
    kinds = np.repeat(["gaussian_noise", "fog", "turned", "jpeg_compression"], 5)
    apart = np.repeat(np.eye(4), 5, axis=0) * 3 + rng.normal(0, 0.05, (20, 4))
    assert 1 < margin_of(kinds, apart, 1000, "mirrored") < SILENT
    alike = np.ones((20, 4)) + rng.normal(0, 0.05, (20, 4))
    assert margin_of(kinds, alike, 1000, "fog") > 2
    assert margin_of(kinds[:0], apart[:0], 1000, "fog") == SILENT


def test_what_is_many_times_nearer_is_told_from_families_that_are_alike() -> None:
    """Without its own family fog looks like noise at a cosine of .9, far from all else; with it, by .999 to .9."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(["gaussian_noise", "fog", "turned"], 5)
    towards = np.array([[1, 0, 0], [0.9, 0.19**0.5, 0], [0, 0, 1]])
    shifted = np.repeat(20 * towards, 5, axis=0) + rng.normal(0, 0.05, (15, 3))
    margin = margin_of(kinds, shifted, 1000, "gaussian_noise")
    assert 10 < margin < SILENT
    assert named(most_like(kinds[::5], np.array([0.9999, 0.9, 0])), margin) == "gaussian_noise"
    assert named(most_like(kinds[::5], np.array([0.9, 0.3, 0])), margin) is None


def test_a_kind_that_nothing_is_taken_for_is_named_though_others_are_taken_for_each_other() -> None:
    rng = np.random.default_rng(0)
    kinds = np.repeat(["gaussian_noise", "fog", "jpeg_compression", "turned"], 5)
    directions = [[1, 0, 0, 0, 0], [0.9, 0.19**0.5, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0.6, 0.8, 0]]
    towards = np.repeat(directions, 5, axis=0)
    towards[15:, 4] = 0.4 * np.arange(-2, 3)  # its severities differ
    shifted = 20 * towards + rng.normal(0, 0.05, (20, 5))
    margin = margin_of(kinds, shifted, 1000, "gaussian_noise")
    assert margin_of(kinds, shifted, 1000, "fog") == margin > 9
    assert 3 <= margin_of(kinds, shifted, 1000, "turned") < 0.7 * margin
    assert margin_of(kinds[:19], shifted[:19], 1000, "turned") > 9, "four prove nothing"


@pytest.mark.parametrize("change", ["negative, not tried", "mirrored"])
def test_no_reason_is_made_up_for_a_change_that_was_not_tried(
    served: Served, calibrated_accuracy: Reference, params: DriftParams, change: str
) -> None:
    images, known = served.unseen[:, :, ::-1], calibrated_accuracy
    if change.startswith("negative"):
        images, known = 255 - served.unseen, without(known, "inverted")
    verdict = judge(served.score(images), known, params, window="w")
    assert verdict.status == "alarm"
    assert verdict.likely_reason is None
    assert "perturbation" not in verdict.reason


def without(reference: Reference, kind: str) -> Reference:
    """As if the kind had not been tried."""
    known = reference.accuracy_calibration
    assert known is not None
    kept = np.array(known.kinds) != kind
    rest = {part: getattr(known, part)[kept] for part in ("shifts", "hits", "tried", "centres")}
    kinds = tuple(each for each in known.kinds if each != kind)
    return replace(reference, accuracy_calibration=replace(known, kinds=kinds, **rest))


def test_black_for_white_is_named_and_the_estimate_learns_nothing_from_it(
    served: Served, calibrated_accuracy: Reference, params: DriftParams
) -> None:
    verdict = judge(served.score(255 - served.unseen), calibrated_accuracy, params, window="w")
    assert verdict.likely_reason == "inverted"
    assert "MONOCHROME1" in advice(verdict, params.min_rows)[0]
    known = calibrated_accuracy.accuracy_calibration
    assert known is not None
    assert known.calibration is not None
    assert known.kinds.count("inverted") == 1
    assert "inverted" not in known.calibration.kinds
    deep = np.array([[0, 100, 65535]], dtype=np.uint16)[..., None, None]
    assert perturbed(deep, "inverted", 5, 0).ravel().tolist() == [65535, 65435, 0]


def test_numbers_are_compared_with_those_of_a_kind_that_is_as_strong() -> None:
    shifted, numbers = np.array([[4.0, 0], [2.0, 0]]), np.array([[3.0, 1], [1.0, 1]])
    for along, there in ((0.0, [0, 0]), (1.0, [0.5, 0.5]), (3.0, [2, 1]), (9.0, [3, 1])):
        now = np.array([along, 0.5])
        assert apart(shifted, numbers, now, np.array(there, dtype=float)) == pytest.approx(0)
        assert apart(shifted, numbers, now, np.add(there, [0, 2])) == pytest.approx(2)


def test_what_shifts_embeddings_like_a_kind_and_other_numbers_unlike_it_has_no_reason(
    calibrated_accuracy: Reference,
) -> None:
    """As negatives do whose embeddings go where darkened images' go, but do not become alike as those do."""
    known = calibrated_accuracy.accuracy_calibration
    assert known is not None
    metric = Whitening.of(calibrated_accuracy.summary.reservoir.embedding)
    place = max(place for place, kind in enumerate(known.kinds) if kind == "darkened")
    shifted, numbers = known.centres[place].astype(float), known.shifts[place]
    assert known.most_alike(shifted, numbers, 500, metric) == "darkened"
    beside = np.add(numbers, [0, 0, 0, 0, 0, 10 * known.shifts[:, 5].std()])
    assert known.most_alike(shifted, beside, 500, metric) is None


def test_how_far_numbers_may_be_apart_is_what_nine_in_ten_perturbations_are() -> None:
    rng = np.random.default_rng(0)
    kinds = np.repeat(["gaussian_noise", "fog", "turned"], 5)
    strength = np.tile(np.arange(1.0, 6), 3)[:, None]
    shifted = 20 * strength * np.repeat(np.eye(3), 5, axis=0)
    numbers = strength * np.ones(6)
    near, far = (
        reach_of(kinds, shifted, numbers, numbers + rng.normal(0, spread, (15, 6)), 1000)
        for spread in (0.01, 3)
    )
    assert near == pytest.approx(6**0.5, rel=0.1)  # the strongest of each kind, one step beyond the others
    assert far > 2 * near
    assert reach_of(kinds[::5], shifted[::5], numbers[::5], numbers[::5], 1000) == 0
    assert reach_of(kinds[:0], shifted[:0], numbers[:0], numbers[:0], 1000) == 0


def test_windows_as_they_are_have_no_reason(
    served: Served, calibrated_accuracy: Reference, params: DriftParams
) -> None:
    verdict = judge(served.score(served.unseen), calibrated_accuracy, params, window="w")
    assert (verdict.headline, verdict.likely_reason) == ("ok", None)


def test_a_calibration_of_before_reasons_were_kept_still_estimates(
    served: Served, calibrated_accuracy: Reference, params: DriftParams, tmp_path: Path
) -> None:
    assert calibrated_accuracy.accuracy_calibration is not None
    arrays = calibrated_accuracy.accuracy_calibration.to_arrays()
    arrays = {
        name: each
        for name, each in arrays.items()
        if name not in ("centres", "margin") and not name.startswith("calibration.")
    }
    old = replace(calibrated_accuracy, accuracy_calibration=AccuracyCalibration.from_arrays(arrays))
    old.save(tmp_path / "reference.parquet")
    frame = served.score(perturbed(served.unseen, "contrast", 5, 1))
    same = judge(frame, load_reference(tmp_path / "reference.parquet"), params, window="w")
    assert same.likely_reason is None
    assert same.status == "alarm"
    assert same.estimated is not None
    assert same.estimated.value < 0.8


def test_kinds_that_move_nothing_are_like_nothing(calibrated_accuracy: Reference) -> None:
    accuracy_calibration = calibrated_accuracy.accuracy_calibration
    assert accuracy_calibration is not None
    still = replace(accuracy_calibration, centres=np.zeros_like(accuracy_calibration.centres))
    metric = Whitening.of(calibrated_accuracy.summary.reservoir.embedding)
    shifted, numbers = accuracy_calibration.centres[-1].astype(float), accuracy_calibration.shifts[-1]
    assert accuracy_calibration.most_alike(shifted, numbers, 500, metric) == accuracy_calibration.kinds[-1]
    assert still.most_alike(shifted, numbers, 500, metric) is None
    assert accuracy_calibration.most_alike(np.zeros_like(shifted), numbers, 500, metric) is None


def test_advice_about_a_missing_class_does_not_blame_the_lamp(
    served: Served, calibrated_accuracy: Reference, params: DriftParams
) -> None:
    """The images are darker too, but that is not why it alarms."""
    verdict = judge(
        served.score(perturbed(served.unseen, "darkened", 5, 0)), calibrated_accuracy, params, window="w"
    )
    missing = replace(
        verdict,
        findings=tuple(replace(each, fired=each.signal in ("classes", "image")) for each in verdict.findings),
    )
    assert "lamp" in advice(verdict, params.min_rows)[0]
    assert missing.likely_reason == "darkened"
    assert advice(missing, params.min_rows) == advice(replace(missing, likely_reason=None), params.min_rows)


def test_every_kind_of_spoiling_says_where_to_look(
    served: Served, calibrated_accuracy: Reference, params: DriftParams
) -> None:
    verdict = judge(served.score(255 - served.unseen), calibrated_accuracy, params, window="w")
    plain = advice(replace(verdict, likely_reason=None), params.min_rows)[0]
    for kind, _ in PERTURBATIONS:
        assert advice(replace(verdict, likely_reason=kind), params.min_rows)[0] != plain, kind
