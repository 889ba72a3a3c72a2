"""A version that answers with boxes is served as one that answers with classes is."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import ExifTags, Image

from resnet_ops.errors import DataError
from resnet_ops.predictions import Predictions
from resnet_ops.preprocessing import Preprocessing
from resnet_ops.tasks.answers import boxes_of
from resnet_ops.tasks.watching.at_threshold import at_threshold
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.answer import Scores
from tests.unit.core.tasks.box_model import CLASSES, LOW, SIDE, BoxModel, drawn
from tests.unit.monitoring.serving.live import DATA, Live, fake_version, serving

MODEL = at_threshold(BoxModel(), 0.4)
TEST = drawn(60).split("test")


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    version = fake_version(MODEL)
    version.warm(4)
    with serving(version) as found:
        yield found


def test_objects_that_count_come_with_class_score_and_box(live: Live) -> None:
    said = Scores.model_validate(live.score(TEST.images[:5]).json()).model_dump(by_alias=True)["predictions"]
    for found, targets in zip(said, np.asarray(TEST.asked[:5]), strict=True):
        expected = sorted((CLASSES[int(row[4])], *row[:4].tolist()) for row in targets if row[4])
        assert sorted((each["class"], *each["box"]) for each in found["objects"]) == expected
        assert all(each["score"] >= 0.4 for each in found["objects"])
        assert (found["threshold"], found["side"], found["drawn"]) == (0.4, SIDE, None)


_STORED = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
"""How the pixels of an upright image lie in a file with this EXIF orientation."""


@pytest.mark.parametrize(
    ("fit", "square", "box"),
    [("crop", (0, 4, 24, 24), (16, 4, 40, 24)), ("pad", (6, 10, 20, 20), (12, 4, 40, 24))],
)
def test_a_box_also_comes_in_pixels_of_the_file_as_a_viewer_shows_it(
    fit: Literal["crop", "pad"], square: tuple[int, ...], box: tuple[int, ...]
) -> None:
    """The image is twice as wide as high, with one bright rectangle; crop cuts it."""
    upright = np.full((32, 64), 125, np.uint8)
    upright[4:24, 12:40] = 235
    version = fake_version(MODEL)
    version.preprocessing = replace(Preprocessing.of(DATA), image_size=SIDE, fit=fit, background=125)
    with serving(version) as server:
        for orientation, turn in _STORED.items():
            content, exif = BytesIO(), Image.Exif()
            exif[ExifTags.Base.Orientation] = orientation
            image = Image.fromarray(upright)
            (image if turn is None else image.transpose(turn)).save(content, "PNG", exif=exif)
            sent = server.post(data=content.getvalue(), headers={"Content-Type": "image/png"}).json()
            (found,) = sent["predictions"][0]["objects"]
            assert found["box"] == pytest.approx(square), orientation
            assert found["image_box"] == pytest.approx(box), orientation
        (of_array,) = server.score(TEST.images[1]).json()["predictions"]
        assert all("image_box" not in each for each in of_array["objects"])
        assert of_array["objects"]


def test_boxes_are_drawn_where_asked(live: Live) -> None:
    place = int(TEST.labels.argmax())
    (found,) = live.score(TEST.images[place], params={"drawn": "true"}).json()["predictions"]
    alone = live.score(TEST.images[place], params={"drawn": "true"}, headers={"Accept": "image/png"})
    assert alone.headers["content-type"] == "image/png"
    assert alone.content == base64.b64decode(found["drawn"])
    pixels = np.asarray(Image.open(BytesIO(alone.content)))
    left, top, *_ = (int(side) for side in found["objects"][0]["box"])
    assert (pixels[top, left] != TEST.images[place][top, left]).any()


def test_mlflows_clients_get_all_boxes(live: Live) -> None:
    found = live.post("/invocations", json={"inputs": TEST.images[:2].tolist()}).json()["predictions"]
    expected = MODEL.predict(TEST.images[:2])
    assert expected.boxes is not None
    np.testing.assert_allclose(found["boxes"], expected.boxes)
    np.testing.assert_allclose(found["scores"], expected.probabilities)
    np.testing.assert_array_equal(found["classes"], expected.predicted)
    assert min(score for row in found["scores"] for score in row if score) == pytest.approx(LOW)


def test_answers_are_logged_as_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    logged = fake_version(MODEL)
    logged.open_log(f"sqlite:///{tmp_path}/log.db")
    with serving(logged) as server:
        server.score(TEST.images[:7], headers={"X-Request-ID": "seven"})
    logged.close()
    rows = InferenceLog(f"sqlite:///{tmp_path}/log.db").read("digits-classifier").sort_values("request_id")
    objects = (np.asarray(TEST.asked[:7])[..., 4] > 0).sum(axis=1)
    assert [row[0] for row in rows["probabilities"]] == objects.tolist()
    assert [kind == "background" for kind in rows["predicted"]] == [not each for each in objects]


class Broken(BoxModel):
    """Its boxes have no ends."""

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        rows = np.full((len(images), 2, 6), np.inf, np.float32)
        return boxes_of(np.where(np.arange(6) < 4, rows, 1), np.zeros((len(images), 4), np.float32))


def test_boxes_without_ends_are_no_answer() -> None:
    with pytest.raises(DataError, match="finite"):
        fake_version(Broken()).warm(1)
    with serving(fake_version(Broken())) as server:
        assert server.score(TEST.images[:1]).status_code == 500
