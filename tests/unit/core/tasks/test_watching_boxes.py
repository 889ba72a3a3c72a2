"""What production keeps of boxes: from the version's own score on, scored as the evidence scores them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from resnet_ops.evaluation.params import EvaluateParams, RobustnessParams, SliceParams
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.answers import boxes_of
from resnet_ops.tasks.measuring.detection import DetectionMeasuring
from resnet_ops.tasks.watching.at_threshold import at_threshold
from resnet_ops.tasks.watching.detection import DetectionWatching
from resnet_ops.tasks.watching.move import Move
from resnet_ops.tasks.watching.watching import watched, watching_of
from tests.unit.core.tasks.box_model import CLASSES, LOW, SIDE, BoxModel, drawn
from tests.unit.core.tasks.threshold_model import ThresholdModel

PARAMS = EvaluateParams(
    confidence=0.95,
    calibration_bins=15,
    slices=SliceParams(columns=(), statistics=(), quantiles=2, min_images=2),
    robustness=RobustnessParams(images=0),
    gallery=3,
    operating_point=None,
)


def watching(threshold: float = 0.5) -> DetectionWatching:
    return DetectionWatching(SIDE, CLASSES, threshold)


def said(*rows: list[list[float]]) -> Predictions:
    """Of images with as many boxes each."""
    return boxes_of(np.array(rows, np.float32), np.zeros((len(rows), 4), np.float32))


def test_boxes_count_from_the_threshold_of_the_version_on() -> None:
    images = drawn(40).split("test").images
    counts = []
    for threshold in (LOW, LOW + 0.01):
        model = at_threshold(BoxModel(), threshold)
        found = watching_of(model)
        assert found.threshold == threshold
        counts.append(found.kept(model.predict(images)).probabilities[:, 0])
    np.testing.assert_array_equal(counts[0], counts[1] + 1)
    assert watching_of(BoxModel()).threshold == 0.5


def test_a_version_without_boxes_or_without_a_threshold_stays_as_it_is() -> None:
    model, boxes = ThresholdModel(), BoxModel()
    assert at_threshold(model, 0.5) is model
    assert at_threshold(boxes, None) is boxes
    assert watching_of(model).threshold is None


def test_scores_are_those_of_the_evaluation_at_its_threshold() -> None:
    data = drawn(200, faintest=150)
    evaluated = DetectionMeasuring().evaluate(BoxModel(), data, PARAMS, 0, lambda done, total: None, None)
    assert evaluated.threshold > LOW
    test = data.split("test")
    found = watched(at_threshold(BoxModel(), evaluated.threshold), test.images, test.asked)
    np.testing.assert_array_equal(found.scores, evaluated.scores)
    assert 0.5 < found.scores.mean() < 1
    assert found.kept.probabilities.shape == (len(test), 5)


def test_objects_move_with_the_camera_and_those_cut_off_are_not_asked() -> None:
    asked = np.array([[[20, 10, 28, 20, 1, 0], [1, 10, 9, 20, 2, 0], [0, 0, 4, 4, 1, 0], [0, 0, 0, 0, 0, 0]]])
    moved = watching().moved(asked.astype(np.float32), Move(lambda maps: maps, (2.5, -7.0)))
    assert moved is not None
    expected = [[13, 12.5, 21, 22.5, 1, 0], [0, 12.5, 2, 22.5, 2, 0], [0, 2.5, 0, 6.5, 0, 1]]
    expected[1][5] = 0  # a quarter of it is left
    np.testing.assert_allclose(moved[0, :3], expected)
    assert not moved[0, 3, 4]
    further = watching().moved(asked.astype(np.float32), Move(lambda maps: maps, (0, -8.0)))
    assert further is not None
    assert further[0, 1, 4:].tolist() == [2, 1]


def test_boxes_do_not_follow_a_turned_camera() -> None:
    assert watching().moved(np.zeros((1, 1, 6), np.float32), Move(lambda maps: maps, None)) is None


def test_an_answer_names_the_objects_that_count() -> None:
    found = watching().answer(said([[1, 2, 11, 12, 0.75, 2], [0, 0, 5, 5, 0.25, 1], [0] * 6]), 0, CLASSES)
    assert found == {
        "objects": [{"class": "dark", "score": 0.75, "box": [1, 2, 11, 12]}],
        "threshold": 0.5,
        "side": SIDE,
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_boxes_are_drawn_on_their_image(channels: int) -> None:
    image = np.full((SIDE, SIDE, channels), 100, np.uint8)
    answer = said([[1, 2, 11, 12, 0.75, 2], [0, 0, 5, 5, 0.25, 1]])
    pixels = np.asarray(Image.open(BytesIO(watching().picture(answer, 0, image))))
    changed = (pixels != 100).any(axis=2)
    assert {tuple(place) for place in np.argwhere(changed)} >= {(2, 1), (12, 11), (2, 6)}
    assert changed.sum() == 40
    assert np.asarray(Image.open(BytesIO(watching().picture(answer, 0, None))))[20, 20].tolist() == [0, 0, 0]


def test_an_answer_that_is_not_finite_gives_numbers_that_are_not() -> None:
    answer = said([[1, 2, np.inf, np.inf, 0.75, 2]], [[1, 2, 11, 12, 0.75, 2]])
    finite = np.isfinite(watching().kept(answer).probabilities).all(axis=1)
    assert finite.tolist() == [False, True]
    assert len(watching().scores(answer, np.zeros((2, 1, 6), np.float32))) == 2
