"""An export of a detector answers with the same boxes, as many as each image has."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_ops.data import PreparedData
from resnet_ops.export.exported import load_exported
from resnet_ops.export.formats import export_model
from resnet_ops.export.params import ExportParams, Quantisation, Tolerance
from resnet_ops.model import TrainedModel, load_model, save_model
from resnet_ops.tasks.parity.parity import parity_of
from resnet_ops.training.loop import fit
from tests.unit.core.makers import make_plan, make_recipe
from tests.unit.core.tasks.drawn_boxes import SIDE, prepared_boxes

PARAMS = ExportParams(
    too_few_images="estimate",
    formats={"onnx": Tolerance(max_logit_difference=0.001, min_equal_predictions=1.0, max_accuracy_loss=0.0)},
    quantisation=Quantisation(calibration="minmax", images=8, reduce_range=True),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepared_boxes(tmp_path_factory.mktemp("boxes"))


def trained(data: PreparedData, folder: Path, seed: int = 0) -> TrainedModel:
    recipe = make_recipe(
        epochs=4, batch_size=8, optimiser="adamw", peak_lr=0.3, label_smoothing=0.0, crop_padding=0
    )
    save_model(fit(make_plan(recipe, seed), data), folder)
    return load_model(folder)


@pytest.mark.slow
def test_an_export_answers_with_the_same_boxes(data: PreparedData, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model: Any = trained(data, tmp_path / "model")
    images = np.array(data.images[:9])
    model.network.detector.score_thresh = float(np.quantile(model.predict(images).probabilities, 0.7))
    result = export_model(model, "a" * 64, data, PARAMS, 0.95, tmp_path)["onnx"]
    assert result.verdict.refusals == ()
    assert {"ap", "bytes"} <= result.measured.keys()
    exported = load_exported(tmp_path / "onnx")
    assert exported.task == data.task
    answers, original = exported.predict(images), model.predict(images)
    assert len({*(answers.predicted > 0).sum(axis=1).tolist()}) > 1  # each image has its own number
    assert answers.boxes is not None
    np.testing.assert_allclose(answers.logits, original.logits, atol=1e-3)
    np.testing.assert_allclose(answers.embeddings, original.embeddings, atol=1e-3)
    assert exported.predict(images[:1]).boxes is not None
    assert exported.predict(images[:0]).logits.shape == model.predict(images[:0]).logits.shape
    assert exported.image_size == SIDE


@pytest.mark.slow
def test_another_models_boxes_are_far(data: PreparedData, tmp_path: Path) -> None:
    model, other = trained(data, tmp_path / "a"), trained(data, tmp_path / "b", seed=1)
    same, far = (parity_of(model, data.split("test")).measure(each, 0.95) for each in (model, other))
    assert same["max_logit_difference"].value == 0
    assert (same["equal_predictions"].value, same["accuracy_loss"].value) == (1, 0)
    assert same["accuracy_loss"].high is not None
    assert 0 < same["accuracy_loss"].high < 0.5
    assert far["max_logit_difference"].value > 0.001
    assert far["equal_predictions"].value < 1
