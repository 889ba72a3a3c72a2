"""Trust that somebody writes into the database, with an entry that chains: that needs no secret, a signature does."""

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import insert

from resnet_ops.errors import ConfigError
from resnet_ops_registry.attestations.keys import PrivateKey, make_key
from resnet_ops_registry.attestations.trust import revoke_key, trust_key
from resnet_ops_registry.database import ledger
from resnet_ops_registry.database.ledger import Event
from resnet_ops_registry.database.tables import open_database, policies, trusted_keys
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.operations import audit
from resnet_ops_registry.store.harden import harden, unharden
from tests.attacks.registry import POLICY, Registry

pytestmark = pytest.mark.e2e


def audited(registry: Registry, head: str | None = None) -> audit.Report:
    with open_database(registry.database) as connection:
        return audit.verify(connection, head)


def findings(registry: Registry, head: str | None = None) -> list[str]:
    return [str(finding) for finding in audited(registry, head).findings]


def operator(registry: Registry, name: str = "ops", by: PrivateKey | None = None) -> PrivateKey:
    key = make_key(name, registry.folder / "keys")
    with open_database(registry.database) as connection:
        trust_key(connection, key.public, name, "operator", by)
    return key


def forge_key(
    registry: Registry, role: str = "pipeline", more: Mapping[str, Any] | None = None
) -> PrivateKey:
    """What somebody writes by SQL: a key, and the entry of the ledger that would be there, chained as it should be."""
    key = make_key(f"forged-{time.time_ns()}", registry.folder / "keys")
    row = {"key_id": key.public.id, "name": key.name, "role": role, "public_key": key.public.raw.hex()}
    detail = {"key": key.public.id, "name": key.name, "role": role, **(more or {})}
    with open_database(registry.database) as connection:
        connection.execute(insert(trusted_keys).values(**row, added_at=1, added_by="root"))
        ledger.append(connection, Event("root", "key trusted", "recorded", detail=detail))
    return key


def forge_policy(registry: Registry) -> None:
    text = POLICY.replace("0.95", "0.05")
    with open_database(registry.database) as connection:
        digest = sha256(text.encode()).hexdigest()
        row = {"model": "attacked*", "version": 2, "file": "x", "content": text, "digest": digest}
        connection.execute(insert(policies).values(**row, applied_at=1, applied_by="root"))
        detail = {"policy": "attacked*", "version": 2, "digest": digest, "file": "x"}
        ledger.append(connection, Event("root", "policy applied", "recorded", detail=detail))


@pytest.mark.parametrize("role", ["pipeline", "operator", "reviewer"])
def test_a_key_that_was_put_in_with_an_entry_that_chains_is_found(registry: Registry, role: str) -> None:
    operator(registry)
    head = audited(registry).head
    assert findings(registry) == []
    key = forge_key(registry, role)
    for found in (findings(registry), findings(registry, head)):
        assert any("no operator's key signed" in each and key.name in each for each in found)


def test_a_policy_that_was_put_in_with_an_entry_that_chains_is_found(registry: Registry) -> None:
    operator(registry)
    forge_policy(registry)
    assert any("no operator's key signed" in found and "attacked* 2" in found for found in findings(registry))


def test_a_signature_by_another_key_or_of_another_place_is_none(registry: Registry) -> None:
    ops = operator(registry)
    with open_database(registry.database) as connection:
        honest = make_key("honest", registry.folder / "keys")
        trust_key(connection, honest.public, "honest", "reviewer", ops)
        replayed = ledger.list_entries(connection, limit=1)[0].event
    assert findings(registry) == []
    pipeline = registry.keys["pipeline"]
    forge_key(registry, more={"operator": pipeline.public.id, "signature": "AAAA"})
    forge_key(registry, more={"operator": ops.public.id, "signature": replayed.detail["signature"]})
    forge_key(registry, more={"operator": ops.public.id, "signature": 7})
    with open_database(registry.database) as connection:
        ledger.append(connection, replayed)
    assert sum("no operator's key signed" in found for found in findings(registry)) == 4


def test_an_operators_key_that_was_put_in_signs_nothing(registry: Registry) -> None:
    operator(registry)
    mine = forge_key(registry, "operator")
    with open_database(registry.database) as connection:
        more = make_key("more", registry.folder / "keys")
        trust_key(connection, more.public, "more", "pipeline", mine)
    assert sum("no operator's key signed" in found for found in findings(registry)) == 2


def test_a_revoked_operators_key_signs_nothing_more_and_the_signatures_before_stand(
    registry: Registry,
) -> None:
    ops = operator(registry)
    second = operator(registry, "second", ops)
    with open_database(registry.database) as connection:
        revoke_key(connection, ops.public.id)
        with pytest.raises(ConfigError, match="an operator must sign it"):
            apply_policy(connection, POLICY.replace("0.95", "0.9"), "p.yaml", ops)
    with open_database(registry.database) as connection:
        apply_policy(connection, POLICY.replace("0.95", "0.9"), "p.yaml", second)
    assert findings(registry) == []


def test_without_an_operators_key_what_is_new_since_a_head_is_listed_and_the_first_keys_trust_is_told(
    registry: Registry,
) -> None:
    before = audited(registry)
    assert any("key trusted pipeline" in line and "signed by nobody" in line for line in before.extended)
    key = forge_key(registry)
    report = audited(registry, before.head)
    assert report.findings == ()
    assert [key.name in line for line in report.extended] == [True]
    operator(registry)
    report = audited(registry, report.head)
    assert ["ops operator" in line for line in report.extended] == [True]


def test_with_an_operators_key_nothing_extends_trust_unsigned(registry: Registry) -> None:
    ops = operator(registry)
    stranger = make_key("stranger", registry.folder / "keys")
    for by in (None, stranger, registry.keys["pipeline"]):
        with open_database(registry.database) as connection:
            with pytest.raises(ConfigError, match=r"--key NAME"):
                trust_key(connection, stranger.public, "stranger", "pipeline", by)
            with pytest.raises(ConfigError, match=r"--key NAME"):
                apply_policy(connection, POLICY.replace("0.95", "0.1"), "p.yaml", by)
        with pytest.raises(ConfigError, match=r"--key NAME"), open_database(registry.database) as connection:
            harden(connection, by)
    with open_database(registry.database) as connection:
        assert harden(connection, ops)
        with pytest.raises(ConfigError, match=r"--key NAME"):
            unharden(connection)
    with open_database(registry.database) as connection:
        assert unharden(connection, ops)
        trust_key(connection, stranger.public, "stranger", "pipeline", ops)
        revoke_key(connection, stranger.public.id)
    assert findings(registry) == []
