"""What the gate keeps from one promotion to the next never outlives a change, whoever made it and where."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from sqlalchemy import Connection, text

from resnet_ops.errors import EvidenceError, GateDenied
from resnet_ops_registry import check, promote
from resnet_ops_registry.attestations import signed
from resnet_ops_registry.attestations.envelope import Statement, Subject, sign
from resnet_ops_registry.attestations.evidence import EVIDENCE_TYPE, Evidence
from resnet_ops_registry.attestations.keys import PrivateKey, open_key
from resnet_ops_registry.attestations.signed import read_signed
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.client.publish import Published
from resnet_ops_registry.common.settings import database_uri
from resnet_ops_registry.database.ledger import list_entries, verify
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy, policy_for
from tests.unit.registry.conftest import NAME, POLICY

Publisher = Callable[..., Published]

REVOKE = """\
from resnet_ops_registry.attestations.trust import list_trusted, revoke_key
revoke_key(connection, list_trusted(connection)[0].id)
"""
APPLY = """\
from resnet_ops_registry.gate.policies import apply_policy
apply_policy(connection, {text!r}, "digits.yaml")
"""


def elsewhere(script: str) -> None:
    """Run it in a process that shares nothing with this one but the database, and wait."""
    lines = [
        "from resnet_ops_registry.database.tables import open_database",
        f"with open_database({database_uri()!r}) as connection:",
        *(f"    {line}" for line in script.splitlines()),
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


@pytest.fixture
def version(policy: None, published: Publisher) -> int:
    """A version that was promoted, so that whatever is kept is there."""
    version = published().version
    for _ in range(2):
        promote(NAME, version, "champion")
    return version


@pytest.mark.slow
def test_a_key_that_another_process_revokes_counts_no_more(version: int) -> None:
    elsewhere(REVOKE)
    with pytest.raises(GateDenied, match="no evidence signed"):
        promote(NAME, version, "champion")


@pytest.mark.slow
def test_a_policy_that_another_process_applies_is_in_force(version: int) -> None:
    elsewhere(APPLY.format(text=POLICY.replace("0.95", "0.99")))
    with pytest.raises(GateDenied, match=r"is below 0\.990"):
        promote(NAME, version, "champion")
    elsewhere(APPLY.format(text=POLICY))
    promote(NAME, version, "champion")


@pytest.mark.slow
def test_an_alias_that_another_process_puts_behind_the_gate_is_judged(
    client: MlflowClient, version: int
) -> None:
    promote(NAME, version, "edge")
    elsewhere(APPLY.format(text=POLICY.replace("[champion]", "[champion, edge]").replace("0.95", "0.99")))
    with pytest.raises(GateDenied, match="may not become @edge"):
        promote(NAME, version, "edge")


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        "envelope = replace(envelope, 'sig\":\"', 'sig\":\"AAAA')",
        "envelope = replace(envelope, 'payload\":\"ey', 'payload\":\"eW')",
        "key_id = 'unknown'",
        "key_id = (SELECT min(key_id) FROM resnet_ops_trusted_keys WHERE name = 'other')",
    ],
)
def test_a_statement_that_is_changed_in_the_table_is_not_believed(
    version: int, change: str, project: Path
) -> None:
    with open_database() as connection:
        trust_key(connection, open_key("other", project / "other-keys").public, "other", "pipeline")
        assert connection.execute(text(f"UPDATE resnet_ops_statements SET {change}")).rowcount == 1
    with pytest.raises(GateDenied, match="its evidence is not believed"):
        promote(NAME, version, "champion")


@pytest.mark.slow
def test_a_public_key_that_is_swapped_in_the_table_verifies_nothing(version: int, project: Path) -> None:
    other = open_key("other", project / "other-keys").public.raw.hex()
    with open_database() as connection:
        connection.execute(text(f"UPDATE resnet_ops_trusted_keys SET public_key = '{other}'"))
    with pytest.raises(GateDenied, match="its evidence is not believed"):
        promote(NAME, version, "champion")


@pytest.mark.slow
def test_files_of_the_same_size_and_time_are_read_again(version: int, project: Path) -> None:
    (weights,) = (project / "var" / "artifacts").rglob("weights.safetensors")
    state, content = weights.stat(), weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(GateDenied, match="its files were changed"):
        promote(NAME, version, "champion")


@pytest.mark.slow
def test_a_deleted_key_takes_its_evidence_along(version: int) -> None:
    with open_database() as connection:
        connection.execute(text("DELETE FROM resnet_ops_trusted_keys"))
    (problem,) = check(NAME, version, "champion").problems
    assert problem.startswith("there is no evidence")


@pytest.mark.slow
def test_several_changes_in_one_flush_are_chained(
    client: MlflowClient, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.transition_model_version_stage(NAME, str(version), "Production")
    monkeypatch.setenv("RESNET_OPS_UNGOVERNED", "open")
    client.rename_registered_model(NAME, "elsewhere")
    with open_database() as connection:
        entries = list_entries(connection)
        assert verify(connection) == len(entries)
    assert {each.event.action for each in entries[-2:]} == {"alias removed", "stage removed"}


@pytest.fixture
def two_databases(tmp_path: Path) -> Iterator[list[Connection]]:
    with (
        open_database(f"sqlite:///{tmp_path}/one.db") as one,
        open_database(f"sqlite:///{tmp_path}/two.db") as two,
    ):
        yield [one, two]


def test_each_database_has_its_own_policies_though_their_latest_is_the_same(
    two_databases: list[Connection],
) -> None:
    policies = [POLICY, POLICY.replace("0.95", "0.99")]
    for connection, policy in zip(two_databases, policies, strict=True):
        apply_policy(connection, policy, "digits.yaml")
        apply_policy(connection, POLICY.replace(NAME, "other"), "other.yaml")
        connection.execute(text("UPDATE resnet_ops_policies SET applied_at = 0"))
    for _ in range(2):
        found = [policy_for(connection, NAME) for connection in two_databases]
        assert [each.content for each in found if each] == policies


@pytest.fixture
def key(tmp_path: Path) -> PrivateKey:
    return open_key("pipeline", tmp_path)


@pytest.fixture
def statement(make_evidence: Callable[..., Evidence]) -> Statement:
    return Statement(
        Subject(NAME, 1, 1_700_000_000_000, "a" * 64), EVIDENCE_TYPE, make_evidence().as_signed()
    )


def test_what_a_reader_does_to_it_is_not_kept(key: PrivateKey, statement: Statement) -> None:
    text = sign(statement, key).text
    first = read_signed(text, key.public).predicate
    assert isinstance(first, Evidence)
    first.metrics.clear()
    assert read_signed(text, key.public).predicate.as_signed() == statement.predicate


def test_a_right_signature_makes_no_other_one_right(
    key: PrivateKey, statement: Statement, tmp_path: Path
) -> None:
    envelope, other = sign(statement, key), open_key("other", tmp_path)
    read_signed(envelope.text, key.public)
    wrong = [
        (envelope, other),
        (replace(envelope, signature=other.sign(envelope.payload)), key),
        (replace(envelope, payload=envelope.payload.replace(b"0.98", b"0.99")), key),
        (replace(envelope, key_id=other.public.id), other),
    ]
    for _ in range(2):
        for changed, claimed in wrong:
            with pytest.raises(EvidenceError, match="not by key"):
                read_signed(changed.text, claimed.public)


def test_only_short_texts_with_a_right_signature_are_kept(
    key: PrivateKey, statement: Statement, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def kept() -> int:
        return signed._checked.cache_info().currsize

    signed._checked.cache_clear()  # a full one would not grow
    envelope = sign(statement, key)
    with pytest.raises(EvidenceError):
        read_signed(envelope.text, open_key("other", tmp_path).public)
    with monkeypatch.context() as patch:
        patch.setattr(signed, "KEPT_LENGTH", len(envelope.text) - 1)
        read_signed(envelope.text, key.public)
    assert kept() == 0
    read_signed(envelope.text, key.public)
    assert kept() == 1
