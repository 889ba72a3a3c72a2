import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from resnet_ops.errors import EvidenceError
from resnet_ops.model import load_model
from resnet_ops_registry.database import open_database
from resnet_ops_registry.evidence import Evidence
from resnet_ops_registry.keys import open_key
from resnet_ops_registry.publish import Published
from resnet_ops_registry.trust import list_trusted, revoke_key

NAME = "digits-classifier"
Publisher = Callable[..., Published]

pytestmark = pytest.mark.usefixtures("policy")


def test_a_model_is_published_once(client: MlflowClient, published: Publisher) -> None:
    first, second = published(), published()
    assert (first.created, second.created) == (True, False)
    assert (first.version, first.run_id) == (second.version, second.run_id)
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 1
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 1
    assert len(client.get_metric_history(first.run_id, "train.loss")) == 2


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


def test_new_measurements_of_the_same_weights_keep_the_version(
    client: MlflowClient, published: Publisher
) -> None:
    published(low=0.9)
    again = published(low=0.96)
    assert (again.version, again.created) == (1, False)
    assert client.get_model_version(NAME, "1").tags["gate champion"] == "passes"


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


def test_only_the_first_key_is_trusted_by_itself(published: Publisher, project: Path) -> None:
    published(low=0.96)
    with open_database() as connection:
        revoke_key(connection, list_trusted(connection)[0].id)
    (project / "var" / "keys" / "pipeline.pem").unlink()
    (project / "var" / "keys" / "pipeline.pub.pem").unlink()
    with pytest.raises(EvidenceError, match=r"not trusted here.*resnet-ops keys trust FILE --role pipeline"):
        published(low=0.97)
    assert len(open_key("pipeline").public.id) == 64


STEPS = [
    "resnet_ops_registry.runs.find_or_create",
    "resnet_ops_registry.publish._log_model",
    "resnet_ops_registry.publish._create_version",
    "resnet_ops_registry.publish.send",
    "resnet_ops_registry.runs._log_params",
    "resnet_ops_registry.runs._log_artifacts",
]


@pytest.mark.e2e
@pytest.mark.parametrize("step", STEPS)
def test_a_publication_killed_after_any_step_is_continued(
    step: str,
    client: MlflowClient,
    published: Publisher,
    model_folder: Path,
    make_evidence: Callable[..., Evidence],
) -> None:
    """`kill -9` right after the step has done its work, in another process; then publish again."""
    module, _, function = step.rpartition(".")
    (evidence_file := model_folder.parent / "evidence.json").write_text(make_evidence().model_dump_json())
    code = f"""
import os, signal, sys
from pathlib import Path
import {module} as module
from resnet_ops_registry.evidence import Evidence
from resnet_ops_registry.publish import publish
from resnet_ops_registry.settings import connect
done = module.{function}
def killed(*args):
    done(*args)
    os.kill(os.getpid(), signal.SIGKILL)
module.{function} = killed
folder = Path({str(model_folder)!r})
publish(connect(), registered_model={NAME!r}, experiment="digits", member="tiny", model_folder=folder,
        evidence=Evidence.model_validate_json(Path({str(evidence_file)!r}).read_text()),
        history=[{{"train.loss": 2.0}}, {{"train.loss": 1.0}}], params={{"train.epochs": 2}},
        artifacts={{"model/member.json": folder / "member.json"}})
"""
    process = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
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
