"""A time range of one version's answers, and what the log held of it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, func, select

from resnet_ops_monitoring.inference_log.gaps import count_lost
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog

__all__ = ["Period", "TimeRange", "rows_of"]

_rows = InferenceLog.table


@dataclass(frozen=True)
class Period:
    """A window in a row of windows, since <= time < until, and what the log held of it when it was judged.

    lost: rows that never came into it, as far as their writers could say so by then.
    """

    since: datetime
    until: datetime
    rows: int
    labelled: int
    lost: int = 0


@dataclass(frozen=True)
class TimeRange:
    """The answers of one version's files with since <= time < until."""

    identity: ModelIdentity
    since: datetime
    until: datetime

    @property
    def name(self) -> str:
        """The window's, also as a folder: the version and both ends, in UTC."""
        return f"v{self.identity.version}-{_short(self.since)}-{_short(self.until)}"

    @property
    def condition(self) -> ColumnElement[bool]:
        """What picks the rows."""
        return and_(rows_of(self.identity), _rows.c.time >= self.since, _rows.c.time < self.until)

    def period(self, log: InferenceLog) -> Period:
        """What the log holds of it now."""
        query = select(func.count(), func.count(_rows.c.label)).where(self.condition)
        with log.transaction("read") as connection:
            rows, labelled = connection.execute(query).one()
            lost = count_lost(connection, self.identity, self.since, self.until)
        return Period(self.since, self.until, int(rows), int(labelled), lost)


def rows_of(identity: ModelIdentity) -> ColumnElement[bool]:
    """What picks a version's rows."""
    return and_(_rows.c.model == identity.name, _rows.c.digest == identity.digest)


def _short(moment: datetime) -> str:
    whole = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{whole}.{moment.microsecond:06}" if moment.microsecond else whole
