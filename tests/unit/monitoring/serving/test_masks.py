"""A version that answers with masks is served as one that answers with classes is."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_ops.preprocessing import Preprocessing
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.answer import Scores
from resnet_ops_monitoring.serving.version import Version
from tests.unit.core.tasks.threshold_model import ThresholdModel, spotted
from tests.unit.monitoring.serving.fake_model import FakeModel, image
from tests.unit.monitoring.serving.live import DATA, SETTINGS, Live, fake_version, serving

MODEL = ThresholdModel()
TEST = spotted(60).split("test")


@pytest.fixture(scope="module")
def version() -> Version:
    return fake_version(MODEL)


@pytest.fixture(scope="module")
def live(version: Version) -> Iterator[Live]:
    version.warm(4)
    with serving(version) as found:
        yield found


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))


def test_masks_come_as_pictures_with_shares_in_the_order_of_the_images(live: Live) -> None:
    said = Scores.model_validate(live.score(TEST.images[:5]).json()).model_dump()["predictions"]
    for found, mask in zip(said, TEST.asked[:5], strict=True):
        np.testing.assert_array_equal(pixels(base64.b64decode(found["mask"])), mask)
        assert found["shares"] == pytest.approx({"background": (mask == 0).mean(), "spot": mask.mean()})
        assert (found["drawn"], found["embedding"]) == (None, None)


def test_a_mask_is_drawn_on_its_image_and_comes_with_embeddings_where_asked(live: Live) -> None:
    place = int(TEST.labels.argmax())
    asked = live.score(TEST.images[place], params={"drawn": "true", "embedding": "true"})
    (found,) = asked.json()["predictions"]
    drawn = pixels(base64.b64decode(found["drawn"]))
    ground = TEST.asked[place] == 0
    np.testing.assert_array_equal(drawn[ground], np.repeat(TEST.images[place][ground], 3, axis=1))
    assert (drawn[~ground] != np.repeat(TEST.images[place][~ground], 3, axis=1)).any()
    assert len(found["embedding"]) == 16


def test_who_takes_only_pictures_gets_the_mask_of_one_image(live: Live) -> None:
    answer = live.score(TEST.images[0], headers={"Accept": "image/png"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["x-model-version"] == "3"
    np.testing.assert_array_equal(pixels(answer.content), TEST.asked[0])
    refused = live.score(TEST.images[:2], headers={"Accept": "image/png"})
    assert refused.status_code == 406
    assert "2 images" in refused.text


def test_a_class_an_image_has_no_picture() -> None:
    with serving(fake_version(FakeModel())) as classes:
        refused = classes.score(image(3), headers={"Accept": "image/png"})
        assert refused.status_code == 406
        assert classes.score(image(3), params={"drawn": "true"}).json()["predictions"][0]["class"] == "3"


def test_mlflows_clients_get_probabilities_of_pixels(live: Live) -> None:
    answer = live.post("/invocations", json={"inputs": TEST.images[:2].tolist()})
    found = np.array(answer.json()["predictions"])
    np.testing.assert_allclose(found, MODEL.predict(TEST.images[:2]).probabilities, rtol=1e-6)


@pytest.mark.parametrize(("path", "name"), [("/v1/score", "images"), ("/invocations", "inputs")])
def test_a_request_for_more_masks_than_a_batch_has_is_refused(live: Live, path: str, name: str) -> None:
    """Its answers would fill memory, by many times what the images take."""
    for images, status in ((SETTINGS.max_batch, 200), (SETTINGS.max_batch + 1, 413)):
        answer = live.post(path, json={name: np.zeros((images, 16, 16, 1), int).tolist()})
        assert answer.status_code == status


def test_openapi_describes_masks_and_pictures(live: Live) -> None:
    described = live.get("/openapi.json").json()
    answers = described["paths"]["/v1/score"]["post"]["responses"]["200"]["content"]
    assert {*answers} == {"application/json", "image/png"}
    masks = described["components"]["schemas"]["MaskPrediction"]
    assert {*masks["required"]} == {"mask", "shares", "confidence"}


def test_answers_are_logged_as_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url, logged = f"sqlite:///{tmp_path}/log.db", fake_version(MODEL)
    logged.open_log(url)
    with serving(logged) as server:
        server.score(TEST.images[:7], headers={"X-Request-ID": "seven"})
    logged.close()
    rows = InferenceLog(url).read("digits-classifier")
    assert sorted(rows["request_id"]) == [f"seven#{place}" for place in range(7)]
    rows = rows.sort_values("request_id")
    assert rows["predicted"].tolist() == [row.class_name for row in TEST.rows[:7]]
    shares = [row[0] for row in rows["probabilities"]]
    np.testing.assert_allclose(shares, TEST.asked[:7].mean(axis=(1, 2)), rtol=1e-6)


def test_shares_of_a_file_are_of_its_image_and_not_of_what_is_beside_it() -> None:
    """The image is twice as wide as high, a quarter of it bright, and so is all that is beside it in the square."""
    bright = np.zeros((8, 16), np.uint8)
    bright[:, :4] = 200
    content = BytesIO()
    Image.fromarray(bright).save(content, "PNG")
    version = fake_version(MODEL)
    version.preprocessing = replace(Preprocessing.of(DATA), image_size=16, fit="pad", background=255)
    with serving(version) as server:
        sent = server.post(data=content.getvalue(), headers={"Content-Type": "image/png"}).json()
    (found,) = sent["predictions"]
    mask = pixels(base64.b64decode(found["mask"]))
    assert mask[:4].all()
    assert mask[12:].all()
    np.testing.assert_array_equal(mask[4:12], bright > 0)
    assert found["shares"] == pytest.approx({"background": 0.75, "spot": 0.25})
