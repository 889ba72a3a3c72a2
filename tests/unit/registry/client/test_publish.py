import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops.export.exported import ExportedModel, load_exported
from resnet_ops.files import read_json
from resnet_ops.model import load_model
from resnet_ops.model_files import model_digest
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import list_trusted, revoke_key
from resnet_ops_registry.client.loading import load
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.database.tables import open_database
from tests.unit.core.exports import write_export
from tests.unit.registry.conftest import NAME, Publisher, evidence_of, publish_model

pytestmark = pytest.mark.usefixtures("policy")


@pytest.mark.slow
def test_a_model_is_published_once(client: MlflowClient, published: Publisher) -> None:
    first, second = published(), published()
    assert (first.created, second.created) == (True, False)
    assert (first.version, first.run_id) == (second.version, second.run_id)
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 1
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 1
    assert len(client.get_metric_history(first.run_id, "train.loss")) == 2


@pytest.mark.slow
def test_the_version_page_says_what_the_gate_thinks(client: MlflowClient, published: Publisher) -> None:
    tags = client.get_model_version(NAME, str(published(low=0.9).version)).tags
    assert tags["gate champion"].startswith(
        "refused: test.top1 0.980 (0.900-0.990, n=360): its interval's low end is below 0.95"
    )
    assert tags["evidence"].startswith("signed by pipeline ")
    assert "resnet_ops.statement" not in tags
    description = client.get_model_version(NAME, "1").description
    assert description is not None
    assert "| test.top1 | 0.980 (0.900-0.990, n=360) |" in description


@pytest.mark.slow
def test_new_measurements_of_the_same_weights_keep_the_version(
    client: MlflowClient, published: Publisher
) -> None:
    published(low=0.9)
    again = published(low=0.96)
    assert (again.version, again.created) == (1, False)
    assert client.get_model_version(NAME, "1").tags["gate champion"] == "passes"


@pytest.mark.slow
def test_the_run_of_a_live_training_is_completed(
    client: MlflowClient, published: Publisher, make_evidence: Callable[..., Evidence]
) -> None:
    experiment = client.create_experiment("digits")
    run = client.create_run(experiment, tags={"resnet_ops.weights_digest": make_evidence().weights_digest})
    client.log_metric(run.info.run_id, "train.loss", 2.0, step=0)
    result = published()
    assert result.run_id == run.info.run_id
    assert sorted(m.step for m in client.get_metric_history(result.run_id, "train.loss")) == [0, 1]
    assert client.get_run(result.run_id).info.status == "FINISHED"


@pytest.mark.slow
def test_mlflow_itself_loads_and_runs_the_model(published: Publisher, model_folder: Path) -> None:
    published()
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    answer = mlflow.pyfunc.load_model(f"models:/{NAME}/1").predict(images)
    np.testing.assert_allclose(answer, load_model(model_folder).predict(images).probabilities, rtol=1e-5)


def test_evidence_about_other_weights_is_not_published(
    published: Publisher, make_evidence: Callable[..., Evidence]
) -> None:
    other = make_evidence().model_copy(update={"weights_digest": "0" * 64})
    with pytest.raises(EvidenceError, match="about other weights"):
        published(evidence=other)


@pytest.mark.slow
def test_only_the_first_key_is_trusted_by_itself(published: Publisher, project: Path) -> None:
    published(low=0.96)
    with open_database() as connection:
        revoke_key(connection, list_trusted(connection)[0].id)
    (project / "var" / "keys" / "pipeline.pem").unlink()
    (project / "var" / "keys" / "pipeline.pub.pem").unlink()
    with pytest.raises(EvidenceError, match=r"keys trust FILE --role pipeline"):
        published(low=0.97)
    assert len(open_key("pipeline").public.id) == 64


STEPS = [
    "resnet_ops_registry.client.runs.find_or_create",
    "resnet_ops_registry.client.publish._log_model",
    "resnet_ops_registry.client.publish._create_version",
    "resnet_ops_registry.client.publish.send",
    "resnet_ops_registry.client.runs._log_params",
    "resnet_ops_registry.client.runs._log_artifacts",
    "resnet_ops_registry.cards.publishing._log",
]


def publish_and_die(
    step: str, project: Path, settings: dict[str, str], folder: Path, evidence: Evidence
) -> None:
    """Publish, and `kill -9` oneself right after the step has done its work."""
    os.chdir(project)
    os.environ.update(settings)
    module, _, function = step.rpartition(".")
    done = getattr(sys.modules[module], function)

    def killed(*arguments: Any) -> None:
        done(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(sys.modules[module], function, killed)
    publish_model(connect(), folder, evidence=evidence)


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("step", STEPS)
def test_a_publication_killed_after_any_step_is_continued(
    step: str,
    project: Path,
    client: MlflowClient,
    published: Publisher,
    model_folder: Path,
    elsewhere: ForkServerContext,
) -> None:
    settings = {"MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"]}
    process = elsewhere.Process(
        target=publish_and_die, args=(step, project, settings, model_folder, evidence_of(model_folder, 0.96))
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    result = published()
    assert [int(version.version) for version in client.search_model_versions(f"name = '{NAME}'")] == [1]
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    assert [run.info.run_id for run in client.search_runs([experiment.experiment_id])] == [result.run_id]
    assert len(client.search_logged_models([experiment.experiment_id])) == 1
    version = client.get_model_version(NAME, "1")
    assert version.tags["gate champion"] == "passes"
    assert "| test.top1 |" in str(version.description)
    client.set_registered_model_alias(NAME, "champion", "1")


@pytest.fixture
def export(project: Path, model_folder: Path) -> Path:
    return write_export(project / "exports" / "tiny" / "onnx", exported_from=model_digest(model_folder))


def about_export(make_evidence: Callable[..., Evidence], export: Path, **changes: object) -> Evidence:
    origin = read_json(export / "member.json")["exported_from"]
    said = {"member": "tiny-onnx", "format": "onnx", "exported_from": origin, **changes}
    return make_evidence(folder=export).model_copy(update=said)


@pytest.mark.slow
def test_an_export_is_a_version_of_its_own_with_its_own_evidence(
    client: MlflowClient, published: Publisher, make_evidence: Callable[..., Evidence], export: Path
) -> None:
    trained = published(low=0.9)
    exported = published(evidence=about_export(make_evidence, export), folder=export)
    assert (trained.version, exported.version, exported.created) == (1, 2, True)
    assert published(evidence=about_export(make_evidence, export), folder=export).created is False
    tags = {version: client.get_model_version(NAME, version).tags for version in ("1", "2")}
    assert tags["1"]["gate champion"].startswith("refused")
    assert tags["2"]["gate champion"] == "passes"
    assert tags["1"]["resnet_ops.files_digest"] != tags["2"]["resnet_ops.files_digest"]
    assert client.get_run(exported.run_id).data.tags["mlflow.parentRunId"] == trained.run_id
    assert "tiny-onnx, onnx of " in str(client.get_model_version(NAME, "2").description)


@pytest.mark.slow
def test_an_export_is_loaded_verified_and_run_by_us_and_by_mlflow(
    published: Publisher, make_evidence: Callable[..., Evidence], export: Path
) -> None:
    published(evidence=about_export(make_evidence, export), folder=export)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    expected = load_exported(export).predict(images)
    loaded = load(f"models:/{NAME}/1")
    assert isinstance(loaded.model, ExportedModel)
    assert loaded.weights_digest == model_digest(export)
    np.testing.assert_array_equal(loaded.model.predict(images).logits, expected.logits)
    answer = mlflow.pyfunc.load_model(f"models:/{NAME}/1").predict(images)
    np.testing.assert_allclose(answer, expected.probabilities, rtol=1e-5)


@pytest.mark.parametrize(
    "changes", [{"format": "int8"}, {"exported_from": "1" * 64}, {"exported_from": None}]
)
def test_evidence_that_says_otherwise_than_the_export_is_not_published(
    published: Publisher, make_evidence: Callable[..., Evidence], export: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(EvidenceError, match=r"holds onnx made from"):
        published(evidence=about_export(make_evidence, export, **changes), folder=export)


def test_an_export_that_would_be_unpickled_is_not_published(
    published: Publisher, make_evidence: Callable[..., Evidence], export: Path
) -> None:
    (export / "model.onnx").rename(export / "model.pt2")
    with pytest.raises(ConfigError, match="reads a pickle"):
        published(evidence=about_export(make_evidence, export), folder=export)
