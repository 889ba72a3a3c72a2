"""Whoever may make versions can say any weights' digest of other files; that keeps the real ones out of nothing."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from resnet_ops.errors import EvidenceError
from resnet_ops.model_files import model_digest
from resnet_ops_registry import load, promote
from resnet_ops_registry.common.connection import ensure_experiment
from resnet_ops_registry.gate.display import WEIGHTS_TAG
from tests.unit.registry.conftest import NAME, Publisher, publish_model

pytestmark = pytest.mark.usefixtures("policy")


@pytest.fixture(params=["{evil}", "{evil}/nowhere", "mlflow-artifacts://elsewhere/1/model"])
def squatted(
    request: pytest.FixtureRequest, client: MlflowClient, model_folder: Path, project: Path
) -> MlflowClient:
    """A version of somebody else's that says it is the weights about to be published."""
    client.create_registered_model(NAME)
    evil = project / "evil"
    evil.mkdir()
    (evil / "weights.safetensors").write_bytes(b"evil")
    digest = {WEIGHTS_TAG: model_digest(model_folder)}
    client.create_model_version(NAME, request.param.format(evil=evil), tags=digest)
    return client


@pytest.mark.slow
def test_a_version_that_says_the_digest_of_other_weights_keeps_them_out_of_nothing(
    squatted: MlflowClient, published: Publisher
) -> None:
    before = {version.version for version in squatted.search_model_versions(f"name = '{NAME}'")}
    made = published()
    assert made.created
    assert str(made.version) not in before
    promote(NAME, made.version, "champion")
    assert load(f"models:/{NAME}@champion").version == made.version
    again = published()
    assert (again.version, again.created) == (made.version, False)


@pytest.mark.slow
def test_one_that_comes_later_takes_no_part_either(
    client: MlflowClient, published: Publisher, project: Path
) -> None:
    made = published()
    digest = client.get_model_version(NAME, str(made.version)).tags[WEIGHTS_TAG]
    answered = client.create_model_version(NAME, str(project), tags={WEIGHTS_TAG: digest})
    assert int(answered.version) == made.version
    assert (published().version, published().created) == (made.version, False)


@pytest.mark.slow
def test_a_version_of_the_right_files_without_a_run_keeps_them_out_of_nothing(
    client: MlflowClient, published: Publisher, model_folder: Path
) -> None:
    """There is no place for a card and its evidence."""
    elsewhere = publish_model(client, model_folder, registered_model="elsewhere")
    files = client.get_model_version_download_uri("elsewhere", str(elsewhere.version))
    client.create_registered_model(NAME)
    client.create_model_version(NAME, files, tags={WEIGHTS_TAG: model_digest(model_folder)})
    made = published()
    promote(NAME, made.version, "champion")
    assert (published().version, published().created) == (made.version, False)


@pytest.mark.slow
@pytest.mark.parametrize("denied", ["get_run", "restore_run"])
def test_a_version_whose_run_is_somebody_elses_alone_keeps_them_out_of_nothing(
    client: MlflowClient,
    published: Publisher,
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    denied: str,
) -> None:
    elsewhere = publish_model(client, model_folder, registered_model="elsewhere")
    files = client.get_model_version_download_uri("elsewhere", str(elsewhere.version))
    theirs = client.create_run(client.create_experiment("theirs")).info.run_id
    client.create_registered_model(NAME)
    client.create_model_version(NAME, files, run_id=theirs, tags={WEIGHTS_TAG: model_digest(model_folder)})
    client.delete_run(theirs)
    asked = getattr(MlflowClient, denied)

    def refuse(self: MlflowClient, run_id: str) -> object:
        if run_id == theirs:
            raise MlflowException("Permission denied", PERMISSION_DENIED)
        return asked(self, run_id)

    monkeypatch.setattr(MlflowClient, denied, refuse)
    made = published()
    promote(NAME, made.version, "champion")
    assert (published().version, published().created) == (made.version, False)


@pytest.mark.slow
def test_files_that_were_changed_under_evidence_of_ones_own_are_told_all_the_same(
    published: Publisher, project: Path
) -> None:
    published()
    (weights,) = (project / "var" / "artifacts").rglob("weights.safetensors")
    weights.write_bytes(b"evil")
    with pytest.raises(EvidenceError, match="not the ones packaged here"):
        published(low=0.97)


@pytest.mark.slow
def test_a_logged_model_that_somebody_put_a_file_into_keeps_them_out_of_nothing(
    client: MlflowClient, published: Publisher, model_folder: Path, project: Path
) -> None:
    """Whose weights are about to be published is seen at their run, and anybody can begin its logged model."""
    digest, evil = {WEIGHTS_TAG: model_digest(model_folder)}, project / "evil"
    experiment = ensure_experiment(client, "digits")
    run_id = client.create_run(experiment, tags=digest).info.run_id
    begun = client.create_logged_model(experiment, name="tiny", source_run_id=run_id, tags=digest)
    evil.mkdir()
    (evil / "sitecustomize.py").write_text("import os")
    client.log_model_artifacts(begun.model_id, str(evil))
    made = published()
    promote(NAME, made.version, "champion")
    assert load(f"models:/{NAME}@champion").version == made.version
