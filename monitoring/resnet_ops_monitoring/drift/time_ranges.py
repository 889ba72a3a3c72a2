"""A time range of the log, judged by summaries: each hour is read once, and again only when rows came late.

What SQL can count, it counts: rows, sources and labels. So labels that come late change no kept summary.
"""

import functools
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pandas as pd

from resnet_ops.errors import DataError, ServiceError, StorageError
from resnet_ops_monitoring.drift.detector import invalid, judge_summary
from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.inference_log.frames import InvalidRows
from resnet_ops_monitoring.inference_log.gaps import lost_rows
from resnet_ops_monitoring.inference_log.hour_summaries import keep_summary, kept_summaries
from resnet_ops_monitoring.inference_log.log import Count, InferenceLog
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.accuracy import counted_accuracy
from resnet_ops_monitoring.statistics.summary import (
    SummarySchema,
    WindowSummary,
    load_summary,
    merge,
    summarise,
)

__all__ = ["Judged", "Summarised", "hours", "judge_time_range", "seasonal_baseline", "summarise_time_range"]

_HOUR, _WEEK = timedelta(hours=1), timedelta(weeks=1)
_ALL = "all"  # the part that is the whole hour; a source's is "=" and its name


@dataclass(frozen=True)
class Summarised:
    """The summary of a time range; sources: its parts, where 2 to `max_sources` sources sent rows."""

    whole: WindowSummary
    sources: Mapping[str, WindowSummary] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """A time range's verdict, and rows to show: at most `schema.rows` usable ones, those of the lowest hash priority,
    oldest first.
    """

    verdict: Verdict
    rows: pd.DataFrame


def judge_time_range(
    log: InferenceLog,
    reference: Reference,
    params: DriftParams,
    *,
    name: str,
    start: datetime | None = None,
    end: datetime | None = None,
    window: str | None = None,
    level: Callable[[int], float] | None = None,
) -> Judged:
    """Judge the log's rows of the reference's model with start <= time < end, or of the replay `window`.

    level: share of windows without drift that may alarm, by their independent rows; None: alpha of `params`.
    Rows that writers lost count for the times that they were of (`gaps`), not for a replay. Takes memory for some ten
    thousand rows, however many there are. A time range with both ends is compared with the
    same hours of earlier weeks where the log holds enough of them (`seasonal_baseline`).
    """
    try:
        found = summarise_time_range(log, reference.schema, params, start=start, end=end, window=window)
    except InvalidRows as error:
        identity = reference.identity
        choice = {"digest": identity.digest, "start": start, "end": end, "window": window}
        rows = sum(part.rows for part in log.count(identity.name, **choice).values())
        first, last = log.span(identity.name, **choice) or (None, None)
        verdict = invalid(reference, params, window=name, reason=str(error), rows=rows, start=first, end=last)
        return Judged(verdict, log.rows_of([], identity.digest))
    seasonal = seasonal_baseline(log, reference, params, start=start, end=end) if start and end else None
    verdict = judge_summary(
        found.whole,
        reference,
        params,
        window=name,
        alpha=None if level is None else level(found.whole.independent),
        sources=found.sources,
        seasonal=seasonal,
        lost=lost_rows(log, reference.identity, start, end) if window is None else {},
        outcomes=log.outcomes(
            reference.identity.name, digest=reference.identity.digest, start=start, end=end, window=window
        ),
    )
    drawn = found.whole.reservoir.ids.tolist()
    return Judged(verdict, log.rows_of(drawn, reference.identity.digest))


def summarise_time_range(
    log: InferenceLog,
    schema: SummarySchema,
    params: DriftParams,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    window: str | None = None,
) -> Summarised:
    """The summary of the log's rows of the schema's model files with start <= time < end, or of the replay `window`.

    Whole hours are kept in the log. Raises InvalidRows as `summarise` does.
    """
    choice = {"digest": schema.identity.digest, "window": window}
    counted = log.count(schema.identity.name, start=start, end=end, **choice)
    split = 2 <= len(counted) <= params.max_sources
    parts: dict[str, list[WindowSummary]] = {}
    name, digest = schema.identity.name, schema.identity.digest
    pieces = hours(log, name, digest, start, end) if window is None else [(start, end)]
    for begin, until in pieces:
        if begin is not None and window is None and until == begin + _HOUR:
            numbers = counted if (begin, until) == (start, end) else None
            found = _hour(log, schema, begin, split, numbers)
        else:
            found = _read(log, schema, split, {"start": begin, "end": until, **choice})
        for part, summary in found.items():
            parts.setdefault(part, []).append(summary)
    merged = {part: merge(schema, summaries) for part, summaries in sorted(parts.items())}
    sources = {part[1:]: summary for part, summary in merged.items()} if split else {}
    return Summarised(merge(schema, merged.values()), sources)


def seasonal_baseline(
    log: InferenceLog, reference: Reference, params: DriftParams, *, start: datetime, end: datetime
) -> WindowSummary | None:
    """The same hours of the same weekdays in up to `params.season_weeks` earlier weeks, together.

    Weeks that hold too few rows are left out; so are those in which the model was less sure than when it was tested, by
    more than chance: it was probably hurt, and that is not to become usual. None when fewer than `params.season_least`
    weeks remain.
    """
    weeks, tested = [], reference.accuracy(params.confidence)
    for back in range(1, params.season_weeks + 1):
        shift = back * _WEEK
        try:
            found = summarise_time_range(
                log, reference.schema, params, start=start - shift, end=end - shift
            ).whole
        except InvalidRows:
            continue
        sure = counted_accuracy(found.confident, found.usable, params.confidence, found.worth)
        if sure is not None and found.independent >= params.min_rows and sure.high >= tested.low:
            weeks.append(found)
    return merge(reference.schema, weeks) if 0 < params.season_least <= len(weeks) else None


def hours(
    log: InferenceLog, model: str, digest: str | None, start: datetime | None, end: datetime | None
) -> Iterator[tuple[datetime, datetime]]:
    """A time range cut at full hours (UTC); those without rows are passed over, be they a century of a wrong clock."""
    while span := log.span(model, digest=digest, start=start, end=end):
        hour = _floor(span[0])
        begin = hour if start is None else max(start.astimezone(UTC), hour)
        start = hour + _HOUR if end is None else min(end, hour + _HOUR)
        yield begin, start


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _hour(
    log: InferenceLog, schema: SummarySchema, hour: datetime, split: bool, counted: dict[str, Count] | None
) -> dict[str, WindowSummary]:
    """counted: its rows, where they are known."""
    choice = {"digest": schema.identity.digest, "start": hour, "end": hour + _HOUR}
    counted = log.count(schema.identity.name, **choice) if counted is None else counted
    numbers = {f"={name}": each for name, each in counted.items()} if split else _together(counted)
    kept = kept_summaries(log, schema.identity.digest, hour, schema.digest)
    fresh = {part for part, each in numbers.items() if kept.get(part, ())[:2] == (each.rows, each.last_id)}
    if fresh == set(numbers):
        with suppress(DataError):  # kept by another program, or damaged: the rows are still there
            old = {part: load_summary(kept[part][2]) for part in numbers}
            if schema.operating is None or all(
                _same_labels(old[part], each) for part, each in numbers.items()
            ):
                return {
                    part: replace(old[part], labelled=each.labelled, right=each.right)
                    for part, each in numbers.items()
                }
    found = _read(log, schema, split, choice)
    with suppress(StorageError, ServiceError):  # a log that cannot be written to is judged all the same
        for part in found.keys() & numbers.keys():
            if found[part].rows == numbers[part].rows:  # else rows came in between
                content = found[part].to_bytes()
                keep_summary(log, schema.identity.digest, hour, schema.digest, part, numbers[part], content)
    return found


def _same_labels(kept: WindowSummary, now: Count) -> bool:
    """Whether no label came since; what they say of an operating point is known from the rows alone."""
    return (kept.labelled, kept.right) == (now.labelled, now.right)


def _together(counted: dict[str, Count]) -> dict[str, Count]:
    return {_ALL: functools.reduce(operator.add, counted.values())} if counted else {}


def _read(
    log: InferenceLog, schema: SummarySchema, split: bool, choice: Mapping[str, object]
) -> dict[str, WindowSummary]:
    found: dict[str, WindowSummary] = {}
    for rows in log.stream(schema.identity.name, **choice):
        for part, some in _by_source(rows) if split else [(_ALL, rows)]:
            summary = summarise(some, schema)
            found[part] = merge(schema, [found[part], summary]) if part in found else summary
    return found


def _by_source(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for part, some in rows.groupby("=" + rows["source"].fillna("").astype(str)):
        yield str(part), some
