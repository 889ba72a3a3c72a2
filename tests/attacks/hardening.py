"""What tests of the database's own triggers and of the audit share."""

from sqlalchemy import create_engine, text

from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.operations import audit
from resnet_ops_registry.store.harden import harden
from tests.attacks.registry import Registry


def findings(registry: Registry, known_head: str | None = None) -> list[str]:
    with open_database(registry.database) as connection:
        return [str(finding) for finding in audit.verify(connection, known_head).findings]


def sql(registry: Registry, statement: str) -> None:
    engine = create_engine(registry.database)
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def hardened(registry: Registry) -> None:
    with open_database(registry.database) as connection:
        assert harden(connection)
