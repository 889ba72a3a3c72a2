"""Accuracy without labels, learned from images perturbed on purpose: near the truth, also for what was not tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from resnet_ops.data.depth import Depth
from resnet_ops.errors import DataError
from resnet_ops.predictions import DeployedModel, Predictions
from resnet_ops.tasks.task import CLASSIFICATION, Task
from resnet_ops_monitoring.drift.accuracy_calibration import AccuracyCalibration, rows_of
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.perturbations import PERTURBATIONS, perturbed
from resnet_ops_monitoring.drift.reference import Reference, accept_window, load_reference
from resnet_ops_monitoring.drift.trials import calibrate_accuracy
from resnet_ops_monitoring.serving.camera import degrade
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.class_mix import shifts
from resnet_ops_monitoring.statistics.summary import summarise

if TYPE_CHECKING:
    from tests.unit.monitoring.conftest import Served

Images = NDArray[np.uint8]


def _cut(images: Images) -> Images:
    cut = images.copy()
    cut[:, : images.shape[1] // 4] = 0
    return cut


UNREHEARSED: dict[str, Callable[[Images], Images]] = {
    "nothing": lambda images: images,
    "dirty camera": lambda images: degrade(images, 0),
    "negative": lambda images: np.asarray(255 - images, dtype=np.uint8),
    "mirrored": lambda images: images[:, :, ::-1],
    "upper quarter covered": _cut,
    "two thirds negative": lambda images: np.concatenate(
        [255 - images[: len(images) * 2 // 3], images[len(images) * 2 // 3 :]]
    ),
}


def in_silence(done: int, total: int) -> None:
    """No progress bar."""


def held_out(served: Served) -> tuple[Images, NDArray[np.int64]]:
    test = served.data.split("test")
    return test.images, test.labels


@pytest.fixture(scope="module")
def calibrated_accuracy(served: Served) -> Reference:
    model = served.scorer.model
    return calibrate_accuracy(
        served.reference, model, *held_out(served), each=100, seed=0, progress=in_silence
    )


@pytest.mark.slow
def test_the_estimate_is_near_the_truth_for_what_was_not_tried(
    served: Served, calibrated_accuracy: Reference, params: DriftParams
) -> None:
    errors: dict[str, list[float]] = {"calibrated": [], "certainty alone": []}
    for spoil in UNREHEARSED.values():
        frame = served.score(spoil(served.unseen), labels=served.truth)
        truth = float((frame["predicted"] == frame["label"]).mean())
        for name, reference in (("calibrated", calibrated_accuracy), ("certainty alone", served.reference)):
            guess = judge(frame, reference, params, window="w").estimated
            assert guess is not None
            errors[name].append(abs(guess.value - truth))
    means = {name: float(np.mean(each)) for name, each in errors.items()}
    assert means["calibrated"] < 0.15
    assert means["calibrated"] < 0.75 * means["certainty alone"]


@pytest.mark.slow
@pytest.mark.parametrize("shift", ["nothing", "dirty camera", "negative"])
def test_the_interval_holds_the_truth_of_what_was_not_tried(
    served: Served, calibrated_accuracy: Reference, params: DriftParams, shift: str
) -> None:
    """docs/drift-measured.md has the shifts of which it does not, whatever the training."""
    frame = served.score(UNREHEARSED[shift](served.unseen), labels=served.truth)
    guess = judge(frame, calibrated_accuracy, params, window="w").estimated
    assert guess is not None
    assert guess.low <= float((frame["predicted"] == frame["label"]).mean()) <= guess.high


@pytest.mark.slow
def test_chance_alone_moves_few_rows_no_farther_than_many(served: Served) -> None:
    found = served.scorer.model.predict(held_out(served)[0])
    rng, shifted = np.random.default_rng(0), {}
    schema = replace(served.reference.schema, threshold=-0.5)
    known = rows_of(found.probabilities, found.embeddings, schema)
    clean = known.look()
    for n in (40, 160):
        drawn = [rng.choice(len(found.predicted), n, replace=True) for _ in range(200)]
        parts = [known.look(rows) for rows in drawn]
        shifted[n] = np.mean([shifts(clean, part) for part in parts], axis=0)
    assert np.abs(shifted[40] - shifted[160]).max() < 0.06
    assert np.abs(shifted[160][[0, 1, 3, 5]]).max() < 0.02


@pytest.mark.slow
def test_a_saved_calibration_and_an_accepted_window_estimate_the_same(
    served: Served, calibrated_accuracy: Reference, params: DriftParams, tmp_path: Path
) -> None:
    calibrated_accuracy.save(tmp_path / "reference.parquet")
    frame = served.score(degrade(served.unseen, 0))
    now = datetime(2026, 1, 6, tzinfo=UTC)
    others = (
        load_reference(tmp_path / "reference.parquet"),
        accept_window(calibrated_accuracy, served.score(served.unseen), by="Ada", why="new lamp", at=now),
    )
    expected = judge(frame, calibrated_accuracy, params, window="w").estimated
    assert expected is not None
    for other in others:
        assert judge(frame, other, params, window="w").estimated == expected


@pytest.mark.slow
def test_the_same_seed_calibrates_the_same(served: Served, calibrated_accuracy: Reference) -> None:
    model, (images, labels) = served.scorer.model, held_out(served)
    again = calibrate_accuracy(served.reference, model, images, labels, each=100, seed=0, progress=in_silence)
    other = calibrate_accuracy(served.reference, model, images, labels, each=100, seed=1, progress=in_silence)
    first, second, third = (
        each.accuracy_calibration.to_arrays()
        for each in (calibrated_accuracy, again, other)
        if each.accuracy_calibration
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["hits"], third["hits"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("moves", np.zeros((3, 6))),
        ("moves", np.full((1, 5), 0.0)),
        ("tried", np.array([0])),
        ("tested", np.array([0, 0])),
        ("hits", np.array([[1]])),
        ("clean.shares", np.array(0.5)),
        ("moves", np.full((1, 6), np.nan)),
        ("centres", np.zeros((1, 3))),
        ("centres", np.full((1, 64), np.nan)),
    ],
)
def test_an_accuracy_calibration_that_cannot_be_is_refused(
    calibrated_accuracy: Reference, name: str, value: NDArray[Any]
) -> None:
    assert calibrated_accuracy.accuracy_calibration is not None
    arrays = calibrated_accuracy.accuracy_calibration.to_arrays()
    rows = ("kinds", "moves", "hits", "tried", "centres")
    one = {part: array[:1] for part, array in arrays.items() if part in rows}
    AccuracyCalibration.from_arrays({**arrays, **one})
    with pytest.raises(ValueError, match="accuracy calibration"):
        AccuracyCalibration.from_arrays({**arrays, **one, name: value})


@pytest.mark.slow
def test_every_perturbation_keeps_shape_and_changes_most_images(served: Served) -> None:
    images = held_out(served)[0][:20]
    for kind, severity in PERTURBATIONS:
        copy = perturbed(images, kind, severity, 0)
        assert (copy.shape, copy.dtype) == (images.shape, images.dtype), kind
        assert np.array_equal(copy, perturbed(images, kind, severity, 0)), kind
    strongest = [perturbed(images, kind, 5, 0) for kind, severity in PERTURBATIONS if severity == 5]
    assert all((copy != images).any(axis=(1, 2, 3)).mean() > 0.5 for copy in strongest)
    with pytest.raises(KeyError):
        perturbed(images, "eaten", 1, 0)


@pytest.mark.parametrize(("kind", "larger"), [("zoomed_in", True), ("zoomed_out", False)])
def test_a_camera_put_nearer_or_farther_shows_the_middle_larger_or_smaller(kind: str, larger: bool) -> None:
    images = np.zeros((2, 33, 33, 1), dtype=np.uint8)
    images[:, 11:22, 11:22] = 200
    sizes = [float(perturbed(images, kind, severity, 0)[0].mean()) for severity in range(1, 6)]
    assert sizes == sorted(sizes, reverse=not larger)
    assert (sizes[0] > images.mean()) == larger
    strongest = perturbed(images, kind, 5, 0)
    assert np.array_equal(strongest, strongest[:, ::-1, ::-1])
    assert sizes[-1] / images.mean() == pytest.approx(1.5**2 if larger else 1.5**-2, rel=0.1)


@dataclass(frozen=True)
class Broken:
    """A model whose answers on some images are not numbers."""

    model: DeployedModel
    share: float
    name: str = "broken"
    classes: tuple[str, ...] = tuple("0123456789")
    image_size: int = 8
    channels: int = 1
    task: Task = CLASSIFICATION
    depth: Depth = 8

    def predict(self, images: Images, batch_size: int = 256) -> Predictions:
        found = self.model.predict(images)
        bad = np.arange(len(images)) < self.share * len(images)
        return replace(found, probabilities=np.where(bad[:, None], np.float32("nan"), found.probabilities))


@pytest.mark.slow
def test_answers_that_are_no_numbers_teach_nothing(served: Served, calibrated_accuracy: Reference) -> None:
    images, labels = held_out(served)
    clean = served.scorer.model.predict(images)

    @dataclass(frozen=True)
    class Spoilt(Broken):
        def predict(self, images: Images, batch_size: int = 256) -> Predictions:
            return clean if len(images) == len(labels) else super().predict(images)

    for share, left in ((0.5, len(PERTURBATIONS)), (0.95, 0)):
        model = Spoilt(served.scorer.model, share)
        found = calibrate_accuracy(
            served.reference, model, images, labels, each=100, seed=0, progress=in_silence
        )
        assert found.accuracy_calibration is not None
        assert calibrated_accuracy.accuracy_calibration is not None
        assert (
            len(found.accuracy_calibration.kinds)
            == len(calibrated_accuracy.accuracy_calibration.kinds) - len(PERTURBATIONS) + left
        )
        assert np.isfinite(found.accuracy_calibration.shifts).all()


def test_a_window_of_one_class_and_equal_embeddings_still_has_an_estimate(
    served: Served, calibrated_accuracy: Reference, params: DriftParams
) -> None:
    frame = served.score(served.unseen[:60])
    certain = np.eye(10, dtype=np.float32)[0]
    same = frame.assign(probabilities=[certain] * 60, embedding=[frame["embedding"][0]] * 60, predicted="0")
    assert (
        judge(same, calibrated_accuracy, params, window="w").estimated is None
    )  # copies of one image say nothing of others
    assert calibrated_accuracy.accuracy_calibration is not None
    guess = calibrated_accuracy.accuracy_calibration.estimate(
        summarise(same, calibrated_accuracy.schema), 0.95, calibrated_accuracy.mix_space
    )
    assert 0 <= guess.low <= guess.value <= guess.high <= 1
    assert guess.high - guess.low > 0.3


def test_nothing_can_be_calibrated_without_images(served: Served) -> None:
    images, labels = held_out(served)
    with pytest.raises(DataError, match=r"No held-out images to calibrate .* with"):
        calibrate_accuracy(
            served.reference,
            served.scorer.model,
            images[:0],
            labels[:0],
            each=100,
            seed=0,
            progress=in_silence,
        )


def test_the_summary_of_a_window_looks_as_its_rows_do(served: Served, calibrated_accuracy: Reference) -> None:
    assert calibrated_accuracy.accuracy_calibration is not None
    frame = served.score(degrade(served.unseen, 0))
    whole = calibrated_accuracy.accuracy_calibration.estimate(
        summarise(frame, calibrated_accuracy.schema), 0.95, calibrated_accuracy.mix_space
    )
    narrower = calibrated_accuracy.accuracy_calibration.estimate(
        summarise(frame, calibrated_accuracy.schema), 0.5, calibrated_accuracy.mix_space
    )
    assert whole.value == narrower.value
    assert whole.low <= narrower.low < narrower.high <= whole.high
