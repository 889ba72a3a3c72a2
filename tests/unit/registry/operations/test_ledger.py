import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import (
    find_key,
    list_trusted,
    revoke_key,
    trust_first_key,
    trust_key,
)
from resnet_ops_registry.database.ledger import Event, append, list_entries, verify
from resnet_ops_registry.database.tables import HEAD, VERSION_TABLE, metadata, open_database
from resnet_ops_registry.gate.policies import apply_policy, policy_for

POLICY = """\
model: NAME
evidence_roles: [pipeline]
guards: []
"""


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/registry.db"


@pytest.fixture
def connection(uri: str) -> Iterator[Connection]:
    with open_database(uri) as connection:
        yield connection


def event(number: int) -> Event:
    return Event("me", "alias", "refused", model="digits", version=number, detail={"reasons": ["é", number]})


def test_entries_are_chained_and_read_back(connection: Connection) -> None:
    written = [append(connection, event(number)) for number in (1, 2, 3)]
    assert verify(connection) == 3
    assert [entry.event.version for entry in list_entries(connection, "digits", limit=2)] == [2, 3]
    assert list_entries(connection)[0].hash == written[0].hash == written[1].previous
    assert list_entries(connection, "other") == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE resnet_ops_ledger SET entry = replace(entry, 'refused', 'allowed') WHERE seq = 2",
        "UPDATE resnet_ops_ledger SET model = 'other' WHERE seq = 2",
        "DELETE FROM resnet_ops_ledger WHERE seq = 1",
        "DELETE FROM resnet_ops_ledger WHERE seq = 2",
        "DELETE FROM resnet_ops_ledger WHERE seq = 3",
        "DELETE FROM resnet_ops_ledger",
        "UPDATE resnet_ops_ledger SET hash = 'x' WHERE seq = 3",
        "INSERT INTO resnet_ops_ledger SELECT 4, entry, hash, 'x', workspace, model FROM resnet_ops_ledger WHERE seq=3",
    ],
)
def test_any_change_of_the_past_is_noticed(connection: Connection, change: str) -> None:
    for number in (1, 2, 3):
        append(connection, event(number))
    connection.execute(text(change))
    with pytest.raises(EvidenceError, match="ledger is broken"):
        verify(connection)


def test_writers_at_the_same_time_make_one_chain(uri: str) -> None:
    def write() -> None:
        for number in range(5):
            with open_database(uri) as connection:
                append(connection, event(number + 1))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_database(uri) as connection:
        assert verify(connection) == 20


def test_what_is_rolled_back_leaves_no_gap(uri: str) -> None:
    with pytest.raises(AttributeError), open_database(uri) as connection:
        append(connection, append(connection, event(1)))  # type: ignore[arg-type]
    with open_database(uri) as connection:
        append(connection, event(2))
        assert verify(connection) == 1


def test_the_migrations_make_exactly_the_tables_of_the_code(connection: Connection) -> None:
    context = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "target_metadata": metadata}
    )
    differences = compare_metadata(context, metadata)
    assert [each for each in differences if "alembic" not in str(each)] == []
    assert context.get_current_revision() == HEAD
    assert "alembic_version" not in inspect(connection).get_table_names()


def test_a_policy_is_kept_in_versions_and_the_same_text_adds_none(connection: Connection) -> None:
    digits = POLICY.replace("NAME", "digits")
    assert apply_policy(connection, digits, "a.yaml")[1] is True
    assert apply_policy(connection, digits, "b.yaml")[1] is False
    applied, new = apply_policy(connection, digits + "# changed\n", "a.yaml")
    assert (applied.version, new) == (2, True)


def test_the_policy_of_the_name_comes_before_patterns_and_the_longest_pattern_first(
    connection: Connection,
) -> None:
    for name in ('"*"', '"dig*"', "digits"):
        apply_policy(connection, POLICY.replace("NAME", name), "p.yaml")
    found = [policy_for(connection, model) for model in ("digits", "digest", "other")]
    assert [each.policy.model for each in found if each] == ["digits", "dig*", "*"]


def test_a_revoked_key_stays_revoked(connection: Connection, tmp_path: Path) -> None:
    public = open_key("pipeline", tmp_path).public
    assert trust_first_key(connection, public, "pipeline", "pipeline") is True
    revoke_key(connection, public.id[:8])
    assert find_key(connection, public.id) is None
    with pytest.raises(ConfigError, match="was revoked"):
        trust_key(connection, public, "pipeline", "pipeline")
    assert trust_first_key(connection, open_key("other", tmp_path).public, "other", "pipeline") is False
    assert len(list_trusted(connection)) == 1


def test_a_role_is_not_changed_in_passing(connection: Connection, tmp_path: Path) -> None:
    public = open_key("pipeline", tmp_path).public
    trust_key(connection, public, "pipeline", "pipeline")
    with pytest.raises(ConfigError, match="trusted as pipeline already"):
        trust_key(connection, public, "pipeline", "operator")


def test_a_database_that_cannot_return_what_it_updates_is_locked_and_written_too(
    connection: Connection,
) -> None:
    connection.dialect.update_returning = False
    append(connection, event(1))
    append(connection, event(2))
    assert verify(connection) == 2
