"""The database's own triggers, the audit, and what both must leave alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DBAPIError

from resnet_ops_registry.attestations.trust import revoke_key
from resnet_ops_registry.database.ledger import list_entries, verify
from resnet_ops_registry.database.tables import open_database, tickets
from resnet_ops_registry.store import harden as harden_module
from resnet_ops_registry.store.harden import harden, is_hardened, missing_triggers, repair, unharden
from tests.attacks.conftest import Maker
from tests.attacks.hardening import findings, hardened, sql
from tests.attacks.registry import MODEL, Registry, without_settings

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, make_database: Maker
) -> Iterator[Registry]:
    """A hardened registry whose champion's key was revoked. What it refuses leaves it as it was."""
    folder = tmp_path_factory.mktemp("guarded")
    with without_settings():
        registry = Registry(make_database(request.param, folder), folder)
        registry.version(b"good")
        registry.client.set_registered_model_alias(MODEL, "champion", "1")
        sql(registry, "DELETE FROM model_version_tags")
        with open_database(registry.database) as connection:
            revoke_key(connection, registry.keys["pipeline"].public.id)
        hardened(registry)
        yield registry


def test_the_gate_works_on_a_hardened_database_and_leaves_no_ticket(registry: Registry) -> None:
    hardened(registry)
    client, good = registry.client, str(registry.version(b"good"))
    bad = str(registry.version(b"bad", low=0.9))
    client.set_registered_model_alias(MODEL, "champion", good)
    client.set_registered_model_alias(MODEL, "champion", good)
    client.set_registered_model_alias(MODEL, "free", bad)
    client.set_registered_model_alias(MODEL, "free", good)
    client.transition_model_version_stage(MODEL, good, "Production")
    client.transition_model_version_stage(MODEL, good, "Archived")
    client.transition_model_version_stage(MODEL, bad, "Staging", archive_existing_versions=True)
    with pytest.raises(MlflowException, match="may not become @champion"):
        client.set_registered_model_alias(MODEL, "champion", bad)
    assert registry.champion() == int(good)
    client.delete_registered_model_alias(MODEL, "champion")
    client.rename_registered_model(MODEL, "elsewhere")
    assert client.get_registered_model("elsewhere").aliases["free"] == int(good)
    client.delete_model_version("elsewhere", good)
    client.delete_registered_model("elsewhere")
    with open_database(registry.database) as connection:
        assert connection.execute(select(tickets)).all() == []
        verify(connection)
    assert findings(registry) == []


def test_hardening_is_taken_back_whole(registry: Registry) -> None:
    def triggers() -> int:
        catalogue = (
            "sqlite_master WHERE type = 'trigger' AND name"
            if "sqlite" in registry.database
            else "pg_proc WHERE proname"
        )
        with open_database(registry.database) as connection:
            return int(
                connection.execute(
                    text(f"SELECT count(*) FROM {catalogue} LIKE 'resnet_ops_guard_%'")
                ).scalar_one()
            )

    assert triggers() == 0
    hardened(registry)
    with open_database(registry.database) as connection:
        assert not harden(connection), "a second time changes nothing"
    assert triggers() > 15
    with open_database(registry.database) as connection:
        assert unharden(connection)
        assert not unharden(connection)
        assert not is_hardened(connection)
        actions = [entry.event.action for entry in list_entries(connection)]
    assert triggers() == 0
    assert actions[-2:] == ["database hardened", "database unhardened"]
    plain = MlflowClient(registry.database, registry.database)
    plain.set_registered_model_alias(MODEL, "champion", str(registry.version(b"x", None)))
    assert any("bypassed the gate" in finding for finding in findings(registry))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM resnet_ops_ledger",
        "DELETE FROM resnet_ops_ledger_head",
        "UPDATE resnet_ops_ledger_head SET seq = 0",
        "INSERT INTO resnet_ops_ledger_head (id, seq, hash) VALUES (2, 0, 'x')",
        "INSERT INTO resnet_ops_ledger (seq, entry, previous, hash, workspace) VALUES (999, '{}', 'x', 'y', 'default')",
        "UPDATE resnet_ops_ledger SET entry = '{}'",
        "DELETE FROM resnet_ops_policies",
        "UPDATE resnet_ops_policies SET content = 'x'",
        "DELETE FROM resnet_ops_statements",
        "UPDATE resnet_ops_statements SET version = 9",
        "UPDATE resnet_ops_trusted_keys SET revoked_at = NULL",
        "UPDATE resnet_ops_trusted_keys SET public_key = 'x'",
        "DELETE FROM resnet_ops_trusted_keys",
        "DELETE FROM resnet_ops_places",
        "DELETE FROM resnet_ops_state",
        "UPDATE resnet_ops_state SET name = 'softened'",
        "INSERT INTO resnet_ops_state (name, value) VALUES ('x', 'y')",
        "UPDATE model_versions SET creation_time = 1",
        "UPDATE model_versions SET storage_location = '/evil'",
        "UPDATE model_versions SET source = '/evil'",
        "UPDATE model_versions SET current_stage = 'PRODUCTION'",
        "DELETE FROM model_versions",
        "UPDATE registered_model_aliases SET alias = 'other'",
        "UPDATE registered_model_aliases SET version = 2",
        "INSERT INTO registered_model_aliases (name, alias, version) VALUES ('attacked', 'live', 1)",
    ],
)
def test_a_hardened_database_refuses_what_comes_past_the_gate(guarded: Registry, statement: str) -> None:
    with pytest.raises(DBAPIError, match="The registry is hardened"):
        sql(guarded, statement)


def test_replacing_rows_is_refused_on_sqlite_too(registry: Registry) -> None:
    """INSERT OR REPLACE removes a row without asking a DELETE trigger."""
    if "sqlite" not in registry.database:
        pytest.skip("PostgreSQL has no INSERT OR REPLACE")
    registry.version(b"good")
    registry.client.set_registered_model_alias(MODEL, "champion", "1")
    hardened(registry)
    for table in (
        "resnet_ops_ledger",
        "resnet_ops_policies",
        "resnet_ops_statements",
        "model_versions",
        "registered_model_aliases",
    ):
        with pytest.raises(DBAPIError, match="The registry is hardened"):
            sql(registry, f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")


TAKES_A_ROWS_PLACE = {
    "an entry": "INSERT OR REPLACE INTO resnet_ops_ledger (seq, entry, previous, hash, workspace) SELECT h.seq + 1,"
    " 'x', h.hash, (SELECT hash FROM resnet_ops_ledger WHERE seq = 2), 'x' FROM resnet_ops_ledger_head h",
    "a policy": "INSERT OR REPLACE INTO resnet_ops_policies SELECT id + 9, model, version, file, 'x', digest,"
    " applied_at, applied_by FROM resnet_ops_policies",
    "a statement": "INSERT OR REPLACE INTO resnet_ops_statements SELECT id + 9, workspace, model, 7, creation_time,"
    " digest, predicate_type, key_id, envelope, envelope_digest, received_at, received_by FROM resnet_ops_statements",
    "a version": f"UPDATE OR REPLACE model_versions SET name = '{MODEL}' WHERE name = 'free'",
}


@pytest.mark.parametrize("replaced", TAKES_A_ROWS_PLACE)
def test_a_row_is_not_replaced_by_another_of_its_unique_values_either(
    make_database: Maker, tmp_path: Path, replaced: str
) -> None:
    with without_settings():
        registry = Registry(make_database("sqlite", tmp_path), tmp_path)
        registry.client.transition_model_version_stage(MODEL, str(registry.version(b"good")), "Production")
        registry.client.create_registered_model("free")
        registry.version(b"evil", None, model="free")
        sql(registry, "DELETE FROM model_version_tags")
        hardened(registry)
        with pytest.raises(DBAPIError, match="The registry is hardened"):
            sql(registry, TAKES_A_ROWS_PLACE[replaced])


def test_mlflows_kind_of_migration_works_and_triggers_come_back(registry: Registry) -> None:
    """Alembic's batch mode makes a table anew on SQLite; MLflow's migrations use it."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from sqlalchemy import Column, String

    registry.version(b"good")
    hardened(registry)
    engine = create_engine(registry.database)
    with engine.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        for table in ("model_versions", "registered_model_aliases", "registered_models"):
            with operations.batch_alter_table(table, recreate="auto") as batch:
                batch.add_column(Column("tried", String(10)))
                if "sqlite" in registry.database:
                    batch.alter_column("name", existing_type=String(256), nullable=False)
            with operations.batch_alter_table(table) as batch:
                batch.drop_column("tried")
    with engine.begin() as connection:
        lost = missing_triggers(connection)
    assert bool(lost) == ("sqlite" in registry.database)
    if lost:
        assert any("trigger" in finding for finding in findings(registry))
    repair(engine)
    with engine.begin() as connection:
        assert missing_triggers(connection) == []
    engine.dispose()
    with pytest.raises(DBAPIError, match="The registry is hardened"):
        sql(registry, "UPDATE model_versions SET creation_time = 1")
    registry.client.set_registered_model_alias(MODEL, "champion", "1")


TRUNCATED = (
    "model_versions",
    "registered_models",
    "resnet_ops_ledger",
    "resnet_ops_ledger_head",
    "resnet_ops_policies",
    "resnet_ops_statements",
    "resnet_ops_trusted_keys",
    "resnet_ops_places",
    "resnet_ops_state",
)
GUARD = "resnet_ops_guard_alias_insert"
ALIASES = "registered_model_aliases"
TAKEN_OFF = {
    "another function": f"CREATE OR REPLACE FUNCTION {GUARD}() RETURNS trigger LANGUAGE plpgsql "
    "SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN NEW; END $$",
    "another search path": f"ALTER FUNCTION {GUARD}() SET search_path = public",
    "no search path": f"ALTER FUNCTION {GUARD}() RESET search_path",
    "another setting": f"ALTER FUNCTION {GUARD}() SET row_security = off",
    "its owner's rights": f"ALTER FUNCTION {GUARD}() SECURITY DEFINER",
    "off": f"ALTER TABLE {ALIASES} DISABLE TRIGGER {GUARD}",
    "replicas only": f"ALTER TABLE {ALIASES} ENABLE REPLICA TRIGGER {GUARD}",
    "gone": f"DROP TRIGGER {GUARD} ON {ALIASES}",
    "another table": f"DROP TRIGGER {GUARD} ON {ALIASES}; CREATE TRIGGER {GUARD} BEFORE INSERT ON webhooks "
    f"FOR EACH ROW EXECUTE FUNCTION {GUARD}()",
    "another event": f"DROP TRIGGER {GUARD} ON {ALIASES}; CREATE TRIGGER {GUARD} BEFORE DELETE ON {ALIASES} "
    f"FOR EACH ROW EXECUTE FUNCTION {GUARD}()",
    "afterwards": f"DROP TRIGGER {GUARD} ON {ALIASES}; CREATE TRIGGER {GUARD} AFTER INSERT ON {ALIASES} "
    f"FOR EACH ROW EXECUTE FUNCTION {GUARD}()",
    "never": f"DROP TRIGGER {GUARD} ON {ALIASES}; CREATE TRIGGER {GUARD} BEFORE INSERT ON {ALIASES} "
    f"FOR EACH ROW WHEN (false) EXECUTE FUNCTION {GUARD}()",
    "another trigger's function": f"DROP TRIGGER {GUARD} ON {ALIASES}; CREATE TRIGGER {GUARD} BEFORE INSERT ON "
    f"{ALIASES} FOR EACH ROW EXECUTE FUNCTION resnet_ops_guard_head_update()",
}


@pytest.fixture
def on_postgresql(make_database: Maker, tmp_path: Path) -> Iterator[Registry]:
    with without_settings():
        yield Registry(make_database("postgresql", tmp_path), tmp_path)


@pytest.mark.parametrize("table", TRUNCATED)
def test_a_hardened_database_refuses_to_be_emptied(on_postgresql: Registry, table: str) -> None:
    hardened(on_postgresql)
    with pytest.raises(DBAPIError, match="The registry is hardened"):
        sql(on_postgresql, f"TRUNCATE {table} CASCADE")


def test_an_audit_finds_each_way_of_taking_a_trigger_off(on_postgresql: Registry) -> None:
    """As the database's owner, who can do all of it: found, not prevented."""
    hardened(on_postgresql)
    assert findings(on_postgresql) == []
    for way, statement in TAKEN_OFF.items():
        sql(on_postgresql, statement)
        assert any("trigger alias_insert" in finding for finding in findings(on_postgresql)), way
        with open_database(on_postgresql.database) as connection:
            harden(connection)
        assert findings(on_postgresql) == [], way


def test_an_audit_finds_a_second_line_that_was_taken_off_without_a_word(registry: Registry) -> None:
    hardened(registry)
    with open_database(registry.database) as connection:
        harden_module._remove(connection)
    sql(registry, "DELETE FROM resnet_ops_state")
    assert any("'database hardened'" in finding for finding in findings(registry))


def test_an_audit_finds_a_second_line_that_nobody_put_on(registry: Registry) -> None:
    sql(registry, "INSERT INTO resnet_ops_state (name, value) VALUES ('hardened', '1')")
    assert any("'database unhardened'" in finding for finding in findings(registry))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM resnet_ops_ledger_head",
        "DELETE FROM resnet_ops_ledger",
        "INSERT INTO resnet_ops_ledger_head (id, seq, hash) VALUES (2, 0, 'x')",
        "UPDATE resnet_ops_ledger_head SET id = 7",
        "UPDATE resnet_ops_ledger SET entry = 'x' WHERE seq = 1",
        "UPDATE resnet_ops_ledger SET entry = '[]' WHERE seq = 1",
        "UPDATE resnet_ops_ledger SET entry = replace(entry, 'detail', 'details')",
        'UPDATE resnet_ops_ledger SET entry = replace(entry, \'"detail"\', \'"detail" \\: 7, "x"\')',
        "DELETE FROM resnet_ops_trusted_keys",
        "DELETE FROM resnet_ops_policies",
        "UPDATE resnet_ops_policies SET content = 'x'",
        "UPDATE resnet_ops_trusted_keys SET public_key = 'x'",
        "UPDATE resnet_ops_statements SET envelope = 'x'",
        "UPDATE registered_model_aliases SET version = 1, alias = 'cHampion'",
    ],
)
def test_a_row_that_is_missing_or_unreadable_is_a_finding_and_no_traceback(
    registry: Registry, statement: str
) -> None:
    registry.client.set_registered_model_alias(MODEL, "champion", str(registry.version(b"good")))
    sql(registry, statement)
    assert findings(registry)


def test_without_the_ledgers_head_nothing_is_decided(registry: Registry) -> None:
    good = str(registry.version(b"good"))
    sql(registry, "DELETE FROM resnet_ops_ledger_head")
    with pytest.raises(MlflowException, match="head row is gone"):
        registry.client.set_registered_model_alias(MODEL, "champion", good)


@pytest.mark.parametrize("mode", ["SET_DEFAULT", "CASCADE"])
def test_a_workspace_that_goes_leaves_no_ticket(registry: Registry, mode: str) -> None:
    """A ticket that outlives its transaction would let somebody else set the alias."""
    from mlflow.entities.workspace import WorkspaceDeletionMode
    from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore as WorkspaceStore

    for alias in ("free", "other"):
        registry.client.set_registered_model_alias(MODEL, alias, str(registry.version(b"x")))
    sql(registry, "INSERT INTO workspaces (name) VALUES ('team')")
    for table in ("registered_models", "model_versions", "model_version_tags", "registered_model_aliases"):
        sql(registry, f"UPDATE {table} SET workspace = 'team'")  # SQLite cascades for MLflow's sessions alone
    hardened(registry)
    store = WorkspaceStore(registry.database)
    if mode == "CASCADE":
        sql(registry, "DELETE FROM model_version_tags")
    store.delete_workspace("team", WorkspaceDeletionMode[mode])
    store._engine.dispose()
    with open_database(registry.database) as connection:
        assert connection.execute(select(tickets)).all() == []
        count = connection.execute(text("SELECT count(*) FROM registered_model_aliases")).scalar_one()
    assert count == (2 if mode == "SET_DEFAULT" else 0)
    assert findings(registry) == []


def test_a_temporary_table_of_tickets_counts_for_nothing_on_sqlite(registry: Registry) -> None:
    if "sqlite" not in registry.database:
        pytest.skip("test_roles.py tries it on PostgreSQL")
    registry.version(b"bad", low=0.9)
    hardened(registry)
    with pytest.raises(DBAPIError, match="The registry is hardened"):
        sql_in_one_session(
            registry,
            "CREATE TEMP TABLE resnet_ops_tickets AS SELECT * FROM main.resnet_ops_tickets",
            f"INSERT INTO temp.resnet_ops_tickets VALUES (1, 'alias', 'default', '{MODEL}', 'champion', 1)",
            f"INSERT INTO main.{ALIASES} (workspace, name, alias, version)"
            f" VALUES ('default', '{MODEL}', 'champion', 1)",
        )


def sql_in_one_session(registry: Registry, *statements: str) -> None:
    engine = create_engine(registry.database)
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()


def test_a_hardened_database_keeps_a_version_where_an_alias_points_to_it(registry: Registry) -> None:
    """An alias is a name and a number: another version's row may not be moved under it, nor its own away."""
    client = registry.client
    registry.version(b"good")
    client.set_registered_model_alias(MODEL, "champion", "1")
    for name in ("free", "away"):
        client.create_registered_model(name)
    registry.version(b"evil", None, model="free")
    hardened(registry)
    sql(registry, "DELETE FROM model_version_tags")
    moved = "UPDATE {} model_versions SET name = '{}' WHERE name = '{}' AND version = 1"
    for statement in (
        moved.format("", "away", MODEL),
        *([moved.format("OR REPLACE", MODEL, "free")] if "sqlite" in registry.database else []),
    ):
        with pytest.raises(DBAPIError, match="The registry is hardened"):
            sql(registry, statement)
    (content,) = registry.files(1).iterdir()
    assert content.read_bytes() == b"good"
    client.rename_registered_model("free", "renamed")
    client.set_registered_model_alias("renamed", "somewhere", "1")
    client.rename_registered_model("renamed", "free")
    assert findings(registry) == []
