"""A version that sees large images in tiles takes each as one image, and answers and logs as it was evaluated."""

import asyncio
from datetime import UTC, datetime
from io import BytesIO
from threading import Event

import numpy as np
import pytest
from PIL import Image

from resnet_ops.model import TrainedModel
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.task import chosen
from resnet_ops.tasks.tiles import Tiles
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.batching import Batcher
from resnet_ops_monitoring.serving.scorer import Scorer
from resnet_ops_monitoring.serving.serving_metrics import ServingMetrics
from tests.unit.core.makers import random_images, untrained_for
from tests.unit.core.tasks.masks import make_segmentation
from tests.unit.monitoring.serving.live import fake_version, serving

CLASSES = ("bad", "good")


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    tiles = Tiles(side=16, overlap=4, pool="max", normal="good")
    return untrained_for(chosen("classification", None, None, tiles), CLASSES, 40)


@pytest.fixture(scope="module")
def masks() -> TrainedModel:
    """Of images in 9 tiles, so that 7 of them have no more than 64."""
    settings = make_segmentation(auxiliary=False, classes={"bad": 0, "good": 1})
    tiles = Tiles(side=16, overlap=4, pool=None, normal=None)
    return untrained_for(chosen("segmentation", settings, None, tiles), CLASSES, 40)


def test_an_image_is_one_request_and_one_answer(model: TrainedModel) -> None:
    (image,) = random_images(1, size=40)
    content = BytesIO()
    Image.fromarray(image[..., 0]).save(content, "PNG")
    with serving(fake_version(model)) as live:
        asked = live.post(data=content.getvalue(), headers={"Content-Type": "image/png"})
        (said,) = asked.json()["predictions"]
    found = model.predict(image[None]).probabilities[0]
    assert said["probabilities"] == pytest.approx(dict(zip(CLASSES, found.tolist(), strict=True)), abs=1e-5)


def test_an_image_is_one_row_of_the_log(model: TrainedModel) -> None:
    images, now = random_images(5, size=40), datetime(2026, 1, 5, tzinfo=UTC)
    scorer = Scorer(model, ModelIdentity("parts", "1", "d" * 64), batch_size=2)
    rows = scorer.score(images, [f"r{n}" for n in range(5)], [now] * 5)
    found = model.predict(images)
    assert len(rows) == 5
    np.testing.assert_allclose(np.stack(list(rows["probabilities"])), found.probabilities, atol=1e-5)
    np.testing.assert_allclose(np.stack(list(rows["embedding"])), found.embeddings, atol=1e-4)
    assert list(rows["predicted"]) == [CLASSES[place] for place in found.predicted]


def test_a_request_for_masks_has_no_more_images_than_are_answered_together(masks: TrainedModel) -> None:
    images = random_images(8, size=40)
    with serving(fake_version(masks)) as live:
        assert live.score(images).status_code == 413
        assert live.score(images[:7]).status_code == 200


def test_requests_for_masks_share_a_batch_up_to_as_many(
    masks: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun, asked = Event(), Event(), list[int]()
    predict = TrainedModel.predict

    def slowly(model: TrainedModel, images: np.ndarray, batch_size: int = 256) -> Predictions:
        asked.append(len(images))
        begun.set()
        assert go.wait(60)
        return predict(model, images, batch_size)

    monkeypatch.setattr(TrainedModel, "predict", slowly)

    async def ask() -> None:
        batcher = Batcher(max_batch=64, gather=0, most_waiting=64, metrics=ServingMetrics())
        tasks = [asyncio.create_task(batcher.ask(masks, image[None])) for image in random_images(1, size=40)]
        await asyncio.to_thread(begun.wait)
        tasks += [asyncio.create_task(batcher.ask(masks, image[None])) for image in random_images(9, size=40)]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*tasks)
        await asyncio.to_thread(batcher.close)

    asyncio.run(ask())
    assert asked == [1, 7, 2]


def test_a_version_with_masks_is_tried_with_no_more_before_it_answers(
    masks: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, predict = list[int](), TrainedModel.predict

    def counted(model: TrainedModel, images: np.ndarray, batch_size: int = 256) -> Predictions:
        asked.append(len(images))
        return predict(model, images, batch_size)

    monkeypatch.setattr(TrainedModel, "predict", counted)
    fake_version(masks).warm(64)
    assert asked == [1, 7]
