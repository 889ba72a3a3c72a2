"""Retirement and rollback, through the store and the commands."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from resnet_ops.errors import EvidenceError, GateDenied
from resnet_ops_registry import check, promote
from tests.unit.registry.conftest import NAME, Publisher, Runner
from tests.unit.registry.people import entries, govern, publish_versions, refusal, revoke, trust

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`


def test_a_retired_version_loses_its_aliases_and_is_refused_until_an_operator_brings_it_back(
    run: Runner, published: Publisher, client: MlflowClient
) -> None:
    published()
    govern()
    key = trust("kim", "reviewer")
    trust("root", "operator")
    promote(NAME, 1, "champion")
    client.set_registered_model_alias(NAME, "blue", "1")
    said = run("retire", NAME, "1", "--why", "misreads sevens", "--key", "kim")
    assert "@blue and @champion" in said
    assert f"resnet-ops rollback {NAME} champion" in said
    assert client.get_registered_model(NAME).aliases == {}
    assert "retired by kim" in refusal()
    assert client.get_model_version(NAME, "1").tags["retired"].endswith("misreads sevens")
    with pytest.raises(EvidenceError, match=r"role operator .*; kim is reviewer"):
        run("unretire", NAME, "1", "--why", "it was me", "--key", "kim")
    revoke(key)
    assert "it was retired" in refusal()
    run("unretire", NAME, "1", "--why", "sevens are fine", "--key", "root")
    assert check(NAME, 1, "champion").allowed
    assert "retired" not in client.get_model_version(NAME, "1").tags


def serve_in_turn(published: Publisher, project: Path, count: int) -> None:
    """So many versions, each champion once; kim may retire them."""
    publish_versions(published, project, count)
    govern()
    trust("kim", "reviewer")
    for version in range(1, count + 1):
        promote(NAME, version, "champion")


def test_a_rollback_goes_to_the_last_champion_that_still_passes_and_back_no_further_than_it_must(
    run: Runner, published: Publisher, project: Path, client: MlflowClient
) -> None:
    serve_in_turn(published, project, 4)
    run("retire", NAME, "3", "--why", "broken", "--key", "kim")
    assert "digits-classifier v2 is @champion again." in run("rollback", NAME, "@Champion")
    assert client.get_registered_model(NAME).aliases == {"champion": 2}
    last = entries()[-1].event
    assert (last.action, last.outcome, last.from_version, last.version) == ("rollback", "allowed", 4, 2)
    run("rollback", NAME, "champion")
    assert client.get_registered_model(NAME).aliases == {"champion": 1}
    with pytest.raises(GateDenied, match="No other version"):
        run("rollback", NAME, "champion")


def test_a_rollback_that_finds_nothing_fit_leaves_the_champion_and_is_recorded(
    run: Runner, published: Publisher, project: Path, client: MlflowClient
) -> None:
    serve_in_turn(published, project, 2)
    run("retire", NAME, "1", "--why", "broken", "--key", "kim")
    with pytest.raises(GateDenied, match="retired by kim"):
        run("rollback", NAME, "champion")
    assert client.get_registered_model(NAME).aliases == {"champion": 2}
    last = entries()[-1].event
    assert (last.action, last.outcome, last.version) == ("rollback", "refused", 1)


def test_a_rollback_works_after_the_champion_was_retired(
    run: Runner, published: Publisher, project: Path, client: MlflowClient
) -> None:
    serve_in_turn(published, project, 2)
    run("retire", NAME, "2", "--why", "broken", "--key", "kim")
    run("rollback", NAME, "champion")
    assert client.get_registered_model(NAME).aliases == {"champion": 1}


def test_a_version_made_anew_is_not_rolled_back_to(
    run: Runner, published: Publisher, project: Path, client: MlflowClient
) -> None:
    publish_versions(published, project, 2)
    govern()
    promote(NAME, 1, "champion")
    client.delete_registered_model(NAME)
    publish_versions(published, project, 2)
    promote(NAME, 2, "champion")
    with pytest.raises(GateDenied, match="No other version"):
        run("rollback", NAME, "champion")


def test_a_rollback_without_the_gate_leaves_no_tag_behind(
    client: MlflowClient, published: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resnet_ops.errors import ServiceError
    from resnet_ops_registry.client.rollback import roll_back
    from resnet_ops_registry.common.connection import connect
    from resnet_ops_registry.common.settings import tracking_uri

    published()
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", tracking_uri())
    with pytest.raises(ServiceError, match="runs without the gate"):
        roll_back(NAME, "champion")
    assert connect().get_registered_model(NAME).tags == {}
