"""The gate in a real server: what a client is told, and what stays as it was."""

from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from resnet_ops.errors import ConfigError, EvidenceError, GateDenied
from resnet_ops_registry import load, promote
from resnet_ops_registry.database.ledger import list_entries, verify
from resnet_ops_registry.database.tables import open_database

NAME = "digits-classifier"
REASON = "test.top1 0.980 (0.900-0.990, n=360): its interval's low end is below 0.950"

pytestmark = pytest.mark.e2e


@pytest.fixture
def client(server: Any) -> MlflowClient:
    client: MlflowClient = server.client
    return client


@pytest.fixture
def champion(server: Any, client: MlflowClient) -> str:
    client.set_registered_model_alias(NAME, "champion", str(server.good.version))
    return str(server.good.version)


def set_alias(server: Any, alias: str, version: int) -> requests.Response:
    body = {"name": NAME, "alias": alias, "version": str(version)}
    return requests.post(f"{server.uri}/api/2.0/mlflow/registered-models/alias", json=body, timeout=30)


def test_a_version_that_passes_becomes_champion(server: Any, client: MlflowClient) -> None:
    promote(NAME, server.good.version, "champion")
    assert int(client.get_model_version_by_alias(NAME, "champion").version) == server.good.version


def test_a_refused_alias_leaves_the_old_champion_and_says_why(
    server: Any, client: MlflowClient, champion: str
) -> None:
    answer = set_alias(server, "champion", server.bad.version)
    assert answer.status_code in (400, 409)
    message = answer.json()["message"]
    assert message == f"{NAME} v{server.bad.version} may not become @champion: {REASON}"
    assert len(message) < 250
    assert client.get_model_version_by_alias(NAME, "champion").version == champion


@pytest.mark.parametrize("alias", ["Champion", "CHAMPION", "ｃｈａｍｐｉｏｎ", "champion\n"])
def test_a_variant_of_a_guarded_alias_is_refused(server: Any, champion: str, alias: str) -> None:
    answer = set_alias(server, alias, server.bad.version)
    assert answer.status_code in (400, 409)
    assert "may not become" in answer.json()["message"]


@pytest.mark.parametrize("version", [" {}", "0{}", "+{}", "{} "])
def test_a_version_written_oddly_is_still_judged(
    server: Any, client: MlflowClient, champion: str, version: str
) -> None:
    body = {"name": NAME, "alias": "champion", "version": version.format(server.bad.version)}
    requests.post(f"{server.uri}/api/2.0/mlflow/registered-models/alias", json=body, timeout=30)
    assert client.get_model_version_by_alias(NAME, "champion").version == champion


@pytest.mark.parametrize("stage", ["Production", "production", "PRODUCTION"])
def test_a_guarded_stage_is_refused(server: Any, client: MlflowClient, stage: str) -> None:
    body: Any = {
        "name": NAME,
        "version": str(server.bad.version),
        "stage": stage,
        "archive_existing_versions": True,
    }
    url = f"{server.uri}/api/2.0/mlflow/model-versions/transition-stage"
    answer = requests.post(url, json=body, timeout=30)
    assert answer.status_code in (400, 409)
    assert REASON in answer.json()["message"]
    assert client.get_model_version(NAME, str(server.bad.version)).current_stage == "None"


def test_a_version_that_passes_may_enter_the_stage(server: Any, client: MlflowClient) -> None:
    version = str(server.good.version)
    client.transition_model_version_stage(NAME, version, "Production")
    assert client.get_model_version(NAME, version).current_stage == "Production"


def test_an_unguarded_alias_is_free(server: Any, client: MlflowClient) -> None:
    client.set_registered_model_alias(NAME, "challenger", str(server.bad.version))
    assert int(client.get_model_version_by_alias(NAME, "challenger").version) == server.bad.version


def test_a_rename_does_not_carry_a_champion_out_of_its_policy(
    server: Any, client: MlflowClient, champion: str
) -> None:
    with pytest.raises(MlflowException, match="no policy governs other"):
        client.rename_registered_model(NAME, "other")
    assert client.get_model_version_by_alias(NAME, "champion").version == champion


def test_a_copy_works_and_carries_no_evidence_along(server: Any, client: MlflowClient) -> None:
    copy = client.copy_model_version(f"models:/{NAME}/{server.good.version}", "copies")
    assert set(client.get_model_version("copies", copy.version).tags) == {
        "member",
        "resnet_ops.weights_digest",
    }
    with pytest.raises(MlflowException, match="no policy governs copies"):
        client.set_registered_model_alias("copies", "champion", copy.version)


@pytest.mark.parametrize("key", ["evidence", "gate champion", "Gate champion", "resnet_ops.files_digest"])
def test_tags_of_the_gate_cannot_be_written(server: Any, client: MlflowClient, key: str) -> None:
    version = str(server.bad.version)
    before = client.get_model_version(NAME, version).tags
    with pytest.raises(MlflowException, match="written by the gate alone"):
        client.set_model_version_tag(NAME, version, key, "passes")
    assert client.get_model_version(NAME, version).tags == before


def test_a_forged_statement_is_refused(server: Any, client: MlflowClient) -> None:
    with pytest.raises(MlflowException, match="not plain JSON"):
        client.set_model_version_tag(NAME, str(server.bad.version), "resnet_ops.statement", "{'a': 1}")


def test_files_changed_after_the_evidence_are_not_promoted_nor_loaded(
    server: Any, client: MlflowClient, champion: str
) -> None:
    version = client.get_model_version(NAME, champion)
    model_id = str(version.source).rpartition("/")[2]
    (weights,) = Path(server.folder, "artifacts").rglob(f"{model_id}/**/*.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        client.delete_registered_model_alias(NAME, "champion")
        with pytest.raises(GateDenied, match="its files were changed"):
            promote(NAME, server.good.version, "champion")
        with pytest.raises(EvidenceError, match="changed after they were published"):
            load(NAME, server.good.version)
    finally:
        weights.write_bytes(content)
    assert load(NAME, server.good.version).member == "tiny"


def test_the_ledger_holds_refusals_and_is_whole(server: Any, champion: str) -> None:
    set_alias(server, "champion", server.bad.version)
    with open_database(server.database) as connection:
        last = list_entries(connection, NAME)[-1].event
        assert verify(connection) > 2
    assert (last.action, last.outcome, last.version) == ("alias", "refused", server.bad.version)
    assert last.detail["reasons"] == [REASON]


def test_mlflow_loads_the_champion_from_the_server(server: Any, champion: str) -> None:
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@champion").metadata.metadata["member"] == "tiny"


def test_an_unset_alias_says_how_to_set_it(server: Any) -> None:
    with pytest.raises(ConfigError, match="digits-classifier is @nobody"):
        load(f"models:/{NAME}@nobody")


def test_a_digest_that_a_second_server_without_the_gate_wrote_is_not_loaded(
    server: Any, client: MlflowClient, champion: str
) -> None:
    plain = MlflowClient(server.database, server.database)
    plain.set_model_version_tag(NAME, champion, "resnet_ops.files_digest", "f" * 64)
    try:
        assert load(NAME, int(champion)).verified_by == "the server"
    finally:
        plain.delete_model_version_tag(NAME, champion, "resnet_ops.files_digest")
