"""A version with an operating point decides at its signed threshold: where MLflow serves it, and in an ONNX file."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.model import load_model
from resnet_ops.model_files import model_digest
from resnet_ops_registry.attestations.evidence import Evidence, Metric
from resnet_ops_registry.attestations.trust import list_trusted, revoke_key
from resnet_ops_registry.client.deciding_onnx import deciding_onnx
from resnet_ops_registry.client.loading import load
from resnet_ops_registry.database.tables import open_database
from tests.unit.core.exports import write_export
from tests.unit.core.makers import random_images
from tests.unit.core.tasks.masks import make_segmentation
from tests.unit.registry.conftest import NAME, Publisher, Runner

pytestmark = [pytest.mark.usefixtures("policy"), pytest.mark.slow]

CLASSES = tuple("0123456789")


def at_a_point(evidence: Evidence, threshold: float) -> Evidence:
    chosen = Metric(value=threshold, n=90, method="chosen on validation")
    return evidence.model_copy(
        update={"positive": ("3", "8"), "metrics": {**evidence.metrics, "operating.threshold": chosen}}
    )


def served(version: int = 1) -> object:
    return mlflow.pyfunc.load_model(f"models:/{NAME}/{version}").predict(random_images(60, seed=1))


def test_mlflow_answers_with_the_decision_at_the_signed_threshold_and_follows_newer_evidence(
    published: Publisher, make_evidence: Callable[..., Evidence], model_folder: Path
) -> None:
    probabilities = load_model(model_folder).predict(random_images(60, seed=1)).probabilities
    scores = OperatingPoint(("3", "8"), 0.5).scores(probabilities, CLASSES)
    for share in (0.3, 0.8):
        threshold = float(np.quantile(scores, share)) + 1e-5
        published(evidence=at_a_point(make_evidence(), threshold))
        answer = served()
        assert isinstance(answer, dict)
        assert list(answer) == ["probabilities", "score", "decision"]
        np.testing.assert_allclose(answer["probabilities"], probabilities, rtol=1e-5)
        assert answer["decision"].tolist() == (scores >= threshold).tolist()


def test_a_version_without_an_operating_point_answers_with_plain_probabilities(
    published: Publisher, model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published()
    answer = served()
    assert isinstance(answer, np.ndarray)
    assert answer.shape == (60, 10)
    assert caplog.text == ""


def test_an_answer_for_each_pixel_has_no_operating_point_to_set(published: Publisher) -> None:
    published()
    loaded = load(NAME, 1)
    masks = replace(loaded, model=SimpleNamespace(task=make_segmentation()))
    with pytest.raises(ConfigError, match="not there for segmentation"):
        deciding_onnx(masks)


def test_a_threshold_that_nobody_vouches_for_decides_nothing_and_the_log_says_so(
    published: Publisher,
    make_evidence: Callable[..., Evidence],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    published(evidence=at_a_point(make_evidence(), 0.3))
    assert isinstance(served(), dict)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setenv("MLFLOW_REGISTRY_URI", "http://elsewhere.example")
        assert isinstance(served(), np.ndarray)
    assert "answers without decisions" in caplog.text
    assert "Set them to the registry of the version" in caplog.text
    caplog.clear()
    with open_database() as connection:
        revoke_key(connection, list_trusted(connection)[0].id)
    assert isinstance(served(), np.ndarray)
    assert "has no evidence from a trusted key" in caplog.text


def test_an_exported_version_is_written_with_its_decision_by_the_command(
    client: MlflowClient,
    published: Publisher,
    make_evidence: Callable[..., Evidence],
    model_folder: Path,
    tmp_path: Path,
    run: Runner,
) -> None:
    import onnxruntime

    export = write_export(tmp_path / "onnx", exported_from=model_digest(model_folder), scale=0.005)
    said = {"member": "tiny-onnx", "format": "onnx", "exported_from": model_digest(model_folder)}
    published()
    evidence = at_a_point(make_evidence(folder=export).model_copy(update=said), 0.2)
    assert published(evidence=evidence, folder=export).version == 2
    shown = run("registry", "onnx", NAME, "2", str(tmp_path / "decides.onnx"))
    assert "3 or 8 from 0.2 on" in " ".join(shown.split())
    images = random_images(60, seed=1)
    session = onnxruntime.InferenceSession(tmp_path / "decides.onnx", providers=["CPUExecutionProvider"])
    logits, decided = session.run(["logits", "decision"], {"images": images})
    loaded = load(f"models:/{NAME}/2")
    answer = loaded.model.predict(images)
    assert logits.tobytes() == answer.logits.tobytes()
    point = OperatingPoint(("3", "8"), 0.2)
    scores = point.scores(answer.probabilities, CLASSES)
    clear = np.abs(scores - 0.2) > 1e-6
    assert decided[clear].tolist() == (scores >= 0.2)[clear].tolist()
    assert 0 < decided.mean() < 1
    assert load(f"models:/{NAME}/2").files_digest == loaded.files_digest


def test_weights_and_a_version_without_an_operating_point_have_no_such_file(
    published: Publisher, make_evidence: Callable[..., Evidence], model_folder: Path, tmp_path: Path
) -> None:
    published(evidence=at_a_point(make_evidence(), 0.3))
    with pytest.raises(ConfigError, match=r"is trained weights .* name it under deployments"):
        deciding_onnx(load(f"models:/{NAME}/1"))
    export = write_export(tmp_path / "onnx", exported_from=model_digest(model_folder), scale=0.005)
    said = {"member": "tiny-onnx", "format": "onnx", "exported_from": model_digest(model_folder)}
    published(evidence=make_evidence(folder=export).model_copy(update=said), folder=export)
    with pytest.raises(ConfigError, match="v2 has no operating point"):
        deciding_onnx(load(f"models:/{NAME}/2"))
