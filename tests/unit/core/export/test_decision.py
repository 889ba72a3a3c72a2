"""An ONNX file with a decision decides as the version does, by the same threshold, and is otherwise the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from resnet_ops.data import PreparedData
from resnet_ops.errors import DataError
from resnet_ops.evaluation.operating_point import (
    OperatingPoint,
    OperatingPointParams,
    choose_threshold,
    score,
)
from resnet_ops.evaluation.temperature import log_softmax
from resnet_ops.export.decision import with_decision
from resnet_ops.export.exported import load_exported
from resnet_ops.export.formats import export_model
from resnet_ops.export.params import ExportParams, Quantisation, Tolerance
from tests.unit.core.exports import CLASSES, write_export
from tests.unit.core.makers import random_images, untrained

POINT = OperatingPoint(("3", "8"), 0.2)
ROUNDING = 1e-6


def answers(content: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def agrees(answer: dict[str, np.ndarray], point: OperatingPoint, probabilities: np.ndarray) -> None:
    expected = point.scores(probabilities, CLASSES)
    np.testing.assert_allclose(answer["score"], expected, rtol=0, atol=ROUNDING)
    clear = np.abs(expected - point.threshold) > ROUNDING
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(answer["decision"][clear], point.called(probabilities, CLASSES)[clear])
    assert 0 < answer["decision"].mean() < 1


@pytest.mark.parametrize("batch", [1, 300])
def test_the_decision_is_that_of_the_operating_point_and_the_other_outputs_keep_their_bits(
    tmp_path: Path, batch: int
) -> None:
    folder, images = write_export(tmp_path, scale=0.005), random_images(300, seed=2)
    before = (folder / "model.onnx").read_bytes()
    said = load_exported(folder).predict(images, batch_size=batch)
    point = OperatingPoint(("3", "8"), float(np.median(POINT.scores(said.probabilities, CLASSES))) + 1e-4)
    content = with_decision(before, point, CLASSES)
    parts = [answers(content, images[start : start + batch]) for start in range(0, 300, batch)]
    answer = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    assert list(answer) == ["logits", "embeddings", "score", "decision"]
    assert answer["logits"].tobytes() == said.logits.tobytes()
    assert answer["embeddings"].tobytes() == said.embeddings.tobytes()
    agrees(answer, point, said.probabilities)
    assert (folder / "model.onnx").read_bytes() == before


def test_where_the_threshold_is_the_score_itself_the_image_is_called_positive(tmp_path: Path) -> None:
    folder, images = write_export(tmp_path, scale=0.005), random_images(50, seed=3)
    before = (folder / "model.onnx").read_bytes()
    scores = answers(with_decision(before, POINT, CLASSES), images)["score"]
    again = answers(with_decision(before, OperatingPoint(("3", "8"), float(scores[7])), CLASSES), images)
    assert again["decision"].tolist() == (scores >= scores[7]).tolist()
    assert again["decision"][7]


def test_an_image_without_finite_numbers_is_not_called_positive(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(write_export(tmp_path, scale=0.005) / "model.onnx")
    weights = model.graph.initializer[1]
    weights.CopyFrom(numpy_helper.from_array(np.full((8, 10), np.nan, np.float32), weights.name))
    always = OperatingPoint(("3", "8"), 0.0)
    answer = answers(with_decision(model.SerializeToString(), always, CLASSES), random_images(4))
    assert not answer["decision"].any()


def test_the_file_says_where_it_decides_and_is_not_given_a_second_decision(tmp_path: Path) -> None:
    import onnx

    content = with_decision((write_export(tmp_path, scale=0.005) / "model.onnx").read_bytes(), POINT, CLASSES)
    told = {each.key: each.value for each in onnx.load_from_string(content).metadata_props}
    assert (json.loads(told["positive"]), float(told["threshold"])) == (["3", "8"], 0.2)
    with pytest.raises(DataError, match="decision, embeddings, logits, score cannot be given a decision"):
        with_decision(content, POINT, CLASSES)


@pytest.mark.slow
def test_exports_in_32_and_8_bits_decide_as_python_does_at_their_own_threshold(
    digits: PreparedData, tmp_path: Path
) -> None:
    loose = Tolerance(max_logit_difference=10.0, min_equal_predictions=0.01, max_accuracy_loss=0.9)
    params = ExportParams(
        formats={"onnx": loose, "int8": loose},
        too_few_images="estimate",
        quantisation=Quantisation(calibration="minmax", images=64, reduce_range=True),
    )
    export_model(untrained(), "0" * 64, digits, params, 0.95, tmp_path)
    aim = OperatingPointParams(positive=("3", "8"), aim="sensitivity", at_least=0.5, prevalence=None)
    validation, test = digits.split("validation"), digits.split("test")
    for format_ in ("onnx", "int8"):
        exported = load_exported(tmp_path / format_)
        learned = np.exp(log_softmax(exported.predict(validation.images).logits))
        threshold = choose_threshold(*score(learned, validation.labels, CLASSES, aim.positive), aim)
        assert threshold is not None
        point, said = OperatingPoint(aim.positive, threshold), exported.predict(test.images)
        content = with_decision((tmp_path / format_ / "model.onnx").read_bytes(), point, CLASSES)
        parts = [answers(content, test.images[start : start + 256]) for start in range(0, len(test), 256)]
        answer = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        assert answer["logits"].tobytes() == said.logits.tobytes()
        agrees(answer, point, said.probabilities)  # as it is served
        agrees(answer, point, np.exp(log_softmax(said.logits)))  # as it was measured
