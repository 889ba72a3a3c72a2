"""What an audit finds, and what it must leave alone: clocks and workspaces too."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from mlflow.utils.workspace_context import ServerWorkspaceContext

from resnet_ops_registry.database.ledger import head
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy
from tests.attacks.hardening import findings, sql
from tests.attacks.registry import MODEL, POLICY, Registry
from tests.attacks.test_silent_audit import forge_decision, promote
from tests.attacks.workspaces_at_once import workspaces_enabled

pytestmark = pytest.mark.e2e

SECOND = 1_000_000_000


@contextmanager
def clock(change: Callable[[int], int]) -> Iterator[None]:
    """The registry's clock, in nanoseconds since 1970, made another one."""
    right = time.time_ns
    with patch("time.time_ns", lambda: change(right())):
        yield


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


def test_a_clock_that_is_set_back_after_a_promotion_makes_no_finding(registry: Registry) -> None:
    number = registry.version(b"good")
    with clock(lambda now: now + 3600 * SECOND):
        promote(registry, number)
    registry.prove(number, registry.keys["pipeline"], low=0.5)
    assert findings(registry) == []


def test_what_comes_in_the_millisecond_of_a_promotion_makes_no_finding(registry: Registry) -> None:
    number, then = registry.version(b"good"), time.time_ns() + SECOND
    with clock(lambda _: then):
        promote(registry, number)
        registry.prove(number, registry.keys["pipeline"], low=0.5)
    assert findings(registry) == []


def test_evidence_that_came_after_a_forged_decision_does_not_explain_it(registry: Registry) -> None:
    """Whoever writes an entry chooses its time, but not its place in the chain."""
    number = registry.version(b"good", low=0.5)
    with clock(lambda now: now + 3600 * SECOND):
        forge_decision(registry, number)
    registry.prove(number, registry.keys["pipeline"], low=0.97)
    assert any("cannot have been allowed" in each for each in findings(registry))


def test_a_decision_that_is_dated_back_to_when_it_would_have_been_right_is_found(registry: Registry) -> None:
    """To when evidence was new that is too old now; an honest clock is set back by less."""
    number = registry.version(b"good")
    with open_database(registry.database) as connection:
        apply_policy(connection, f"{POLICY}      - {{rule: age, max_days: 0.02, why: new}}\n", "new.yaml")
    with clock(lambda now: now + 3600 * SECOND):
        registry.trust("any")
    forge_decision(registry, number)
    assert any("cannot have been allowed" in each and "old" in each for each in findings(registry))


def test_an_audit_finds_the_files_of_a_workspace(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server keeps them in the workspace's own folder; an audit is in nobody's workspace."""
    folder = tmp_path / "artifacts/workspaces/team/1/model"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"good")
    monkeypatch.setenv("RESNET_OPS_ARTIFACTS", (tmp_path / "artifacts").as_uri())
    with workspaces_enabled(registry) as server, ServerWorkspaceContext(team := "team"):
        server.make(team)
        server.store.create_registered_model(MODEL)
        server.store.create_model_version(MODEL, "mlflow-artifacts:/1/model")
        server.prove(MODEL, folder)
        server.store.set_registered_model_alias(MODEL, "champion", "1")
    assert findings(registry) == []
