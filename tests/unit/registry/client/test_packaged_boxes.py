"""A detector as an MLflow model answers with its boxes."""

from pathlib import Path

import numpy as np
import pytest

from resnet_ops.model import save_model
from resnet_ops_registry.client.packaging import build_model_folder
from tests.unit.core.makers import random_images, untrained_for
from tests.unit.core.tasks.drawn_boxes import CLASSES, SIDE, make_detection


@pytest.mark.slow
def test_a_packaged_detector_answers_with_boxes_scores_and_classes(tmp_path: Path) -> None:
    model = untrained_for(make_detection(), ("background", *CLASSES), SIDE)
    save_model(model, tmp_path / "model")
    packaged = build_model_folder(tmp_path / "model", tmp_path / "packaged")
    assert "torchvision==" in (packaged / "requirements.txt").read_text()
    import mlflow.pyfunc  # which warns of its own hints where it is imported first

    images = random_images(2, size=SIDE)
    answers, expected = mlflow.pyfunc.load_model(str(packaged)).predict(images), model.predict(images)
    assert {*answers} == {"boxes", "scores", "classes"}
    np.testing.assert_array_equal(answers["boxes"], expected.boxes)
    np.testing.assert_array_equal(answers["classes"], expected.predicted)
