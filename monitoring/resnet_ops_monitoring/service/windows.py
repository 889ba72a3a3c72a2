"""Which windows of the inference log are due, as a row without gaps but for the hours in which nothing came."""

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from sqlalchemy import func, select

from resnet_ops_monitoring.inference_log.columns import ANSWERED, SERVED
from resnet_ops_monitoring.inference_log.database import Utc, records
from resnet_ops_monitoring.inference_log.gaps import first_lost
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.time_range import Period, TimeRange, rows_of
from resnet_ops_monitoring.settings.service import RunParams

__all__ = ["changed_periods", "due_time_ranges", "rows_after", "skipped_time_ranges"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_rows = InferenceLog.table


def due_time_ranges(
    log: InferenceLog, identity: ModelIdentity, params: RunParams, after: datetime | None, now: datetime
) -> Iterator[TimeRange]:
    """The complete windows since `after`, oldest first; from the first row on where that is None.

    Hours without rows are passed over, but for the last: that one shows that nothing comes. An hour of which all rows
    are lost, or no request was answered, is none without rows.
    """
    settled = now - timedelta(seconds=params.settle_seconds)
    if params.rows:
        yield from _by_rows(log, identity, params.rows, after or _EPOCH, settled)
    else:
        yield from _by_time(log, identity, timedelta(minutes=params.minutes), after, settled)


def changed_periods(log: InferenceLog, identity: ModelIdentity, periods: list[Period]) -> Iterator[TimeRange]:
    """Those of the judged windows for which rows, labels or gaps came since."""
    for period in periods:
        time_range = TimeRange(identity, period.since, period.until)
        if time_range.period(log) != period:
            yield time_range


def skipped_time_ranges(
    log: InferenceLog, identity: ModelIdentity, params: RunParams, periods: Sequence[Period]
) -> Iterator[TimeRange]:
    """The windows before and between those judged that were passed over as empty, and for which rows came later.

    periods: the `late_windows` that were judged last, oldest first; where they are fewer, so many windows before them
    are looked at, the latest. Where windows are counted in rows, a whole gap is one.
    """
    length = timedelta(minutes=params.minutes)
    if periods and (room := params.late_windows - len(periods)) > 0:
        # whoever writes old rows into the log decides neither how many windows are judged nor for how long
        yield from deque(_passed_over(log, identity, length, _EPOCH, periods[0].since), room)
    for earlier, later in pairwise(periods):
        yield from _passed_over(log, identity, length, earlier.until, later.since)


def _passed_over(
    log: InferenceLog, identity: ModelIdentity, length: timedelta, since: datetime, until: datetime
) -> Iterator[TimeRange]:
    """Windows with rows between two times, oldest first."""
    cursor = since
    while cursor < until:
        first = _first_at(log, identity, cursor)
        if first is None or first >= until:
            break
        begin, end = first, until
        if length:
            hour = _EPOCH + (first - _EPOCH) // length * length
            begin, end = max(cursor, hour), min(end, hour + length)
        yield TimeRange(identity, begin, end)
        cursor = end


def rows_after(log: InferenceLog, identity: ModelIdentity, moment: datetime) -> int:
    """How many rows of a version say that they are from after a moment."""
    query = select(func.count()).where(rows_of(identity), _rows.c.time > moment)
    with log.transaction("read") as connection:
        return int(connection.execute(query).scalar_one())


def _by_time(
    log: InferenceLog, identity: ModelIdentity, length: timedelta, after: datetime | None, settled: datetime
) -> Iterator[TimeRange]:
    cursor, last = after, _EPOCH + (settled - _EPOCH) // length * length
    while (first := _first_at(log, identity, cursor or _EPOCH)) is not None:
        begin = _EPOCH + (first - _EPOCH) // length * length
        if begin + length > last:
            break
        # after a change of the length, the first window begins where the last one ended
        yield TimeRange(identity, begin if cursor is None else max(cursor, begin), begin + length)
        cursor = begin + length
    if cursor is not None and cursor <= last - length:
        yield TimeRange(identity, last - length, last)


def _by_rows(
    log: InferenceLog, identity: ModelIdentity, rows: int, cursor: datetime, settled: datetime
) -> Iterator[TimeRange]:
    while (end := _time_at(log, identity, cursor, rows - 1)) is not None and end < settled:
        begin, cursor = _time_at(log, identity, cursor, 0) or end, end + timedelta(microseconds=1)
        yield TimeRange(identity, begin, cursor)


def _first_at(log: InferenceLog, identity: ModelIdentity, since: datetime) -> datetime | None:
    """The time of the first request from `since` on, be it answered, without an answer, or lost."""
    answered = _time_at(log, identity, since, 0)
    mine = (records.c.model == identity.name, records.c.digest == identity.digest, records.c.time >= since)
    # without an end, all later rows would be looked at
    before = () if answered is None else (records.c.time < answered,)
    unanswered = select(func.min(records.c.time, type_=Utc)).where(
        *mine, *before, records.c.status != ANSWERED, records.c.route.in_(SERVED)
    )
    with log.transaction("read") as connection:
        lost = first_lost(connection, identity, since)
        found = (answered, lost, connection.execute(unanswered).scalar())
    return min((each for each in found if each is not None), default=None)


def _time_at(log: InferenceLog, identity: ModelIdentity, since: datetime, place: int) -> datetime | None:
    """The time of the row number `place`, from 0, among those from `since` on."""
    query = select(_rows.c.time).where(rows_of(identity), _rows.c.time >= since)
    with log.transaction("read") as connection:
        found = connection.execute(query.order_by(_rows.c.time).offset(place).limit(1)).scalar()
    return found if found is None else datetime.fromisoformat(found.isoformat())
