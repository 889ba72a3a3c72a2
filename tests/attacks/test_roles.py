"""Other roles on PostgreSQL: what the second line leaves them, in the words of docs/threat-model.md and beyond."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from resnet_ops_registry.database.tables import metadata, open_database
from resnet_ops_registry.operations import audit
from resnet_ops_registry.store.harden import harden
from tests.attacks.conftest import Maker
from tests.attacks.registry import MODEL, Registry, without_settings

pytestmark = pytest.mark.e2e

DOCUMENTED = re.findall(
    r"^```sql\n(.*?)^```", (Path(__file__).parents[2] / "docs" / "threat-model.md").read_text(), re.M | re.S
)
WRITES = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO others;"
OURS_TAKEN = f"{WRITES} REVOKE ALL ON {', '.join(metadata.tables)} FROM others;"


@pytest.fixture
def registry(make_database: Maker, tmp_path: Path) -> Iterator[Registry]:
    """A hardened registry with a version that is proven and one that is not."""
    with without_settings():
        registry = Registry(make_database("postgresql", tmp_path), tmp_path)
        registry.version(b"good")
        registry.version(b"bad", low=0.9)
        with open_database(registry.database) as connection:
            assert harden(connection)
        yield registry


def connect_as_another(registry: Registry, grants: str) -> str:
    """A new role with these grants; gives the database's URI for it."""
    url = make_url(registry.database)
    role = f"others_{url.database}"
    execute(registry.database, f"CREATE ROLE {role} LOGIN")
    execute(registry.database, grants.replace("others", role))
    return url.set(username=role).render_as_string(hide_password=False)


def execute(uri: str, statements: str) -> None:
    engine = create_engine(uri)
    try:
        with engine.begin() as connection:
            connection.execute(text(statements))
    finally:
        engine.dispose()


def test_the_documented_grants_are_one_block_of_sql() -> None:
    assert len(DOCUMENTED) == 1


@pytest.mark.parametrize("grants", [*DOCUMENTED, OURS_TAKEN], ids=["as documented", "MLflow's tables alone"])
def test_another_role_can_neither_set_an_alias_nor_write_itself_a_ticket(
    registry: Registry, grants: str
) -> None:
    uri = connect_as_another(registry, grants)
    plain = MlflowClient(uri, uri)
    with pytest.raises(MlflowException, match="permission denied"):
        plain.set_registered_model_alias(MODEL, "champion", "2")
    ticket = "INSERT INTO resnet_ops_tickets (kind, workspace, model, name, version)"
    for statement in (
        f"{ticket} VALUES ('alias', 'default', '{MODEL}', 'champion', 2)",
        "DELETE FROM resnet_ops_ledger",
        "UPDATE resnet_ops_trusted_keys SET role = 'operator'",
        "DROP TRIGGER resnet_ops_guard_alias_insert ON registered_model_aliases",
        "ALTER TABLE registered_model_aliases DISABLE TRIGGER ALL",
    ):
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
            execute(uri, statement)
    assert registry.champion() is None
    registry.client.set_registered_model_alias(MODEL, "champion", "1")
    assert registry.champion() == 1
    with open_database(registry.database) as connection:
        assert audit.verify(connection).findings == ()


def test_a_reader_sees_what_serves(registry: Registry) -> None:
    registry.client.set_registered_model_alias(MODEL, "champion", "1")
    uri = connect_as_another(registry, DOCUMENTED[0])
    assert int(MlflowClient(uri, uri).get_model_version_by_alias(MODEL, "champion").version) == 1
    engine = create_engine(uri)
    assert set(metadata.tables) <= set(inspect(engine).get_table_names())
    engine.dispose()


TICKETS = (
    "(id bigint, kind text, workspace text, model text, name text, version int); "
    f"INSERT INTO {{}}resnet_ops_tickets VALUES (1, 'alias', 'default', '{MODEL}', 'champion', 2); "
)
OWN_TABLES = {
    "temporary": "CREATE TEMP TABLE resnet_ops_tickets " + TICKETS.format(""),
    "temporary, first in the path": "SET search_path = pg_temp, public; CREATE TEMP TABLE resnet_ops_tickets "
    + TICKETS.format(""),
    "another schema, first in the path": "CREATE SCHEMA mine; CREATE TABLE mine.resnet_ops_tickets "
    + TICKETS.format("mine.")
    + "SET search_path = mine, public; ",
}


@pytest.mark.parametrize(
    "ours", ["", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO others;"], ids=["none", "read"]
)
@pytest.mark.parametrize("own", OWN_TABLES)
def test_a_table_of_ones_own_is_no_ticket_book(registry: Registry, own: str, ours: str) -> None:
    """A role that may write MLflow's tables, but none of ours."""
    uri = connect_as_another(registry, OURS_TAKEN + ours)
    role = make_url(uri).username
    execute(registry.database, f"GRANT CREATE ON DATABASE {make_url(uri).database} TO {role}")
    set_alias = (
        "INSERT INTO public.registered_model_aliases (workspace, name, alias, version)"
        f" VALUES ('default', '{MODEL}', 'champion', 2)"
    )
    with pytest.raises(
        DBAPIError, match=r"permission denied for table resnet_ops_tickets|The registry is hardened"
    ):
        execute(uri, OWN_TABLES[own] + set_alias)
    assert registry.champion() is None


def test_a_function_of_ones_own_decides_nothing(registry: Registry) -> None:
    """`lower(varchar)` fits a stage better than the database's own `lower(text)`, where the path leads there."""
    uri = connect_as_another(registry, OURS_TAKEN + "GRANT SELECT ON ALL TABLES IN SCHEMA public TO others;")
    role = make_url(uri).username
    execute(registry.database, f"GRANT CREATE ON SCHEMA public TO {role}")
    own = (
        "CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE sql AS $$ SELECT 'none'::text $$; "
        f"UPDATE model_versions SET current_stage = 'Production' WHERE name = '{MODEL}' AND version = 2"
    )
    with pytest.raises(DBAPIError, match="The registry is hardened"):
        execute(uri, own)
