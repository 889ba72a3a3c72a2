"""Our own tables in the registry's database, and the way to it without MLflow.

MLflow's tables and its migrations are left alone: ours start with `resnet_ops_` and count their own versions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    select,
    text,
    update,
)
from sqlalchemy.exc import OperationalError

from resnet_ops.errors import EvidenceError, ServiceError, StorageError
from resnet_ops_registry.common.mlflow_errors import is_disk_problem
from resnet_ops_registry.common.settings import database_uri, mask_password

__all__ = [
    "HEAD",
    "Head",
    "Standing",
    "deliveries",
    "ledger",
    "ledger_head",
    "lock",
    "make_engine",
    "metadata",
    "model_tables",
    "open_database",
    "places",
    "policies",
    "registered_models",
    "revision",
    "standing",
    "state",
    "statements",
    "tickets",
    "trusted_keys",
    "upgrade",
    "uploads",
]

HEAD = "0003"
VERSION_TABLE = "resnet_ops_alembic_version"

metadata = MetaData()

trusted_keys = Table(
    "resnet_ops_trusted_keys",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("name", String(250), nullable=False),
    Column("role", String(64), nullable=False),
    Column("public_key", String(64), nullable=False, comment="32 bytes in hexadecimal"),
    Column("added_at", BigInteger, nullable=False, comment="milliseconds since 1970, as all times here"),
    Column("added_by", String(250), nullable=False),
    Column("revoked_at", BigInteger),
    Column("revoked_by", String(250)),
)
policies = Table(
    "resnet_ops_policies",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", String(250), nullable=False, comment="a registered model's name, or a pattern"),
    Column("version", Integer, nullable=False),
    Column("file", String(500), nullable=False),
    Column("content", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("applied_at", BigInteger, nullable=False),
    Column("applied_by", String(250), nullable=False),
    UniqueConstraint("model", "version", name="resnet_ops_policies_version"),
)
statements = Table(
    "resnet_ops_statements",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("workspace", String(63), nullable=False),
    Column("model", String(256), nullable=False),
    Column("version", Integer, nullable=False),
    Column("creation_time", BigInteger, nullable=False, comment="of the model version"),
    Column("digest", String(64), nullable=False, comment="of the version's files"),
    Column("predicate_type", String(250), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("envelope", Text, nullable=False),
    Column("envelope_digest", String(64), nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("received_by", String(250), nullable=False),
    UniqueConstraint("workspace", "envelope_digest", name="resnet_ops_statements_once"),
    Index("resnet_ops_statements_version", "workspace", "model", "version"),
)
ledger = Table(
    "resnet_ops_ledger",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("entry", Text, nullable=False, comment="canonical JSON: what the hash is over"),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("workspace", String(63), nullable=False),
    Column("model", String(256), index=True),
)
ledger_head = Table(
    "resnet_ops_ledger_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)

state = Table(
    "resnet_ops_state",
    metadata,
    Column("name", String(64), primary_key=True, comment="`hardened` is there while the triggers are"),
    Column("value", String(250), nullable=False),
)
tickets = Table(
    "resnet_ops_tickets",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False, comment="alias, stage or version"),
    Column("workspace", String(63), nullable=False),
    Column("model", String(256), nullable=False),
    Column("name", String(256), nullable=False, comment="of the alias or stage; empty for a version"),
    Column("version", Integer, nullable=False),
    comment="What the gate lets through in the transaction under way; empty outside of one",
)
places = Table(
    "resnet_ops_places",
    metadata,
    Column("place", String(700), primary_key=True, comment="where files with evidence lie: never rewritten"),
    Column("workspace", String(63), nullable=False),
    Column("model", String(256), nullable=False),
    Column("version", Integer, nullable=False),
)
uploads = Table(
    "resnet_ops_uploads",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("place", String(700), nullable=False, comment="where something is being written"),
    Column("until", BigInteger, nullable=False, comment="from when on that is not believed any more"),
)
deliveries = Table(
    "resnet_ops_deliveries",
    metadata,
    Column("endpoint", String(64), primary_key=True, comment="sha256 of the URL"),
    Column("seq", BigInteger, nullable=False, comment="the last ledger entry that arrived there"),
    Column("attempts", Integer, nullable=False, comment="failures since then"),
    Column("next_at", BigInteger, nullable=False),
    Column("problem", String(500), nullable=False),
)


@contextmanager
def open_database(uri: str | None = None) -> Iterator[Connection]:
    """One transaction on the registry's database, our tables ready; committed when the block succeeds.

    Without a URI, the configured one. Raises StorageError when the database cannot be written, ServiceError when it
    does not answer.
    """
    uri = uri or database_uri()
    engine = make_engine(uri)
    try:
        upgrade(engine)
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        if is_disk_problem(str(error.orig)):
            raise StorageError(
                f"Cannot write the registry's database {mask_password(uri)}: {error.orig}. "
                "Free some space or make it writable, then run the same command again."
            ) from error
        raise ServiceError(
            f"The registry's database {mask_password(uri)} does not answer: {error.orig}. "
            "Try again; if it stays, check MLFLOW_REGISTRY_URI."
        ) from error
    finally:
        engine.dispose()


def make_engine(uri: str) -> Engine:
    """An engine that waits for other writers."""
    arguments = {"timeout": 20} if uri.startswith("sqlite") else {}
    return create_engine(uri, connect_args=arguments)


def upgrade(engine: Engine) -> None:
    """Bring our tables to this version's schema; a few milliseconds where they already are."""
    with engine.begin() as connection:
        if revision(connection) == HEAD:
            return
    with engine.begin() as connection:
        # several workers start at once: one migrates, the others wait here and then find it done
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(1919251310)"))
        if revision(connection) != HEAD:
            _migrate(connection)


def revision(connection: Connection, table: str = VERSION_TABLE) -> str | None:
    """The version of our tables in this database, or of those that `table` counts; None where there are none."""
    from alembic.migration import MigrationContext

    return MigrationContext.configure(connection, opts={"version_table": table}).get_current_revision()


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "resnet_ops_registry.database:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


Head = tuple[int, str]
"""The last ledger entry's number and hash."""

_HEAD = select(ledger_head.c.seq, ledger_head.c.hash).where(ledger_head.c.id == 1)
_LOCK = update(ledger_head).where(ledger_head.c.id == 1).values(id=1)
_LOCK_AND_TELL = _LOCK.returning(ledger_head.c.seq, ledger_head.c.hash)


def lock(connection: Connection) -> Head:
    """Wait for every other writer of the ledger, until this transaction ends. Gives the last seq and hash.

    Whoever judges takes this first: keys, policies and statements cannot change between judging and writing.
    """
    if connection.dialect.update_returning:
        row = connection.execute(_LOCK_AND_TELL).one_or_none()
    else:
        connection.execute(_LOCK)
        row = connection.execute(_HEAD).one_or_none()
    if row is None:
        raise EvidenceError(
            "The ledger's head row is gone, and nothing can be decided. Restore the database from a copy."
        )
    return int(row.seq), str(row.hash)


Standing = tuple[int | None, str | None, int | None, str | None]
"""The last policy's id, digest and time, and whether the database is hardened: what a decision depends on first."""

_STANDING = (
    "SELECT (SELECT max(id) FROM resnet_ops_policies),"
    " (SELECT digest FROM resnet_ops_policies ORDER BY id DESC LIMIT 1),"
    " (SELECT applied_at FROM resnet_ops_policies ORDER BY id DESC LIMIT 1),"
    " (SELECT value FROM resnet_ops_state WHERE name = 'hardened')"
)


def standing(connection: Connection) -> Standing:
    """One cheap question that tells whether what was known of the policies still holds."""
    found: Standing = tuple(connection.exec_driver_sql(_STANDING).one())
    return found


@lru_cache(maxsize=1)
def model_tables() -> tuple[Table, Table]:
    """MLflow's tables of model versions and of aliases."""
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelAlias

    return SqlModelVersion.__table__, SqlRegisteredModelAlias.__table__


@lru_cache(maxsize=1)
def registered_models() -> Table:
    """MLflow's table of registered models."""
    from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel

    models: Table = SqlRegisteredModel.__table__
    return models
