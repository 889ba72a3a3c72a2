"""The log's database, opened: its tables are made and its schema version is known. Works without pandas."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from resnet_ops.errors import StorageError
from resnet_ops_monitoring.inference_log.database import (
    explain,
    inferences,
    make_engine,
    metadata,
    parse,
    schema,
)
from resnet_ops_registry.common.settings import mask_password

__all__ = ["SCHEMA_VERSION", "LogDatabase"]

SCHEMA_VERSION = 1


class LogDatabase:
    """A log's database at `url` (`sqlite:///file`, `postgresql://...`); made on first use.

    Raises ConfigError for a URL that is none, StorageError when the database is read-only, full or of another
    schema version, ServiceError when it does not answer. Messages never hold the password.
    """

    def __init__(self, url: str) -> None:
        self.url = parse(url)
        self._engine = make_engine(self.url)
        with self._explained("open"):
            self._prepare()

    @property
    def place(self) -> str:
        """The database's URL without its password, for people."""
        return mask_password(self.url.render_as_string())

    def make_tables(self) -> None:
        """All that are missing, though other processes begin the same log: each is made by whoever is first."""
        with self._explained("prepare"):
            for _ in metadata.sorted_tables:
                try:
                    metadata.create_all(self._engine)
                    return
                # PostgreSQL's catalogue takes a name twice as a broken unique constraint
                except DBAPIError as error:
                    if "already exists" not in str(error.orig):
                        raise
            metadata.create_all(self._engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def transaction(self, doing: str) -> Iterator[Connection]:
        """A transaction in the log's database, for tables beside it; `doing` is for the message when it fails."""
        with self._explained(doing), self._engine.begin() as connection:
            yield connection

    def _prepare(self) -> None:
        names = set(inspect(self._engine).get_table_names())  # others are made when they are needed
        if not {inferences.name, schema.name} <= names:
            self.make_tables()
        with self._engine.connect() as connection:
            found = connection.execute(select(func.max(schema.c.version))).scalar()
        if found is None:
            with suppress(IntegrityError), self._engine.begin() as connection:  # another process may be first
                connection.execute(schema.insert().values(version=SCHEMA_VERSION))
        elif found != SCHEMA_VERSION:
            raise StorageError(
                f"The inference log {self.place} has schema version {found}, this program reads version "
                f"{SCHEMA_VERSION}. Use the resnet-ops version that wrote it, or set RESNET_OPS_INFERENCE_LOG to "
                "a new database."
            )

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise explain(error, doing, self.url) from None
