"""Approvals: who may approve, for what, until when; and statements that are not accepted."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import select

from resnet_ops.errors import ConfigError, EvidenceError, GateDenied
from resnet_ops_registry import check, promote
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.predicates import Approval
from resnet_ops_registry.client.attesting import attest
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database.tables import open_database, statements
from tests.unit.registry.conftest import NAME, Publisher, Runner
from tests.unit.registry.people import (
    APPROVALS,
    approve,
    entries,
    govern,
    publish_versions,
    refusal,
    revoke,
    trust,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("login")]


def test_two_people_approve_and_then_it_passes(
    run: Runner, published: Publisher, client: MlflowClient
) -> None:
    published()
    govern(APPROVALS)
    trust("kim", "reviewer")
    trust("lee", "reviewer")
    assert "0 of 2 approvals" in refusal()
    assert "refused: 1 of 2 approvals" in approve(run, "kim")
    said = approve(run, "lee", until="2027-01-31")
    assert "for @champion until 2027-01-31" in said
    assert "The gate says: passes" in said
    assert f"resnet-ops promote {NAME} 1 champion" in said
    tags = client.get_model_version(NAME, "1").tags
    assert "@champion by lee until 2027-01-31" in tags["approvals"]
    assert "resnet_ops.statement" not in tags
    promote(NAME, 1, "champion")
    detail = entries()[-1].event.detail
    assert len(detail["statements"]) == 3
    assert [entry.event.action for entry in entries()][-3:] == [
        "approval accepted",
        "approval accepted",
        "alias",
    ]


def test_one_person_with_two_keys_is_one_person(run: Runner, published: Publisher) -> None:
    published()
    govern(APPROVALS)
    trust("kim", "reviewer")
    trust("kim-laptop", "reviewer", called="Kim ")
    approve(run, "kim")
    approve(run, "kim-laptop")
    assert "1 of 2 approvals" in refusal()


def test_who_asks_for_the_alias_does_not_approve_it(
    run: Runner, published: Publisher, login: Callable[[str], None]
) -> None:
    published()
    govern(APPROVALS.replace("count: 2", "count: 1"))
    trust("kim", "reviewer", called="KIM")
    approve(run, "kim")
    assert check(NAME, 1, "champion").allowed
    login("kim")
    assert "KIM is the author" in refusal()
    with pytest.raises(GateDenied, match="author or promoter"):
        promote(NAME, 1, "champion")


def test_who_signed_the_evidence_does_not_approve_it(run: Runner, published: Publisher) -> None:
    published()
    govern(APPROVALS.replace("[reviewer]", "[pipeline]").replace("count: 2", "count: 1"))
    approve(run, "pipeline")
    assert "pipeline is the author" in refusal()


def test_another_role_does_not_approve(run: Runner, published: Publisher) -> None:
    published()
    govern(APPROVALS)
    trust("kim", "intern")
    approve(run, "kim")
    assert "(kim is intern)" in refusal()


def test_revoking_a_key_makes_its_approval_worthless_at_once(run: Runner, published: Publisher) -> None:
    published()
    govern(APPROVALS.replace("count: 2", "count: 1"))
    key = trust("kim", "reviewer")
    approve(run, "kim")
    assert check(NAME, 1, "champion").allowed
    revoke(key)
    assert "0 of 1 approvals" in refusal()


def test_revoking_a_key_changes_what_the_page_says(
    run: Runner, published: Publisher, client: MlflowClient
) -> None:
    published()
    govern()
    before = client.get_model_version(NAME, "1").tags
    run("keys", "revoke", before["resnet_ops.evidence_key"])
    after = client.get_model_version(NAME, "1").tags
    assert after["gate champion"].startswith("refused: there is no evidence")
    assert "evidence" not in after
    assert after["resnet_ops.weights_digest"] == before["resnet_ops.weights_digest"]


def test_an_approval_is_for_one_alias_of_one_version(
    run: Runner, published: Publisher, project: Path
) -> None:
    publish_versions(published, project, 2)
    govern(APPROVALS.replace("count: 2", "count: 1"))
    trust("kim", "reviewer")
    run("approve", NAME, "1", "champion-edge", "--until", "14d", "--key", "kim")
    approve(run, "kim", version=2)
    assert "0 of 1 approvals" in refusal(1)
    with open_database() as connection:
        texts = connection.execute(
            select(statements.c.envelope).where(statements.c.predicate_type.like("%approval%"))
        ).scalars()
        of_two = list(texts)[-1]
    with pytest.raises(MlflowException, match="v2, not digits-classifier v1"):
        connect_and_send(1, of_two)


def connect_and_send(version: int, text: str) -> None:
    from resnet_ops_registry.common.connection import connect

    connect().set_model_version_tag(NAME, str(version), "resnet_ops.statement", text)


def test_what_a_person_said_last_counts(run: Runner, published: Publisher, client: MlflowClient) -> None:
    published()
    govern(APPROVALS.replace("count: 2", "count: 1"))
    trust("kim", "reviewer")
    approve(run, "kim")
    now = datetime.now(UTC)
    target = Target(kind="alias", name="champion")
    attest(client, NAME, 1, Approval(target=target, until=now, created=now), open_key("kim"))
    assert "kim's ended" in refusal()


def test_a_forged_or_untrusted_statement_is_refused_and_the_refusal_recorded(
    run: Runner, published: Publisher
) -> None:
    published()
    govern(APPROVALS)
    open_key("mallory")
    with pytest.raises(EvidenceError, match=r"resnet-ops keys trust FILE"):
        approve(run, "mallory")
    last = entries()[-1].event
    assert (last.action, last.outcome, last.version) == ("statement", "refused", 1)
    assert last.detail["key"] == open_key("mallory").public.id
    assert "payload" not in json.dumps(last.detail)
    with pytest.raises(MlflowException, match="not plain JSON"):
        connect_and_send(1, "{nonsense")
    assert "not plain JSON" in entries()[-1].event.detail["reasons"][0]


def test_a_statement_from_the_future_is_refused(published: Publisher, client: MlflowClient) -> None:
    published()
    trust("kim", "reviewer")
    future = datetime.now(UTC) + timedelta(hours=1)
    said = Approval(target=Target(kind="alias", name="champion"), until=future, created=future)
    with pytest.raises(EvidenceError, match="in the future"):
        attest(client, NAME, 1, said, open_key("kim"))


def test_a_key_that_is_not_there_is_not_made_in_passing(
    run: Runner, published: Publisher, project: Path
) -> None:
    published()
    with pytest.raises(ConfigError, match="resnet-ops keys new kim"):
        approve(run, "kim")
    assert not (project / "var" / "keys" / "kim.pem").exists()
