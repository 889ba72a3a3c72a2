"""People speak: approvals, waivers, reproductions, retirement and rollback, through the store and the commands."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import select
from typer.testing import CliRunner

from resnet_ops.errors import ConfigError, EvidenceError, GateDenied
from resnet_ops_registry import check, promote
from resnet_ops_registry.commands import add_commands
from resnet_ops_registry.database import open_database, statements
from resnet_ops_registry.keys import open_key
from resnet_ops_registry.ledger import Entry, list_entries, verify
from resnet_ops_registry.policies import apply_policy
from resnet_ops_registry.predicates import Approval
from resnet_ops_registry.publish import Published
from resnet_ops_registry.speaking import say
from resnet_ops_registry.target import Target
from resnet_ops_registry.trust import revoke_key, trust_key
from tests.unit.registry.conftest import make_model

NAME = "digits-classifier"
POLICY = """\
model: digits-classifier
evidence_roles: [pipeline]
waivers: {roles: [lead], rules: [accuracy], max_days: 30}
guards:
  - aliases: [champion]
    rules:
      - {rule: threshold, id: accuracy, metric: test.top1, bound: low, min: 0.95, why: promised}
"""
APPROVALS = """\
      - {rule: statements, id: eyes, kind: approval, count: 2, roles: [reviewer], why: four eyes see more}
"""
REPRODUCED = """\
      - {rule: statements, kind: reproduction, roles: [reviewer], why: it must be repeatable}
"""
Publisher = Callable[..., Published]
Runner = Callable[..., str]


@pytest.fixture
def run(client: MlflowClient) -> Runner:
    app = typer.Typer()
    add_commands(app)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        if result.exception is not None:
            raise result.exception
        return result.output

    return run


def govern(rules: str = "") -> None:
    with open_database() as connection:
        apply_policy(connection, POLICY + rules, "p.yaml")


def trust(name: str, role: str, called: str = "") -> str:
    with open_database() as connection:
        return trust_key(connection, open_key(name).public, called or name, role).id


def revoke(key_id: str) -> None:
    with open_database() as connection:
        revoke_key(connection, key_id)


def entries() -> list[Entry]:
    with open_database() as connection:
        verify(connection)
        return list_entries(connection)


def approve(run: Runner, who: str, version: int = 1, until: str = "14d") -> str:
    return run("approve", NAME, str(version), "champion", "--until", until, "--key", who)


def refusal(version: int = 1) -> str:
    verdict = check(NAME, version, "champion")
    assert not verdict.allowed
    return "; ".join(verdict.reasons)


def publish_versions(published: Publisher, project: Path, count: int, low: float = 0.96) -> None:
    for seed in range(count):
        published(low=low, folder=make_model(project / "models" / f"seed{seed}", seed))


def test_two_people_approve_and_then_it_passes(
    run: Runner, published: Publisher, client: MlflowClient
) -> None:
    published()
    govern(APPROVALS)
    trust("kim", "reviewer")
    trust("lee", "reviewer")
    assert "0 of 2 approvals by reviewer" in refusal()
    assert "The gate says: refused: 1 of 2 approvals by reviewer" in approve(run, "kim")
    said = approve(run, "lee", until="2027-01-31")
    assert "lee approves digits-classifier v1 for @champion until 2027-01-31." in said
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
    run: Runner, published: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    published()
    govern(APPROVALS.replace("count: 2", "count: 1"))
    trust("kim", "reviewer", called="KIM")
    approve(run, "kim")
    assert check(NAME, 1, "champion").allowed
    monkeypatch.setenv("LOGNAME", "kim")
    assert "KIM is the author or promoter" in refusal()
    with pytest.raises(GateDenied, match="author or promoter"):
        promote(NAME, 1, "champion")


def test_who_signed_the_evidence_does_not_approve_it(run: Runner, published: Publisher) -> None:
    published()
    govern(APPROVALS.replace("[reviewer]", "[pipeline]").replace("count: 2", "count: 1"))
    approve(run, "pipeline")
    assert "pipeline is the author or promoter" in refusal()


def test_another_role_does_not_approve(run: Runner, published: Publisher) -> None:
    published()
    govern(APPROVALS)
    trust("kim", "intern")
    approve(run, "kim")
    assert "0 of 2 approvals by reviewer (kim is intern)" in refusal()


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
    assert after["gate champion"] == "refused: there is no evidence signed by a trusted pipeline key"
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
    with pytest.raises(MlflowException, match="about digits-classifier v2, not digits-classifier v1"):
        connect_and_send(1, of_two)


def connect_and_send(version: int, text: str) -> None:
    from resnet_ops_registry.settings import connect

    connect().set_model_version_tag(NAME, str(version), "resnet_ops.statement", text)


def test_what_a_person_said_last_counts(run: Runner, published: Publisher, client: MlflowClient) -> None:
    published()
    govern(APPROVALS.replace("count: 2", "count: 1"))
    trust("kim", "reviewer")
    approve(run, "kim")
    now = datetime.now(UTC)
    target = Target(kind="alias", name="champion")
    say(client, NAME, 1, Approval(target=target, until=now, created=now), open_key("kim"))
    assert "kim's ended" in refusal()


def test_a_forged_or_untrusted_statement_is_refused_and_the_refusal_recorded(
    run: Runner, published: Publisher
) -> None:
    published()
    govern(APPROVALS)
    open_key("mallory")
    with pytest.raises(EvidenceError, match=r"not trusted here.*resnet-ops keys trust FILE"):
        approve(run, "mallory")
    last = entries()[-1].event
    assert (last.action, last.outcome, last.version) == ("statement", "refused", 1)
    assert last.detail["key"] == open_key("mallory").public.id
    assert "payload" not in json.dumps(last.detail)
    with pytest.raises(MlflowException, match="not plain JSON"):
        connect_and_send(1, "{nonsense")
    assert entries()[-1].event.detail["reasons"][0].startswith("The statement is not plain JSON")


def test_a_statement_from_the_future_is_refused(published: Publisher, client: MlflowClient) -> None:
    published()
    trust("kim", "reviewer")
    future = datetime.now(UTC) + timedelta(hours=1)
    said = Approval(target=Target(kind="alias", name="champion"), until=future, created=future)
    with pytest.raises(EvidenceError, match="in the future: set the signer's clock"):
        say(client, NAME, 1, said, open_key("kim"))


def test_a_key_that_is_not_there_is_not_made_in_passing(
    run: Runner, published: Publisher, project: Path
) -> None:
    published()
    with pytest.raises(ConfigError, match="resnet-ops keys new kim"):
        approve(run, "kim")
    assert not (project / "var" / "keys" / "kim.pem").exists()


def waive(run: Runner, who: str, until: str = "14d", rule: str = "accuracy") -> str:
    arguments = ("--rule", rule, "--until", until, "--why", "demo day", "--key", who)
    return run("waive", NAME, "1", "champion", *arguments)


def test_a_waiver_lets_one_rule_not_count_and_says_by_whom(
    run: Runner, published: Publisher, client: MlflowClient
) -> None:
    published(low=0.90)
    govern()
    key = trust("jo", "lead")
    said = waive(run, "jo", until="20d")
    assert "The gate says: passes (accuracy waived by jo until" in said
    assert "demo day" in client.get_model_version(NAME, "1").tags["gate champion"]
    verdict = check(NAME, 1, "champion")
    assert (verdict.allowed, verdict.rules[0].passed, verdict.reasons) == (True, False, [])
    promote(NAME, 1, "champion")
    assert entries()[-1].event.detail["waived"] == verdict.waived
    assert "waived" in run("gate", "explain", NAME, "1")
    revoke(key)
    assert "low end is below" in refusal()


@pytest.mark.parametrize("wrong", ["role", "rule", "too long", "promoter"])
def test_a_waiver_that_the_policy_does_not_allow_is_worthless(
    run: Runner, published: Publisher, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(low=0.90)
    govern(APPROVALS.replace("count: 2", "count: 1") if wrong == "rule" else "")
    trust("jo", "reviewer" if wrong == "role" else "lead")
    waive(
        run,
        "jo",
        until="31d" if wrong == "too long" else "14d",
        rule="eyes" if wrong == "rule" else "accuracy",
    )
    if wrong == "promoter":
        monkeypatch.setenv("LOGNAME", "jo")
    reasons = refusal()
    assert "low end is below" in reasons
    assert wrong != "rule" or "0 of 1 approvals" in reasons


def test_a_reproduction_to_the_bit_counts_and_another_does_not(
    run: Runner, published: Publisher, model_folder: Path, project: Path
) -> None:
    published()
    govern(REPRODUCED)
    trust("kim", "reviewer")
    other = make_model(project / "models" / "other", seed=5)
    measured = project / "measurements.json"
    measured.write_text(json.dumps({"test.top1": {"value": 0.975, "n": 360}}))
    command = ("attest", "reproduction", NAME, "1", "--key", "kim", "--weights")
    said = run(*command, str(other), "--measurements", str(measured))
    assert "The weights are not those of digits-classifier v1." in said
    assert "test.top1: 0.975, was 0.980 (-0.005)" in said
    assert "kim's has other weights" in refusal()
    within = REPRODUCED.replace("roles", "within: {test.top1: 0.01}, roles")
    govern(within)
    assert check(NAME, 1, "champion").allowed
    govern(within.replace("0.01", "0.001"))
    assert "kim's test.top1 differs by 0.005" in refusal()
    govern(REPRODUCED)
    assert "to the bit" in run(*command, str(model_folder))
    assert check(NAME, 1, "champion").allowed
    with pytest.raises(ConfigError, match="holds no trained model"):
        run(*command, str(project))


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
    assert "it was @blue and @champion until now" in said
    assert f"resnet-ops rollback {NAME} champion" in said
    assert client.get_registered_model(NAME).aliases == {}
    assert "it was retired by kim on" in refusal()
    assert client.get_model_version(NAME, "1").tags["retired"].endswith("misreads sevens")
    with pytest.raises(EvidenceError, match="by a key of role operator only; kim is reviewer"):
        run("unretire", NAME, "1", "--why", "it was me", "--key", "kim")
    revoke(key)
    assert "it was retired" in refusal()
    run("unretire", NAME, "1", "--why", "sevens are fine", "--key", "root")
    assert check(NAME, 1, "champion").allowed
    assert "retired" not in client.get_model_version(NAME, "1").tags


def test_a_rollback_goes_to_the_last_champion_that_still_passes_and_back_no_further_than_it_must(
    run: Runner, published: Publisher, project: Path, client: MlflowClient
) -> None:
    publish_versions(published, project, 4)
    govern()
    trust("kim", "reviewer")
    for version in (1, 2, 3, 4):
        promote(NAME, version, "champion")
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
    publish_versions(published, project, 2)
    govern()
    trust("kim", "reviewer")
    promote(NAME, 1, "champion")
    promote(NAME, 2, "champion")
    run("retire", NAME, "1", "--why", "broken", "--key", "kim")
    with pytest.raises(GateDenied, match="v1 may not become @champion: it was retired by kim"):
        run("rollback", NAME, "champion")
    assert client.get_registered_model(NAME).aliases == {"champion": 2}
    last = entries()[-1].event
    assert (last.action, last.outcome, last.version) == ("rollback", "refused", 1)


def test_a_rollback_works_after_the_champion_was_retired(
    run: Runner, published: Publisher, project: Path, client: MlflowClient
) -> None:
    publish_versions(published, project, 2)
    govern()
    trust("kim", "reviewer")
    promote(NAME, 1, "champion")
    promote(NAME, 2, "champion")
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
    from resnet_ops_registry.returning import roll_back
    from resnet_ops_registry.settings import connect, tracking_uri

    published()
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", tracking_uri())
    with pytest.raises(ServiceError, match="runs without the gate"):
        roll_back(NAME, "champion")
    assert connect().get_registered_model(NAME).tags == {}
