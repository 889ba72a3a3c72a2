"""Records into the log's database, in one transaction; what that will never take is lost alone, and counted."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import StatementError

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.appending import add_rows
from resnet_ops_monitoring.inference_log.client.losses import Losses
from resnet_ops_monitoring.inference_log.columns import Route, Row
from resnet_ops_monitoring.inference_log.connection import LogDatabase
from resnet_ops_monitoring.inference_log.gaps import Gap, add_gaps
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.rows import decode

__all__ = ["Destination", "decoded"]

_logger = logging.getLogger(__name__)


class Destination:
    """The database at `url`, opened with the first records. written: rows that were new there."""

    def __init__(self, url: str, losses: Losses) -> None:
        self._url, self._losses = url, losses
        self._database: LogDatabase | None = None
        self.written = 0

    def write(self, records: Sequence[Row | Gap], *, late: bool = False, damaged: int = 0) -> None:
        """Write records. late: they have waited; damaged: so many beside them are lost.

        Raises what `LogDatabase` raises while the database does not take them; then none is written.
        """
        rows = [each for each in records if isinstance(each, Row)]
        gaps = [each for each in records if isinstance(each, Gap)]
        if self._database is None:
            self._database = LogDatabase(self._url)
        self.written += self._insert(self._database, rows, [*gaps, *(_late_gaps(rows) if late else ())])
        if damaged and rows:  # whose the others were, is known by these only
            self._lose("damaged", rows[0], "a segment is damaged", until=rows[-1].time, rows=damaged)
        else:
            self._losses.counts["damaged"] += damaged

    def close(self) -> None:
        """Give the connections back."""
        if self._database is not None:
            self._database.close()

    def _insert(self, database: LogDatabase, rows: list[Row], gaps: list[Gap]) -> int:
        try:
            with database.transaction("write to") as connection:
                added = add_rows(connection, rows)
                add_gaps(connection, gaps)
        except (DataError, StatementError):
            if not rows:
                raise
            if len(rows) == 1:
                self._lose("refused", rows[0], "the database refuses it")
                return self._insert(database, [], gaps)
            middle = len(rows) // 2
            return self._insert(database, rows[:middle], gaps) + self._insert(database, rows[middle:], [])
        for row, _ in added.taken:
            self._lose("refused", row, "its request id is in the log with another answer")
        return added.new

    def _lose(
        self, kind: str, row: Row, reason: str, *, until: datetime | None = None, rows: int = 1
    ) -> None:
        since, last = sorted((row.time, until or row.time))
        self._losses.add(kind, _identity(row), row.source, since, last, reason, rows, row.route)


def decoded(contents: Iterable[bytes]) -> tuple[list[Row | Gap], int]:
    """Records, and how many others there are: whole, but of another program."""
    records, others = list[Row | Gap](), 0
    for content in contents:
        try:
            records.append(decode(content))
        except DataError as error:
            others += 1
            _logger.warning("A record that was put by is left out: %s", error)
    return records, others


def _identity(row: Row) -> ModelIdentity:
    return ModelIdentity(row.model, row.version, row.digest)


def _late_gaps(rows: Sequence[Row]) -> list[Gap]:
    """Of each source, from when to when its rows are that waited in a segment."""
    found: dict[tuple[ModelIdentity, str | None, Route], Gap] = {}
    reason = f"waited until {datetime.now(UTC):%Y-%m-%d %H:%M} UTC for the database"
    for row in rows:
        key = (_identity(row), row.source, row.route)
        gap = Gap(*key[:2], row.time, row.time, reason, late=1, route=row.route)
        found[key] = found[key].joined(gap) if key in found else gap
    return list(found.values())
