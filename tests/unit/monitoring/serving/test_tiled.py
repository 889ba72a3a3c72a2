"""A version that sees large images in tiles takes each as one image, and answers and logs as it was evaluated."""

from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_ops.model import TrainedModel
from resnet_ops.tasks.heads.head import head_of
from resnet_ops.tasks.task import chosen
from resnet_ops.tasks.tiles import Tiles
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.scorer import Scorer
from tests.unit.core.makers import TINY, random_images
from tests.unit.monitoring.serving.live import fake_version, serving

CLASSES = ("bad", "good")


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    torch.manual_seed(0)
    task = chosen("classification", None, None, Tiles(side=16, overlap=4, pool="max", normal="good"))
    return TrainedModel(
        network=head_of(task, CLASSES).network(TINY, 1, 2).eval(),
        name="tiny",
        member=TINY,
        classes=CLASSES,
        image_size=40,
        channels=1,
        mean=(0.5,),
        std=(0.25,),
        task=task,
    )


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
