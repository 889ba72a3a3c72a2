"""An evaluation of boxes: files of every task, the threshold from validation, the worst images drawn first."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnet_ops.data import PreparedData
from resnet_ops.data.depth import Depth
from resnet_ops.errors import DataError
from resnet_ops.evaluation.params import EvaluateParams, RobustnessParams, ScoreThresholdParams, SliceParams
from resnet_ops.evaluation.reject import RejectParams
from resnet_ops.export.params import ExportParams, Quantisation, Tolerance
from resnet_ops.files import read_json
from resnet_ops.measurement import measurements_from_json
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.detection.pairing import image_precision
from resnet_ops.tasks.limits import beyond
from resnet_ops.tasks.measuring import detection
from resnet_ops.tasks.measuring.box_page import boxes_page
from resnet_ops.tasks.measuring.box_tables import confusion
from resnet_ops.tasks.measuring.measuring import measuring_of
from resnet_ops.tasks.parity.parity import parity_of
from resnet_ops.tasks.task import CLASSIFICATION, Task
from tests.unit.core.makers import ENGINE
from tests.unit.core.tasks.drawn_boxes import CLASSES, SIDE, make_detection, prepared_boxes
from tests.unit.core.tasks.masks import make_segmentation

PARAMS = EvaluateParams(
    confidence=0.95,
    calibration_bins=15,
    slices=SliceParams(columns=("class_name",), statistics=("brightness",), quantiles=2, min_images=2),
    robustness=RobustnessParams(images=0),
    gallery=3,
    operating_point=None,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepared_boxes(tmp_path_factory.mktemp("boxes"), count=80)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "RESAMPLES", 100)


class Answers:
    """Knows what is true of images, but for every third, of which it finds nothing, and adds a weak false alarm."""

    name, classes, image_size, channels = "knowing", ("background", *CLASSES), SIDE, 1
    task: Task = make_detection()
    depth: Depth = 8

    def __init__(self, data: PreparedData, sure: float = 0.9) -> None:
        self._known = {image.tobytes(): place for place, image in enumerate(data.images)}
        self._targets, self._sure = np.asarray(data.asked), sure

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        rows = np.zeros((len(images), 5, 6), np.float32)
        for row, image in zip(rows, images, strict=True):
            place = self._known[image.tobytes()]
            target = self._targets[place]
            if place % 3 and self._sure:
                row[: len(target), :4], row[: len(target), 5] = target[:, :4], target[:, 4]
                row[: len(target), 4] = self._sure * (target[:, 4] > 0)
            row[-1] = [0, 0, 5, 5, 0.1, 1]
        return Predictions(
            rows, rows[..., 4], np.zeros((len(images), 1)), rows[..., 5].astype(int), rows[..., :4]
        )


def test_an_evaluation_writes_what_every_task_writes(data: PreparedData, tmp_path: Path) -> None:
    model = Answers(data)
    found = measuring_of(data.task).evaluate(model, data, PARAMS, 0, lambda done, total: None, None)
    found.save("knowing", PARAMS, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("measurements.json", "metrics.json", "predictions.csv", "predictions.parquet", "confusion.csv"),
        *("slices.csv", "robustness.csv", "calibration.json", "operating_point.json", "reliability.svg"),
        "mistakes.html",
    }
    measured = measurements_from_json(read_json(tmp_path / "measurements.json"))
    assert {
        "test.ap",
        "test.ap50",
        "test.ap75",
        "validation.ap",
        "test.ap50.dark",
        "test.recall",
    } <= measured.keys()
    assert measured["test.threshold"].value == pytest.approx(0.9)
    assert read_json(tmp_path / "operating_point.json")["threshold"] == pytest.approx(0.9)
    assert measured["test.precision"].value == 1
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    test = data.split("test")
    places = [data.rows.index(row) for row in test.rows]
    empty = [not target[:, 4].any() for target in test.asked]
    expected = [1.0 if place % 3 or none else 0.0 for place, none in zip(places, empty, strict=True)]
    assert [row["path"] for row in rows] == [row.path for row in test.rows]
    assert [float(row["score"]) for row in rows] == expected
    assert measured["test.image_f1"].value == pytest.approx(np.mean(expected))
    page = (tmp_path / "mistakes.html").read_text()
    assert page.count('class="row"') == 3
    worst = [test.rows[place].path for place in np.argsort(expected, kind="stable")[:3]]
    assert [page.index(path) for path in worst] == sorted(page.index(path) for path in worst)
    assert 'class="wrong"' in page


def test_what_an_image_shows_is_called_as_in_the_manifest_whatever_is_rarest_in_its_split(
    data: PreparedData, tmp_path: Path
) -> None:
    for rare in CLASSES:
        named = replace(data, rows=[replace(row, class_name=rare) for row in data.rows])
        found = measuring_of(data.task).evaluate(
            Answers(data), named, PARAMS, 0, lambda done, total: None, None
        )
        found.save("knowing", PARAMS, tmp_path)
        rows = csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines())
        assert {row["actual"] for row in rows} == {rare}


def test_the_threshold_is_chosen_as_asked_and_where_nothing_is_found_no_box_counts(
    data: PreparedData,
) -> None:
    measuring = measuring_of(data.task)
    aim = replace(PARAMS, score_threshold=ScoreThresholdParams(aim="precision", at_least=0.05))
    lenient = measuring.evaluate(Answers(data), data, aim, 0, lambda done, total: None, None)
    assert lenient.measured["test.threshold"].value == pytest.approx(0.1)
    blind = measuring.evaluate(Answers(data, sure=0), data, PARAMS, 0, lambda done, total: None, None)
    assert blind.measured["test.threshold"].value == 1
    assert blind.measured["test.recall"].value == 0


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_without_an_object_is_named(data: PreparedData, split: str) -> None:
    targets = np.array(data.asked)
    targets[data.places(split), :, 5] = 1
    bare = replace(data, targets=targets)
    with pytest.raises(DataError, match=split):
        measuring_of(data.task).evaluate(Answers(bare), bare, PARAMS, 0, lambda done, total: None, None)


def test_what_is_asked_of_an_image_is_its_boxes_and_which_classes_there_are(
    data: PreparedData, tmp_path: Path
) -> None:
    moved = np.array(data.asked)
    moved[..., 2] -= moved[..., 4] > 0
    asked = []
    for other in (data, replace(data, targets=moved), replace(data, classes=(*data.classes, "dent"))):
        found = measuring_of(data.task).evaluate(
            Answers(data), other, PARAMS, 0, lambda done, total: None, None
        )
        found.save("knowing", PARAMS, tmp_path)
        rows = csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines())
        asked.append([row["asked"] for row in rows])
    assert len({each[1] for each in asked}) == 3


def test_boxes_are_confused_whatever_their_class() -> None:
    target = np.zeros((1, 3, 6))
    target[0] = [[0, 0, 10, 10, 1, 0], [20, 0, 30, 10, 2, 0], [0, 20, 10, 30, 1, 1]]
    rows = np.array([[0, 0, 10, 10, 0.9, 2], [0, 20, 10, 30, 0.8, 1], [20, 20, 30, 30, 0.7, 1]])
    scene = PreparedData(
        np.zeros((1, 32, 32, 1), np.uint8), np.zeros(1), [], ("background", "a", "b"), {}, target
    )
    assert confusion(scene, [rows]).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_boxes_within_a_crowd_are_no_mistakes(data: PreparedData, tmp_path: Path) -> None:
    """However small: COCO asks how much of the box lies in the crowd."""
    target = np.zeros((1, 2, 6), np.float32)
    target[0] = [[0, 0, 30, 30, 1, 1], [0, 0, 0, 0, 0, 0]]
    rows = np.array([[1, 1, 6, 6, 0.9, 1], [20, 20, 26, 26, 0.8, 1], [28, 28, 32, 32, 0.7, 1]])
    row = replace(data.rows[0], path="crowd.png")
    scene = PreparedData(
        np.zeros((1, 32, 32, 1), np.uint8), np.zeros(1), [row], ("background", "a"), {}, target
    )
    assert confusion(scene, [rows]).tolist() == [[0, 1], [0, 0]]
    assert image_precision(rows, target[0]) == pytest.approx(0.3)
    page = boxes_page("crowd", scene, [rows], np.zeros(1), 1, [], 0.5)
    assert "objects: 0, missed: 0, wrong boxes: 1" in page


def test_an_export_whose_boxes_lie_elsewhere_is_not_the_same(data: PreparedData) -> None:
    """Also where they overlap by half, which is enough to find an object."""
    targets = np.array(data.asked)
    targets[..., 0:3:2] += 0.2 * (targets[..., 2] - targets[..., 0])[..., None]
    original, moved = Answers(data), Answers(replace(data, targets=targets))
    found = parity_of(original, data.split("test")).measure(moved, 0.95)
    assert found["equal_predictions"].value < 0.8
    assert found["max_logit_difference"].value == pytest.approx(0.9)
    assert found["accuracy_loss"].value == 0


def test_what_a_task_does_not_have_is_said_with_what_to_set() -> None:
    plain = ExportParams(
        formats={},
        too_few_images="estimate",
        quantisation=Quantisation(calibration="minmax", images=8, reduce_range=True),
    )
    exact = Tolerance(max_logit_difference=0.0, min_equal_predictions=1.0, max_accuracy_loss=0.0)
    asks = replace(PARAMS, reject=RejectParams(max_risk=0.1), robustness=RobustnessParams(images=5))
    export, engine = replace(plain, formats={"onnx": exact, "pt2": exact}), replace(ENGINE, processes=2)
    assert list(beyond(make_detection(), 8, PARAMS, plain, ENGINE)) == []
    assert list(beyond(CLASSIFICATION, 16, asks, export, engine)) == []
    words = [line.split()[0] for line in beyond(make_detection(), 16, asks, export, engine)]
    assert words == [
        "evaluate.reject",
        "evaluate.robustness.images",
        "export.formats",
        "export.formats",
        "train.processes",
    ]
    assert [line.split()[0] for line in beyond(make_segmentation(), 16, asks, export, engine)] == [
        "evaluate.reject"
    ]
    boxes = replace(PARAMS, score_threshold=ScoreThresholdParams(aim="f1", at_least=None))
    assert list(beyond(make_detection(), 8, boxes, plain, ENGINE)) == []
    for task in (CLASSIFICATION, make_segmentation()):
        (line,) = beyond(task, 8, boxes, plain, ENGINE)
        assert line.split()[0] == "evaluate.score_threshold"
