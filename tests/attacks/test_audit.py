"""What an audit finds, and what it must leave alone."""

import os
from unittest.mock import patch

import pytest

from resnet_ops_registry.database.ledger import head
from resnet_ops_registry.database.tables import open_database
from tests.attacks.hardening import findings, sql
from tests.attacks.registry import MODEL, Registry

pytestmark = pytest.mark.e2e


def test_an_audit_of_an_honest_registry_finds_nothing(registry: Registry) -> None:
    one, two = registry.version(b"one"), registry.version(b"two")
    for version in (one, two, one):
        registry.client.set_registered_model_alias(MODEL, "champion", str(version))
    registry.client.transition_model_version_stage(MODEL, str(two), "Production")
    registry.client.set_registered_model_alias(MODEL, "free", str(registry.version(b"x", None)))
    registry.client.delete_registered_model_alias(MODEL, "champion")
    registry.client.set_registered_model_alias(MODEL, "champion", str(two))
    assert findings(registry) == []


def test_an_audit_finds_files_that_were_changed_after_the_promotion(registry: Registry) -> None:
    number = registry.version(b"good")
    registry.client.set_registered_model_alias(MODEL, "champion", str(number))
    (registry.files(number) / "weights.safetensors").write_bytes(b"evil")
    (found,) = findings(registry)
    assert found.startswith(f"{MODEL} @champion: v{number}: its files were changed")


def test_an_audit_finds_a_ledger_written_anew(registry: Registry) -> None:
    """Whoever owns the database can make a new chain; not one that holds the hash which was kept elsewhere."""
    registry.client.set_registered_model_alias(MODEL, "champion", str(registry.version(b"good")))
    with open_database(registry.database) as connection:
        known = head(connection)
    assert findings(registry, known) == []
    sql(registry, "DELETE FROM resnet_ops_ledger")
    sql(registry, f"UPDATE resnet_ops_ledger_head SET seq = 0, hash = '{'0' * 64}'")
    found = findings(registry, known)
    assert any("rewritten" in finding for finding in found)
    assert any("no entry of the ledger allowed" in finding for finding in found)
    assert any("no entry of the ledger trusts" in finding for finding in found)
    assert any("no entry of the ledger applied" in finding for finding in found)


def test_a_name_in_a_header_is_not_believed(tmp_path_factory: pytest.TempPathFactory) -> None:
    from flask import Flask, g

    from resnet_ops_registry.common.actor import actor

    app = Flask("actor")
    with app.test_request_context(
        headers={"Authorization": "Basic YWRtaW46eA=="}, environ_base={"REMOTE_ADDR": "10.0.0.9"}
    ):
        assert actor() == "anonymous at 10.0.0.9"
        g.mlflow_authenticated_user = "anna"
        assert actor() == "anna"


def test_a_version_is_hashed_where_the_server_keeps_it(registry: Registry) -> None:
    """What clients know as mlflow-artifacts: lies at the server's destination; an audit beside it is told where."""
    folder = registry.folder / "artifacts" / "1" / "model"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"good")
    registry.client.create_model_version(MODEL, "mlflow-artifacts:/1/model")
    for destination in (
        (registry.folder / "artifacts").as_uri(),
        f"write-once:{(registry.folder / 'artifacts').as_uri()}",
    ):
        with patch.dict(os.environ, {"RESNET_OPS_ARTIFACTS": destination}):
            assert registry.digest(1) is not None
