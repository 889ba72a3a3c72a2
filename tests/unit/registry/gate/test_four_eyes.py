"""Four eyes are two people: a rule that counts people asks who promotes, and believes a checked login alone."""

from collections.abc import Callable

import pytest
from flask import Flask, g
from mlflow import MlflowClient

from resnet_ops.errors import GateDenied
from resnet_ops_registry import check, promote
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate import permission
from resnet_ops_registry.gate.permission import why_not
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.gate.policy_file import read_policy
from resnet_ops_registry.gate.simulate import simulate
from tests.unit.registry.conftest import NAME, Publisher, Runner
from tests.unit.registry.people import APPROVALS, POLICY, REPRODUCED, approve, entries, govern, trust, waive

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

ONE = APPROVALS.replace("count: 2", "count: 1")
TOLD = "promote through a server with a login"


@pytest.fixture
def approved(run: Runner, published: Publisher) -> int:
    """A version that somebody approved, who may be the one who asks."""
    version = published().version
    govern(ONE)
    trust("kim", "reviewer")
    approve(run, "kim")
    return version


@pytest.mark.parametrize("logname", ["kim", "lee", ""])
def test_in_direct_use_nobody_is_known_whatever_the_environment_says(
    approved: int, monkeypatch: pytest.MonkeyPatch, logname: str
) -> None:
    monkeypatch.setenv("LOGNAME", logname)
    with pytest.raises(GateDenied, match=TOLD):
        promote(NAME, approved, "champion")
    assert not check(NAME, approved, "champion").allowed


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic bGVlOng="}, {"X-Forwarded-User": "lee"}])
def test_without_a_login_nobody_is_known_whatever_the_request_says(
    approved: int, headers: dict[str, str]
) -> None:
    with Flask("no login").test_request_context(headers=headers), pytest.raises(GateDenied, match=TOLD):
        promote(NAME, approved, "champion")


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_login_is_none(approved: int, empty: str | None) -> None:
    with Flask("login").test_request_context():
        g.mlflow_authenticated_user = empty
        with pytest.raises(GateDenied, match=TOLD):
            promote(NAME, approved, "champion")


def test_somebody_else_who_logged_in_promotes(approved: int, login: Callable[[str], None]) -> None:
    login("kim")
    with pytest.raises(GateDenied, match="kim is the author"):
        promote(NAME, approved, "champion")
    login("lee")
    promote(NAME, approved, "champion")


def test_the_page_says_that_it_passes_because_nobody_asks_there(approved: int, client: MlflowClient) -> None:
    assert client.get_model_version(NAME, str(approved)).tags["gate champion"].startswith("passes")


def test_a_reproduction_counts_people_too(published: Publisher) -> None:
    version = published().version
    govern(REPRODUCED)
    with pytest.raises(GateDenied, match=TOLD):
        promote(NAME, version, "champion")


def test_a_waiver_by_somebody_who_may_be_asking_does_not_count(run: Runner, published: Publisher) -> None:
    version = published(low=0.90).version
    govern()
    trust("jo", "lead")
    waive(run, "jo")
    with pytest.raises(GateDenied, match="a waiver counts only where a login"):
        promote(NAME, version, "champion")


def test_rules_that_count_nobody_ask_for_no_login(published: Publisher) -> None:
    version = published().version
    govern()
    promote(NAME, version, "champion")
    assert entries()[-1].event.detail["login"] is False


def test_a_past_decision_is_simulated_with_what_was_known_of_its_promoter(
    run: Runner, published: Publisher, login: Callable[[str], None]
) -> None:
    version = published().version
    govern()
    trust("kim", "reviewer")
    approve(run, "kim")
    promote(NAME, version, "champion")
    with Flask("no login").test_request_context():
        promote(NAME, version, "champion")
    text = POLICY + ONE
    with open_database() as connection:
        replayed = simulate(connection, read_policy(text, "p.yaml"), text, "p.yaml")
    assert [each.would_be_allowed for each in replayed] == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False])
def test_people_who_are_counted_for_the_champion_are_counted_for_a_canary(
    approved: int, run: Runner, client: MlflowClient, monkeypatch: pytest.MonkeyPatch, direct: bool
) -> None:
    """Its alias is anybody's where no policy guards it, also theirs who approved."""

    def reason() -> str | None:
        version = client.get_model_version(NAME, str(approved))
        with monkeypatch.context() as patch:
            patch.setattr(permission, "is_direct", lambda: direct)
            assert why_not(version, "champion") is None
            return why_not(version, "champion", "canary")

    assert "nobody checked who set @canary" in str(reason())
    with open_database() as connection:
        apply_policy(connection, (POLICY + ONE).replace("[champion]", "[champion, canary]"), "p.yaml")
    assert "nobody checked" in str(reason())
    run("approve", NAME, str(approved), "canary", "--until", "14d", "--key", "kim")
    assert reason() is None
