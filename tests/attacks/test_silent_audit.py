"""What somebody who writes the database, and chains an entry for it, tries to hide from the audit."""

import time
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import insert, update

from resnet_ops_registry.attestations.envelope import read_envelope
from resnet_ops_registry.attestations.evidence import EVIDENCE_TYPE
from resnet_ops_registry.attestations.keys import make_key
from resnet_ops_registry.attestations.statements import find_version
from resnet_ops_registry.attestations.trust import revoke_key, trust_key
from resnet_ops_registry.database import ledger
from resnet_ops_registry.database.ledger import Event
from resnet_ops_registry.database.tables import model_tables, open_database, policies, statements
from resnet_ops_registry.gate.policies import apply_policy
from tests.attacks.conftest import Maker
from tests.attacks.hardening import findings, sql
from tests.attacks.registry import COMPARED, MODEL, POLICY, Registry, without_settings

pytestmark = pytest.mark.e2e


def promote(registry: Registry, number: int) -> None:
    registry.client.set_registered_model_alias(MODEL, "champion", str(number))


def test_an_audit_finds_a_statement_that_was_deleted_so_that_an_older_one_counts(registry: Registry) -> None:
    number = registry.version(b"good")
    registry.prove(number, registry.keys["pipeline"], low=0.5)
    assert findings(registry) == []
    sql(registry, "DELETE FROM resnet_ops_statements WHERE id = (SELECT max(id) FROM resnet_ops_statements)")
    promote(registry, number)
    (found,) = findings(registry)
    assert "statement" in found
    assert "is gone" in found


@pytest.mark.parametrize(
    "change",
    ["workspace = 'elsewhere'", "envelope = (SELECT o.envelope FROM resnet_ops_statements o WHERE o.id = 1)"],
)
def test_an_audit_finds_a_statement_that_was_put_out_of_the_way(registry: Registry, change: str) -> None:
    """In another workspace it is about no version; under a copy of an older one it is not read."""
    number = registry.version(b"good")
    registry.prove(number, registry.keys["pipeline"], low=0.5)
    assert findings(registry) == []
    sql(registry, f"UPDATE resnet_ops_statements SET {change} WHERE id = 2")
    promote(registry, number)
    assert any(each.startswith("statement ") for each in findings(registry))


def test_an_audit_finds_a_statement_that_was_put_in_past_the_gate(registry: Registry) -> None:
    number = registry.version(b"good")
    text = registry.statement(number, registry.keys["pipeline"], low=0.99)
    _put_in(registry, number, text)
    (found,) = findings(registry)
    assert "no entry of the ledger accepted it" in found


def _put_in(registry: Registry, number: int, text: str) -> None:
    envelope = read_envelope(text)
    with open_database(registry.database) as connection:
        version = find_version(connection, "default", MODEL, number)
        assert version is not None
        row = {
            "workspace": "default",
            "model": MODEL,
            "version": number,
            "creation_time": version.creation_time,
            "digest": registry.digest(number),
            "predicate_type": EVIDENCE_TYPE,
            "key_id": envelope.key_id,
            "envelope": text,
            "envelope_digest": envelope.digest,
            "received_at": 1,
            "received_by": "me",
        }
        connection.execute(insert(statements).values(row))


@pytest.mark.parametrize("change", ["seq = 1000", "next_at = 99000000000000"])
def test_an_audit_finds_a_webhook_that_was_moved_past_what_it_is_to_be_told(
    registry: Registry, change: str
) -> None:
    columns = "(endpoint, seq, attempts, next_at, problem)"
    sql(registry, f"INSERT INTO resnet_ops_deliveries {columns} VALUES ('{'e' * 64}', 1, 0, 0, '')")
    assert findings(registry) == []
    sql(registry, f"UPDATE resnet_ops_deliveries SET {change}")
    (found,) = findings(registry)
    assert found.startswith("webhook ")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE resnet_ops_trusted_keys SET role = 'pipeline' WHERE name = 'watcher'",
        "UPDATE resnet_ops_trusted_keys SET name = 'somebody else' WHERE name = 'watcher'",
        "DELETE FROM resnet_ops_trusted_keys WHERE name = 'watcher'",
        "UPDATE resnet_ops_trusted_keys SET revoked_at = 5 WHERE name = 'watcher'",
    ],
)
def test_an_audit_finds_a_key_that_says_something_else_than_the_ledger(
    registry: Registry, change: str
) -> None:
    key = make_key("watcher", registry.folder / "keys")
    with open_database(registry.database) as connection:
        trust_key(connection, key.public, "watcher", "monitor")
    assert findings(registry) == []
    sql(registry, change)
    (found,) = findings(registry)
    assert found.startswith("key ")


def test_an_audit_finds_an_older_policy_that_was_moved_to_the_front(registry: Registry) -> None:
    with open_database(registry.database) as connection:
        apply_policy(connection, POLICY.replace("0.95", "0.99"), "stricter.yaml")
    assert findings(registry) == []
    with open_database(registry.database) as connection:
        table = policies
        connection.execute(update(table).where(table.c.version == 1).values(id=900))
    promote(registry, registry.version(b"good"))
    assert any("policy 1" in found and "in force" in found for found in findings(registry))


def forge_decision(registry: Registry, number: int, **more: Any) -> None:
    """The alias by SQL, and the entry that would be there, with the evidence's files, chained as it should be."""
    _, aliases = model_tables()
    made = registry.client.get_model_version(MODEL, str(number))
    with open_database(registry.database) as connection:
        known = (aliases.c.name == MODEL, aliases.c.alias == "champion")
        if connection.execute(update(aliases).where(*known).values(version=number)).rowcount == 0:
            row = {"workspace": "default", "name": MODEL, "alias": "champion", "version": number}
            connection.execute(insert(aliases).values(row))
        detail: dict[str, Any] = {
            "policy": "attacked* policy 1",
            "files": registry.digest(number),
            "creation_time": int(made.creation_timestamp),
            "login": True,
            "allowed": True,
            "statements": [],
        }
        about = ("default", MODEL, number, "@champion")
        action = more.pop("action", "alias")
        ledger.append(connection, Event("admin", action, "allowed", *about, detail={**detail, **more}))


@pytest.mark.parametrize("action", ["alias", "rollback"])
def test_an_audit_finds_a_decision_that_the_gate_cannot_have_made(registry: Registry, action: str) -> None:
    good, bad = registry.version(b"good"), registry.version(b"bad", low=0.5)
    promote(registry, good)
    assert findings(registry) == []
    time.sleep(0.002)  # the ledger counts in milliseconds
    forge_decision(registry, bad, action=action)
    found = findings(registry)
    assert any("cannot have been allowed" in each and "below 0.95" in each for each in found)


def test_a_decision_by_a_policy_of_then_stays_explained(registry: Registry) -> None:
    """What would fail today was right then: stricter policies and newer evidence are no findings."""
    promote(registry, number := registry.version(b"good"))
    with open_database(registry.database) as connection:
        apply_policy(connection, POLICY.replace("0.95", "0.99"), "stricter.yaml")
    time.sleep(0.002)
    registry.prove(number, registry.keys["pipeline"], low=0.5)
    assert findings(registry) == []


def test_an_alias_whose_version_was_taken_away_is_still_to_be_beaten(registry: Registry) -> None:
    one, two = registry.version(b"one"), registry.version(b"two")
    with open_database(registry.database) as connection:
        apply_policy(connection, COMPARED, "compared.yaml")
    promote(registry, one)
    sql(registry, "UPDATE model_versions SET current_stage = 'Deleted_Internal' WHERE version = 1")
    with pytest.raises(MlflowException, match="the evidence of the candidate has no outcomes"):
        promote(registry, two)


WRONG_TYPES = {
    "registered_model_aliases": (
        "alias = x'ff00'",
        "version = 'x'",
        "name = x'ff00'",
        "alias = hex(zeroblob(200))",
    ),
    "model_versions": (
        "version = 'x'",
        "creation_time = 'x'",
        "current_stage = x'ff00'",
        "storage_location = x'ff00'",
    ),
    "resnet_ops_policies": ("content = x'ff00'",),
    "resnet_ops_trusted_keys": ("public_key = x'ff00'",),
    "resnet_ops_deliveries": ("seq = 'x'",),
    "resnet_ops_ledger": (
        *(
            f"entry = json_set(entry, '$.{name}', json('[1]'))"
            for name in ("time", "workspace", "target", "version")
        ),
        *(f"entry = json_set(entry, '$.detail.{name}', json('[1]'))" for name in ("policy", "digest", "key")),
    ),
}


def test_a_value_of_another_type_is_a_finding_and_hides_no_other(
    make_database: Maker, tmp_path: Path
) -> None:
    """SQLite keeps any type in any column."""
    with without_settings():
        registry, file = Registry(make_database("sqlite", tmp_path), tmp_path), tmp_path / "mlflow.db"
        registry.client.set_registered_model_alias(MODEL, "champion", str(registry.version(b"good")))
        sql(registry, f"INSERT INTO resnet_ops_deliveries VALUES ('{'e' * 64}', 1, 0, 0, '')")
        assert findings(registry) == []
        sql(registry, "INSERT INTO resnet_ops_state (name, value) VALUES ('hardened', '1')")
        whole = file.read_bytes()
        for table, changes in WRONG_TYPES.items():
            for change in changes:
                sql(registry, f"UPDATE {table} SET {change.replace(':', chr(92) + ':')}")
                found = findings(registry)
                assert any("'database unhardened'" in each for each in found), change
                assert any("'database unhardened'" not in each and "trigger" not in each for each in found), (
                    change
                )
                with open_database(registry.database) as connection:
                    revoke_key(connection, registry.keys["pipeline"].public.id)
                file.write_bytes(whole)
