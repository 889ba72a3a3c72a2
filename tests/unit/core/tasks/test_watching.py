"""What production keeps of answers: numbers of an image, its kind, its score, and a picture."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from resnet_ops.predictions import Predictions, softmax
from resnet_ops.tasks.task import CONFIDENCE, IGNORED
from resnet_ops.tasks.watching.boxes import box_numbers, box_scalars
from resnet_ops.tasks.watching.classification import ClassificationWatching
from resnet_ops.tasks.watching.move import Move
from resnet_ops.tasks.watching.segmentation import SegmentationWatching
from resnet_ops.tasks.watching.watching import watched
from tests.unit.core.tasks.threshold_model import ThresholdModel, spotted

THREE = ("ground", "a", "b")
WATCHING = SegmentationWatching()


def answers(masks: list[list[list[int]]], sure: float = 0.9) -> Predictions:
    """Of a model that gives the class of each pixel this probability."""
    predicted = np.array(masks)
    chances = np.full((*predicted.shape, 3), (1 - sure) / 2, np.float32)
    np.put_along_axis(chances, predicted[..., None], np.float32(sure), axis=-1)
    probabilities = chances.transpose(0, 3, 1, 2)
    return Predictions(
        np.log(probabilities), probabilities, np.zeros((len(predicted), 4), np.float32), predicted
    )


def numbers(said: Predictions) -> list[dict[str, float]]:
    names = WATCHING.scalars(THREE)
    return [
        dict(zip(names, row.tolist(), strict=True)) for row in WATCHING.kept(said).probabilities.astype(float)
    ]


def test_a_mask_is_kept_as_shares_confidence_unsure_pixels_and_regions() -> None:
    (found,) = numbers(answers([[[1, 0, 0, 2], [1, 0, 0, 0], [0, 0, 0, 0], [2, 2, 0, 0]]]))
    assert found == pytest.approx(
        {"share of a": 2 / 16, "share of b": 3 / 16, CONFIDENCE: 0.9, "unsure pixels": 0, "regions": 3}
    )
    assert numbers(answers([[[0, 0], [0, 0]]], sure=0.6))[0]["unsure pixels"] == 1


def test_the_kind_is_the_class_that_covers_most_beside_the_background() -> None:
    said = answers([[[0, 0, 0], [1, 2, 2]], [[0, 0, 0], [0, 0, 0]], [[1, 1, 0], [0, 2, 0]]])
    assert WATCHING.kept(said).predicted.tolist() == [2, 0, 1]
    assert WATCHING.kinds(THREE) == THREE


def test_an_answer_that_is_not_finite_gives_numbers_that_are_not() -> None:
    said = answers([[[0, 1]], [[0, 1]]])
    said.probabilities[1, 0, 0, 0] = np.nan
    finite = np.isfinite(WATCHING.kept(said).probabilities)
    assert finite[0].all()
    assert not finite[1].any()


def test_a_picture_holds_the_classes_as_indices_and_shows_them_in_colours() -> None:
    said = answers([[[0, 1], [2, 1]]])
    content = WATCHING.answer(said, 0, THREE)
    picture = Image.open(BytesIO(base64.b64decode(content["mask"])))
    assert np.asarray(picture).tolist() == [[0, 1], [2, 1]]
    assert len({tuple(pixel) for row in np.asarray(picture.convert("RGB")).tolist() for pixel in row}) == 3
    assert content["shares"] == {"ground": 0.25, "a": 0.5, "b": 0.25}
    drawn = WATCHING.picture(said, 0, np.full((2, 2, 1), 100, np.uint8))
    assert drawn is not None
    assert Image.open(BytesIO(drawn)).mode == "RGB"


def test_the_truth_moves_with_the_image_and_what_comes_in_is_not_asked() -> None:
    asked = np.array([[[0, 1], [2, IGNORED]]], np.uint8)
    moved = WATCHING.moved(asked, Move(lambda maps: np.pad(maps, ((0, 0), (0, 0), (1, 0)))[:, :, :2], None))
    assert moved.tolist() == [[[IGNORED, 0], [IGNORED, 2]]]


def test_answers_are_asked_for_in_parts_and_scored() -> None:
    test = spotted(700).split("test")
    model = ThresholdModel()
    found = watched(model, test.images, test.asked)
    assert found.kept.probabilities.shape == (len(test), 4)
    np.testing.assert_array_equal(found.kept.predicted, test.labels)
    assert found.scores.tolist() == [1.0] * len(test)
    worse = watched(model, test.images // 2, test.asked)
    assert worse.scores.mean() < 0.7


def test_a_class_an_image_is_kept_as_it_is() -> None:
    logits = np.array([[0.0, 2.0], [1.0, 0.0]], np.float32)
    said = Predictions(logits, softmax(logits), np.zeros((2, 3), np.float32), logits.argmax(axis=1))
    watching = ClassificationWatching()
    assert watching.kept(said) is said
    assert watching.scalars(("a", "b")) == ()
    assert watching.scores(said, np.array([1, 1])).tolist() == [True, False]


def test_boxes_are_kept_as_how_many_how_large_how_sure_and_of_which_classes() -> None:
    found = [[0, 0, 10, 10, 0.9, 2], [0, 0, 10, 30, 0.6, 2], [5, 5, 15, 15, 0.6, 1], [0, 0, 50, 50, 0.4, 1]]
    none = [[0.0] * 6] * 4
    bad = [[0, 0, np.nan, 5, 0.9, 1], *none[:3]]
    seen = box_numbers(np.array([found, none, bad]), side=50, classes=3, threshold=0.5)
    names = box_scalars(("background", "cat", "dog"))
    assert names == ("boxes", "mean area", CONFIDENCE, "share of cat", "share of dog")
    np.testing.assert_allclose(seen.numbers[0], [3, 500 / 3 / 2500, 0.7, 1 / 3, 2 / 3], rtol=1e-6)
    assert seen.numbers[1].tolist() == [0] * 5
    assert np.isnan(seen.numbers[2]).all()
    assert seen.kinds[:2].tolist() == [2, 0]
