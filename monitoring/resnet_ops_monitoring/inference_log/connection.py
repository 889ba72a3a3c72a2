"""The log's database, opened: its tables are made and its schema is known. Works without pandas."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from resnet_ops.errors import StorageError
from resnet_ops_monitoring.inference_log.database import explain, make_engine, parse
from resnet_ops_monitoring.inference_log.revisions import HEAD, revision, upgrade
from resnet_ops_registry.common.settings import mask_password

__all__ = ["LogDatabase"]


class LogDatabase:
    """A log's database at `url` (`sqlite:///file`, `postgresql://...`); made on first use.

    A log of an older program is brought up to date. Raises ConfigError for a URL that is none, StorageError when the
    database is read-only, full or of a newer program, ServiceError when it does not answer. Messages never hold the
    password.
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

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def transaction(self, doing: str) -> Iterator[Connection]:
        """A transaction in the log's database, for tables beside it; `doing` is for the message when it fails."""
        with self._explained(doing), self._engine.begin() as connection:
            yield connection

    def _prepare(self) -> None:
        with self._engine.connect() as connection:
            found = revision(connection)
        if found is None or found < HEAD:
            upgrade(self._engine)
        elif found > HEAD:
            raise StorageError(
                f"The inference log {self.place} has schema revision {found}, this program knows those up to {HEAD}. "
                "Use the resnet-ops version that wrote it or a newer one, or set RESNET_OPS_INFERENCE_LOG to a new "
                "database."
            )

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise explain(error, doing, self.url) from None
