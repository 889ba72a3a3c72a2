"""A DVC experiment registers as one, and changes no alias, no policy and no log of production."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from resnet_ops.data import PreparedData
from resnet_ops.files import read_json, write_json
from resnet_ops_monitoring.inference_log import log
from resnet_ops_pipelines import check_gates
from resnet_ops_registry.client.attesting import find_model_version
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.candidates import aliases
from resnet_ops_registry.gate.display import EXPERIMENT_TAG
from resnet_ops_registry.gate.policies import list_policies
from resnet_ops_registry.gate.signed_evidence import evidence_of
from tests.unit.registry.conftest import NAME, POLICY, Runner
from tests.unit.registry.measured_versions import learned, prepare, register

WHERE = "from resnet_ops_registry.common import settings as s; print(s.EXPERIMENT, s.tracking_uri(), s.keys_folder())"


@pytest.fixture
def data(project: Path) -> PreparedData:
    return prepare(project)


def test_an_experiment_in_a_folder_of_its_own_uses_the_registry_of_its_project(tmp_path: Path) -> None:
    folder = tmp_path / "a # project" / ".dvc/tmp/exps/standalone/tmp1"
    folder.mkdir(parents=True)
    path = [str(Path(__file__).parents[4] / part) for part in (".", "registry", "monitoring")]
    known = {"PYTHONPATH": ":".join(path), "DVC_ROOT": str(tmp_path / "a # project")}
    for more, name, state in (
        ({"DVC_EXP_NAME": "sunny-pug"}, "sunny-pug", "../../../../../var"),
        ({}, "None", "var"),  # DVC names its root to every stage
    ):
        done = subprocess.run(
            [sys.executable, "-c", WHERE], cwd=folder, env=known | more, capture_output=True, text=True
        )
        assert done.stdout.split() == [name, f"sqlite:///{state}/mlflow.db", f"{state}/keys"], done.stderr


@pytest.mark.slow
def test_a_version_says_which_experiment_it_comes_from_until_the_project_makes_it(
    client: MlflowClient, data: PreparedData, run: Runner
) -> None:
    first = register(client, data, 0, learned(data))
    tried = register(client, data, 1, learned(data), "sunny-pug")
    assert client.get_model_version(NAME, str(tried.version)).tags[EXPERIMENT_TAG] == "sunny-pug"
    shown = {row["version"]: row["experiment"] for row in json.loads(run("registry", "ls", "--json"))}
    assert shown == {first.version: "", tried.version: "sunny-pug"}
    assert "1 older or experimental versions" in run("registry", "ls").replace("\n", " ")
    assert "sunny-pug" in run("registry", "ls", "--all").replace("\n", " ")
    again = register(client, data, 1, learned(data))
    assert (again.version, again.created) == (tried.version, False)
    assert EXPERIMENT_TAG not in client.get_model_version(NAME, str(tried.version)).tags


@pytest.mark.slow
def test_what_an_experiment_measures_of_the_projects_weights_is_not_said_of_its_version(
    client: MlflowClient, data: PreparedData
) -> None:
    first = register(client, data, 0, learned(data))
    version = find_model_version(client, NAME, first.version)
    before = evidence_of(client, version).evidence
    rows = [replace(row, split="train" if row.index % 5 == 0 else row.split) for row in data.rows]
    tried = register(client, replace(data, rows=rows), 0, learned(data), "sunny-pug")
    assert (tried.version, tried.created) == (first.version, False)
    version = find_model_version(client, NAME, first.version)
    assert evidence_of(client, version).evidence == before
    assert EXPERIMENT_TAG not in version.tags


@pytest.mark.slow
def test_an_experiment_proposes_nothing_and_puts_no_policy_into_force(
    client: MlflowClient, data: PreparedData, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = register(client, data, 0, learned(data))
    (project / "policies").mkdir()
    (project / "policies/digits.yml").write_text(POLICY.replace("min: 0.95", "min: 0.0"))
    write_json(Path("reports/registered.json"), {"resnet8": {"version": published.version}})
    monkeypatch.setattr(check_gates, "EXPERIMENT", "sunny-pug")
    check_gates.main()
    with open_database() as connection:
        assert list_policies(connection) == ()
    assert aliases(client, NAME) == {}
    assert read_json(Path("reports/gates.json"))["challenger"] is None
    monkeypatch.setattr(check_gates, "EXPERIMENT", None)
    check_gates.main()
    assert aliases(client, NAME) == {"challenger": published.version}


def test_an_experiment_has_a_log_of_its_own_whatever_log_production_has(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESNET_OPS_INFERENCE_LOG", f"sqlite:///{project}/production.db")
    monkeypatch.setattr(log, "EXPERIMENT", "sunny/pug")
    found = log.InferenceLog.open()
    found.close()
    assert "var/experiments/sunny_pug-" in found.place
    assert not (project / "production.db").exists()
