"""Observing as an attack surface: nobody turns enforcement off unnoticed, and what was observed gets nowhere else."""

import base64
import contextlib
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import DBAPIError

from resnet_ops.errors import ConfigError
from resnet_ops_registry.attestations.digest import folder_digest
from resnet_ops_registry.attestations.envelope import Statement, Subject, sign
from resnet_ops_registry.attestations.evidence import EVIDENCE_TYPE, Outcomes
from resnet_ops_registry.attestations.keys import PrivateKey, make_key
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.database import ledger
from resnet_ops_registry.database.ledger import Event
from resnet_ops_registry.database.tables import open_database, policies
from resnet_ops_registry.gate.mode import switch_mode, with_mode
from resnet_ops_registry.gate.policies import _parse, apply_policy, policies_at
from resnet_ops_registry.gate.rollback import ROLLBACK_TAG
from resnet_ops_registry.operations import audit
from resnet_ops_registry.operations.adoption import record_holders
from tests.attacks.hardening import findings, hardened, sql
from tests.attacks.registry import COMPARED, MODEL, POLICY, Registry, evidence_of

pytestmark = pytest.mark.e2e

OBSERVING = with_mode(POLICY, "p.yaml", "observe")


@pytest.fixture
def operator(registry: Registry) -> PrivateKey:
    key = make_key("ops", registry.folder / "keys")
    with open_database(registry.database) as connection:
        trust_key(connection, key.public, "ops", "operator")
    return key


def insert_policy(registry: Registry, *, with_entry: bool) -> None:
    """What somebody writes by SQL: the policy in force, which observes now."""
    digest = sha256(OBSERVING.encode()).hexdigest()
    row = {"model": "attacked*", "version": 2, "file": "x", "content": OBSERVING, "digest": digest}
    with open_database(registry.database) as connection:
        connection.execute(insert(policies).values(**row, applied_at=1, applied_by="root"))
        if with_entry:
            detail = {"policy": "attacked*", "version": 2, "mode": "enforce", "digest": digest, "file": "x"}
            ledger.append(connection, Event("root", "policy applied", "recorded", detail=detail))


def test_a_policys_text_that_was_changed_to_observe_is_found(registry: Registry) -> None:
    with open_database(registry.database) as connection:
        connection.execute(update(policies).values(content=OBSERVING))
    assert "attacked* policy 1: its text was changed after it was applied" in findings(registry)


def test_a_policy_that_observes_and_that_nobody_applied_is_found(registry: Registry) -> None:
    insert_policy(registry, with_entry=False)
    registry.client.set_registered_model_alias(MODEL, "champion", str(registry.version(b"bad", None)))
    assert registry.champion() == 1
    assert any("attacked* policy 2: it bypassed the gate" in found for found in findings(registry))


@pytest.mark.usefixtures("operator")
def test_a_policy_that_observes_with_an_entry_that_chains_is_found(registry: Registry) -> None:
    insert_policy(registry, with_entry=True)
    with open_database(registry.database) as connection:
        report = audit.verify(connection)
    assert any("no operator's key signed" in str(found) for found in report.findings)
    assert any("attacked* policy 2 observes" in note for note in report.notes), "whatever the entry says"


def test_an_earlier_policy_that_observed_does_not_come_back_unnoticed(registry: Registry) -> None:
    with open_database(registry.database) as connection:
        apply_policy(connection, OBSERVING, "p.yaml")
        switch_mode(connection, "attacked*", "enforce")
    assert findings(registry) == []
    with open_database(registry.database) as connection:
        connection.execute(delete(policies).where(policies.c.version == 3))
    assert "attacked* policy 3: it was applied, and is gone" in findings(registry)


def test_only_an_operator_switches_as_soon_as_there_is_one(registry: Registry, operator: PrivateKey) -> None:
    stranger = make_key("stranger", registry.folder / "keys")
    bad = str(registry.version(b"bad", None))
    for by in (None, stranger, registry.keys["pipeline"]):
        with (
            pytest.raises(ConfigError, match=r"--key NAME"),
            open_database(registry.database) as connection,
        ):
            switch_mode(connection, "attacked*", "observe", by)
    with pytest.raises(MlflowException, match="may not become @champion"):
        registry.client.set_registered_model_alias(MODEL, "champion", bad)
    with open_database(registry.database) as connection:
        head = ledger.head(connection)
        switch_mode(connection, "attacked*", "observe", operator)
    registry.client.set_registered_model_alias(MODEL, "champion", bad)
    with open_database(registry.database) as connection:
        report = audit.verify(connection, head)
    assert report.findings == ()
    (told,) = report.extended
    assert f"policy applied attacked* 2 observe (signed by {operator.public.id[:12]})" in told
    with open_database(registry.database) as connection:
        switch_mode(connection, "attacked*", "enforce", operator)
    assert any(f"{MODEL} @champion: v{bad}: there is no evidence" in found for found in findings(registry))


def test_a_hardened_database_keeps_enforcing(registry: Registry) -> None:
    hardened(registry)
    text = OBSERVING.replace("'", "''")
    for statement in (
        f"UPDATE resnet_ops_policies SET content = '{text}'",
        "DELETE FROM resnet_ops_policies",
    ):
        with contextlib.suppress(DBAPIError):
            sql(registry, statement)
    with pytest.raises(MlflowException, match="may not become @champion"):
        registry.client.set_registered_model_alias(MODEL, "champion", str(registry.version(b"bad", None)))
    assert findings(registry) == []


def test_what_an_observed_name_holds_is_judged_when_it_is_renamed_into_an_enforced_one(
    registry: Registry,
) -> None:
    with open_database(registry.database) as connection:
        apply_policy(connection, OBSERVING.replace("attacked*", "observed"), "o.yaml")
    registry.client.create_registered_model("observed")
    bad = str(registry.version(b"bad", None, model="observed"))
    registry.client.set_registered_model_alias("observed", "champion", bad)
    with pytest.raises(MlflowException, match="may not become @champion"):
        registry.client.rename_registered_model("observed", "attacked-too")
    assert registry.champion("observed") == int(bad)


def measured(registry: Registry, right: int) -> str:
    """A new version, proven, which answers the first so many of 1000 rows rightly; gives its number."""
    number = registry.version(f"{right} right".encode(), None)
    made = registry.client.get_model_version(MODEL, str(number))
    subject = Subject(MODEL, number, int(made.creation_timestamp), folder_digest(registry.files(number)))
    bits = int("1" * right + "0" * (1000 - right), 2).to_bytes(125, "big")
    outcomes = Outcomes(images="0" * 64, n=1000, right=base64.b64encode(bits).decode())
    evidence = evidence_of(f"{number:064x}", 0.96).model_copy(update={"outcomes": {"test": outcomes}})
    statement = Statement(subject, EVIDENCE_TYPE, evidence.as_signed())
    registry.send(number, sign(statement, registry.keys["pipeline"]).text)
    return str(number)


@pytest.mark.parametrize("way", ["once", "by a rollback", "again", "taken off and again"])
def test_what_was_put_in_place_while_observing_does_not_come_back_uncompared(
    registry: Registry, way: str
) -> None:
    with open_database(registry.database) as connection:
        apply_policy(connection, COMPARED, "p.yaml")
    good, bad = measured(registry, 990), measured(registry, 300)
    registry.client.set_registered_model_alias(MODEL, "champion", good)
    with open_database(registry.database) as connection:
        switch_mode(connection, "attacked*", "observe")
    registry.client.set_registered_model_alias(MODEL, "champion", bad)
    if way == "by a rollback":
        registry.client.set_registered_model_alias(MODEL, "champion", good)
        registry.client.set_registered_model_tag(MODEL, ROLLBACK_TAG, "champion")
    elif way == "taken off and again":
        registry.client.delete_registered_model_alias(MODEL, "champion")
    if way.endswith("again"):
        registry.client.set_registered_model_alias(MODEL, "champion", bad)
    assert registry.champion() == int(bad)
    registry.client.set_registered_model_alias(MODEL, "champion", good)
    with open_database(registry.database) as connection:
        switch_mode(connection, "attacked*", "enforce")
    with pytest.raises(MlflowException, match="points against @champion"):
        registry.client.set_registered_model_tag(MODEL, ROLLBACK_TAG, "champion")
    assert registry.champion() == int(good)


def test_a_policy_that_observes_and_cannot_be_read_closes(registry: Registry) -> None:
    with open_database(registry.database) as connection:
        apply_policy(connection, OBSERVING, "p.yaml")
    sql(
        registry,
        "UPDATE resnet_ops_policies SET content = replace(content, 'rule: threshold', 'rule: nothing'), "
        "applied_at = 5",
    )
    bad = str(registry.version(b"bad", None))
    with pytest.raises(MlflowException, match="its policy cannot be read"):
        registry.client.set_registered_model_alias(MODEL, "champion", bad)


def adopt(registry: Registry, by: PrivateKey | None = None) -> str:
    """An alias that was moved by SQL, as an operator's adoption would record it; gives the registered model."""
    registry.client.create_registered_model("attacked-old")
    bad = registry.version(b"bad", None, model="attacked-old")
    sql(
        registry,
        "INSERT INTO registered_model_aliases (workspace, name, alias, version) "
        f"VALUES ('default', 'attacked-old', 'champion', {bad})",
    )
    with open_database(registry.database) as connection:
        (recorded,) = record_holders(connection, ["attacked-old"], {}, by)
    assert recorded.state == "recorded"
    return "attacked-old"


def test_an_adoption_is_signed_and_one_that_was_put_in_is_found(
    registry: Registry, operator: PrivateKey
) -> None:
    with open_database(registry.database) as connection:
        apply_policy(connection, OBSERVING, "p.yaml", operator)
    with pytest.raises(ConfigError, match=r"--key NAME"):
        adopt(registry)
    with open_database(registry.database) as connection:
        (recorded,) = record_holders(connection, ["attacked-old"], {}, operator)
    assert findings(registry) == []
    with open_database(registry.database) as connection:
        honest = ledger.list_entries(connection, limit=1)[0].event
    detail = {name: value for name, value in honest.detail.items() if name not in ("operator", "signature")}
    for forged in (
        honest,
        replace(honest, detail=detail),
        replace(honest, version=7),
        replace(honest, target="@x"),
    ):
        with open_database(registry.database) as connection:
            ledger.append(connection, forged)
    assert (
        sum("no operator's key signed" in found and "adopted" in found for found in findings(registry)) == 4
    )
    assert recorded.holder.number == 1


def test_an_adoption_overrules_no_decision_of_the_gate(registry: Registry) -> None:
    registry.client.set_registered_model_alias(MODEL, "champion", str(registry.version(b"good")))
    bad = registry.version(b"bad", None)
    sql(registry, f"UPDATE registered_model_aliases SET version = {bad} WHERE alias = 'champion'")
    with open_database(registry.database) as connection:
        (recorded,) = record_holders(connection, [MODEL], {}, None)
    assert (recorded.state, recorded.before) == ("bypassed", 1)
    assert any(
        f"v{bad} bypassed the gate: the ledger's last decision is v1" in each for each in findings(registry)
    )


TEAM_RULE = """\
from typing import Literal
from resnet_ops_registry.rules.threshold import Threshold

class Promised(Threshold):
    rule: Literal["promised"]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder that a team's package with a rule is installed into."""
    about = tmp_path / "site" / "team_promises-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: team-promises\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[resnet_ops.rules]\npromised = team_promises:Promised\n")
    (about.parent / "team_promises.py").write_text(TEAM_RULE)
    return about.parent


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_an_entry_that_was_observed_is_told_from_a_forged_one_after_a_rule_of_its_policy_is_gone(
    registry: Registry, site: Path, monkeypatch: pytest.MonkeyPatch, mode: Literal["observe", "enforce"]
) -> None:
    monkeypatch.syspath_prepend(str(site))
    text = with_mode(POLICY, "p.yaml", mode).replace("rule: threshold", "rule: promised")
    bad = registry.version(b"bad", None)
    with open_database(registry.database) as connection:
        apply_policy(connection, text, "p.yaml")
    if mode == "observe":
        registry.client.set_registered_model_alias(MODEL, "champion", str(bad))
    else:
        claim_observed(registry, bad)
    with open_database(registry.database) as connection:
        apply_policy(connection, OBSERVING, "p.yaml")
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(site)])
    _parse.cache_clear()
    with open_database(registry.database) as connection:
        (applied,) = policies_at(connection, ledger.list_entries(connection)[:-1])
    assert "is not a rule" in applied.problem
    assert any("no policy observed then" in found for found in findings(registry)) == (mode == "enforce")


def claim_observed(registry: Registry, number: int) -> None:
    """An alias that was set by SQL, and a ledger entry that chains."""
    made = registry.client.get_model_version(MODEL, str(number)).creation_timestamp
    sql(
        registry,
        "INSERT INTO registered_model_aliases (workspace, name, alias, version) "
        f"VALUES ('default', '{MODEL}', 'champion', {number})",
    )
    with open_database(registry.database) as connection:
        detail = {"creation_time": made}
        forged = Event("root", "alias", "observed", "default", MODEL, number, "@champion", detail=detail)
        ledger.append(connection, forged)


def test_an_entry_that_claims_to_have_been_observed_under_a_policy_that_enforced_is_found(
    registry: Registry,
) -> None:
    claim_observed(registry, registry.version(b"bad", None))
    assert any("no policy observed then" in found for found in findings(registry))
