"""The revisions of the log's schema, by alembic: a log of an older program is brought up to date where it stands."""

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, inspect, select, text

__all__ = ["HEAD", "VERSION_TABLE", "revision", "upgrade"]

HEAD = "0004"
VERSION_TABLE = "inference_log_alembic_version"
"""Not alembic's usual name: the database may be MLflow's as well."""
_versions = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32)))
_LOCK = 1768842351  # a number of our own among PostgreSQL's advisory locks


def revision(connection: Connection) -> str | None:
    """The revision of the log in this database; None where there is none, or one from before there were any."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_versions.c.version_num)).scalar()


def upgrade(engine: Engine) -> None:
    """Bring the tables to HEAD, in one transaction. Of several processes one does, and the others wait for it."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        found = revision(connection)
        if found is None or found < HEAD:
            _migrate(connection)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "resnet_ops_monitoring.inference_log:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
