"""An export of a segmentation model answers as the original does."""

from pathlib import Path

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
from tests.unit.core.tasks.masks import make_segmentation, prepared_spots

STRICT = Tolerance(max_logit_difference=0.001, min_equal_predictions=0.999, max_accuracy_loss=0.001)
PARAMS = ExportParams(
    too_few_images="estimate",
    formats={"pt2": STRICT, "onnx": STRICT},
    quantisation=Quantisation(calibration="minmax", images=8, reduce_range=True),
)


@pytest.fixture(scope="module", params=["deeplabv3", "unet"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepared_spots(tmp_path_factory.mktemp("spots"), make_segmentation(head=request.param))


@pytest.fixture(scope="module")
def model(data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("model")
    save_model(fit(make_plan(make_recipe(epochs=1, batch_size=8)), data), folder)
    return load_model(folder)


@pytest.mark.slow
def test_exports_answer_with_the_same_masks(data: PreparedData, model: TrainedModel, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    results = export_model(model, "a" * 64, data, PARAMS, 0.95, tmp_path)
    for format_, result in results.items():
        assert result.verdict.refusals == (), format_
        assert {"miou", "bytes"} <= result.measured.keys()
        exported = load_exported(tmp_path / format_)
        assert exported.task == data.task
        answers = exported.predict(np.array(data.images[:3]))
        assert answers.predicted.shape == (3, 16, 16)
        np.testing.assert_allclose(answers.logits, model.predict(np.array(data.images[:3])).logits, atol=1e-3)
        assert answers.probabilities.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("data", ["deeplabv3"], indirect=True)
def test_another_models_masks_are_far(data: PreparedData, model: TrainedModel) -> None:
    test = data.split("test")
    other = fit(make_plan(make_recipe(epochs=1, batch_size=8), seed=1), data)
    same, far = (parity_of(model, test).measure(each, 0.95) for each in (model, other))
    assert same["max_logit_difference"].value == 0
    assert (same["equal_predictions"].value, same["accuracy_loss"].value) == (1, 0)
    assert same["accuracy_loss"].high is not None
    assert 0 < same["accuracy_loss"].high < 0.5
    assert far["max_logit_difference"].value > 0.001
    assert far["equal_predictions"].value < 1
