"""A detector as an MLflow model answers with its boxes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from resnet_ops.model import TrainedModel, save_model
from resnet_ops.tasks.heads.head import head_of
from resnet_ops_registry.client.packaging import build_model_folder
from tests.unit.core.makers import TINY, random_images
from tests.unit.core.tasks.drawn_boxes import CLASSES, SIDE, make_detection


@pytest.mark.slow
def test_a_packaged_detector_answers_with_boxes_scores_and_classes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task, classes = make_detection(), ("background", *CLASSES)
    model = TrainedModel(
        network=head_of(task).network(TINY, 1, len(classes)).eval(),
        name="tiny",
        member=TINY,
        classes=classes,
        image_size=SIDE,
        channels=1,
        mean=(0.5,),
        std=(0.25,),
        task=task,
    )
    save_model(model, tmp_path / "model")
    packaged = build_model_folder(tmp_path / "model", tmp_path / "packaged")
    assert "torchvision==" in (packaged / "requirements.txt").read_text()
    import mlflow.pyfunc  # which warns of its own hints where it is imported first

    images = random_images(2, size=SIDE)
    answers, expected = mlflow.pyfunc.load_model(str(packaged)).predict(images), model.predict(images)
    assert {*answers} == {"boxes", "scores", "classes"}
    np.testing.assert_array_equal(answers["boxes"], expected.boxes)
    np.testing.assert_array_equal(answers["classes"], expected.predicted)
