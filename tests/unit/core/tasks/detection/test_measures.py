"""What is measured of a detector: hand-computed cases, intervals, and the score from which boxes count."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_ops.errors import ConfigError, DataError
from resnet_ops.measurement import Measurement
from resnet_ops.tasks.detection.boxes import BoxedImage, Labels
from resnet_ops.tasks.detection.detections import Detections, read_detections
from resnet_ops.tasks.detection.matching import ClassMatches, match
from resnet_ops.tasks.detection.measures import measure_detections, resampled_interval
from resnet_ops.tasks.detection.score_threshold import Aim, choose_threshold, image_scores
from tests.unit.core.tasks.detection.scenes import make_scenes

pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")


def measure(labels: Labels, detections: Detections, threshold: float = 0.5) -> dict[str, Measurement]:
    matches = match(labels, detections)
    return measure_detections(matches, labels.classes, len(labels.images), threshold, "test", 0.95, 200, 0)


def hand_made() -> tuple[Labels, list[ClassMatches]]:
    """Of class a: an image with two objects, one found at .9 and one at .3, and a wrong box at .6; an empty image with
    a wrong box at .4; an empty image without a box."""
    objects = np.array([[0.0, 0, 10, 10], [20, 20, 40, 40]])
    nothing = np.zeros((0, 4))
    boxes = (objects, nothing, nothing)
    images = tuple(
        BoxedImage(
            f"{place}",
            f"{place}.png",
            64,
            64,
            each,
            np.zeros(len(each), np.int64),
            np.zeros(len(each), bool),
            each[:, 2] ** 2,
        )
        for place, each in enumerate(boxes)
    )
    labels = Labels(("a",), {"a": 0}, images, ())
    answers = Detections(
        np.array([0, 0, 0, 1]),
        np.zeros(4, np.int64),
        np.array([[0.0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60], [0, 0, 9, 9]]),
        np.array([0.9, 0.3, 0.6, 0.4]),
    )
    return labels, match(labels, answers)["all"]


def test_the_score_of_an_image_is_its_f1_and_1_where_there_is_nothing() -> None:
    _, matches = hand_made()
    assert image_scores(matches, 0.5, 3).tolist() == [0.5, 1, 1]  # 2 * 1 / (2 boxes + 2 objects)
    assert image_scores(matches, 0.0, 3).tolist() == pytest.approx([0.8, 0, 1])
    assert image_scores(matches, 0.95, 3).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("aim", "at_least", "expected"),
    [
        ("f1", None, 0.9),
        ("recall", 0.5, 0.9),
        ("recall", 0.51, 0.3),
        ("precision", 0.5, 0.3),
        ("precision", 0.6, 0.9),
    ],
)
def test_a_threshold_is_chosen_by_its_aim(aim: Any, at_least: float | None, expected: float) -> None:
    assert choose_threshold(hand_made()[1], aim, at_least) == expected


def test_an_aim_that_no_score_reaches_is_refused_with_the_best() -> None:
    labels, _ = hand_made()
    nothing = Detections(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))
    aims: tuple[Aim, ...] = ("f1", "recall", "precision")
    for aim in aims:
        with pytest.raises(DataError, match="No"):
            choose_threshold(match(labels, nothing)["all"], aim, 0.5)


def test_equal_scores_are_one_choice() -> None:
    labels, detections = make_scenes(40, tied=True)
    matches = match(labels, detections)["all"]
    chosen = choose_threshold(matches, "recall", 0.3)
    found = np.concatenate([each.found_from for each in matches])
    assert (found >= chosen).mean() >= 0.3
    assert (found >= chosen + 0.1).mean() < 0.3


def test_the_mean_is_over_classes_with_objects_and_within_its_interval() -> None:
    labels, detections = make_scenes(60, found=0.9, shake=2.0)
    measured = measure(labels, detections)
    ap = measured["test.ap50"]
    assert ap.low is not None
    assert ap.high is not None
    assert 0 < ap.low < ap.value < ap.high < 1
    assert measured["test.ap"].value == pytest.approx(
        np.mean([measured[f"test.ap.{name}"].value for name in "ab"]), abs=1e-12
    )
    assert "test.ap.c" not in measured  # it has no object
    assert measured["test.precision.c"].value == 0
    assert measured["test.ar_1"].value < measured["test.ar"].value
    objects = sum(len(image.boxes) for image in labels.images)
    assert measured["test.recall"].n == objects
    assert measure(labels, detections) == measured


def test_a_flawless_detector_is_not_taken_for_certain() -> None:
    labels, _ = make_scenes(40)
    columns = [(place, image.classes, image.boxes) for place, image in enumerate(labels.images)]
    answers = Detections(
        np.concatenate([np.full(len(kinds), place) for place, kinds, _ in columns]),
        np.concatenate([kinds for _, kinds, _ in columns]),
        np.concatenate([boxes for _, _, boxes in columns]),
        np.ones(sum(len(kinds) for _, kinds, _ in columns)),
    )
    measured = measure(labels, answers)
    for name in ("test.ap", "test.ap50", "test.ar", "test.image_f1", "test.recall", "test.precision"):
        found = measured[name]
        assert found.value == pytest.approx(1)
        assert found.low is not None
        assert 0.8 < found.low < 0.97


def test_few_images_have_no_interval() -> None:
    labels, detections = make_scenes(8)
    measured = measure(labels, detections)
    assert measured["test.ap"].low is None
    assert measured["test.recall"].low is None


def test_what_resamples_find_too_much_is_taken_off_twice() -> None:
    resampled = 0.55 + np.random.default_rng(0).normal(0, 0.03, 1000)
    low, high = resampled_interval(0.5, resampled, 50.0, 0.95)
    assert low == pytest.approx(0.4 - 2.01 * 0.03, abs=0.01)
    assert high == 0.5


def write(file: Path, *entries: Any) -> Path:
    file.write_text(json.dumps(list(entries)))
    return file


def labels_of_coco_ids() -> Labels:
    labels, _ = make_scenes(2)
    images = tuple(
        BoxedImage(number, file, 512, 512, image.boxes, image.classes, image.crowd, image.areas)
        for image, number, file in zip(labels.images, ("7", "9"), ("x/one.jpg", "x/two.jpg"), strict=True)
    )
    return Labels(labels.classes, labels.class_ids | {"3": 1}, images, ())


def test_images_and_classes_may_be_called_by_number_or_name(tmp_path: Path) -> None:
    entry = {"bbox": [1, 2, 3, 4], "score": 0.5}
    called: list[dict[str, Any]] = [
        {"image_id": 7, "category_id": 3},
        {"image_id": "7", "category_id": "b"},
        {"image_id": "x/one.jpg", "category_id": "3"},
        {"image_id": "x/one", "category_id": "b"},
    ]
    found = read_detections(
        write(tmp_path / "d.json", *(entry | each for each in called)), labels_of_coco_ids()
    )
    assert found.images.tolist() == [0] * 4
    assert found.classes.tolist() == [1] * 4
    assert found.boxes[0].tolist() == [1, 2, 4, 6]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"image_id": 8}, "detection 1 is of the image '8'"),
        ({"category_id": 4}, "detection 1 is of the class '4'"),
        ({"bbox": [1, 2, -3, 4]}, "detection 1 has no bbox"),
        ({"bbox": [1, 2, 3]}, "detection 1 has no bbox"),
        ({"bbox": [1, 2, 3, "1e999"]}, "detection 1 has no bbox"),
        ({"bbox": [1, "nan", 3, 4]}, "detection 1 has no bbox"),
        ({"bbox": [1e308, 0, 1e308, 1]}, "detection 1 has no bbox"),
        ({"score": 1.5}, "detection 1 has no score of 0 to 1"),
        ({"score": None}, "detection 1 has no score of 0 to 1"),
    ],
)
def test_a_wrong_detection_is_named(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    entry = {"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}
    file = write(tmp_path / "d.json", entry, entry | changed)
    with pytest.raises(DataError, match=re.escape(said)):
        read_detections(file, labels_of_coco_ids())


def test_a_missing_pycocotools_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, detections = make_scenes(2)
    monkeypatch.setattr("resnet_ops.extras.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"resnet-ops\[detection\]"):
        match(labels, detections)
