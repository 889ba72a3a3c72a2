"""Great Expectations on a time range of the inference log, before it is judged: straight from SQL where it can tell."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, Select, and_, case, func, literal_column, or_, select

from resnet_ops.errors import DataError
from resnet_ops.extras import require
from resnet_ops_monitoring.inference_log.frames import STATISTICS
from resnet_ops_monitoring.inference_log.gaps import late_ranges
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.time_range import TimeRange
from resnet_ops_monitoring.settings.service import ValidationParams
from resnet_ops_monitoring.validation.manifest_checks import (
    ManifestCheck,
    Rule,
    expectations,
    one_of,
    quiet,
    within,
)

__all__ = ["check_window", "failures"]

_RANGES = {"brightness": 1.0, "contrast": 0.5, "sharpness": 1.0, "saturation": 1.0, "entropy": 5.0}
_SLACK = 1e-6  # float32 means of bytes
_CHUNK = 20_000
_rows = InferenceLog.table


def failures(checks: tuple[ManifestCheck, ...]) -> str:
    """Every critical rule that did not hold, as a sentence; empty when the window may be judged."""
    failed = [
        f"{check.rule}: {check.found}" for check in checks if check.level == "critical" and not check.held
    ]
    return f"The window cannot be judged. Failed checks: {'; '.join(failed)}." if failed else ""


def check_window(
    log: InferenceLog,
    time_range: TimeRange,
    classes: tuple[str, ...],
    versions: Mapping[str, str],
    params: ValidationParams,
    now: datetime,
    scalars: tuple[str, ...] = (),
) -> tuple[ManifestCheck, ...]:
    """All rules, the number of rows first: without rows, or with too many, the others are not asked.

    versions: number -> digest of every registered version of the model. now: what is later is the future. scalars: of
    the task, where rows have these in the place of probabilities.
    SQL answers all but the rules about probabilities, which are bytes to it: those are summed here in chunks, and
    Great Expectations is asked about the sums. Raises DataError when the log cannot be asked.
    """
    with _source(log) as ask:
        checks = ask("window", _window(log, time_range), _size_rules(params)) + ask(
            "future",
            _future(log, time_range, now + timedelta(seconds=params.clock_allowance_seconds)),
            _future_rules(params),
        )
        checks += ask("versions", _versions(log, time_range), _version_rules(time_range.identity, versions))
        if not all(check.held for check in checks[:2]):  # of the window's size
            return tuple(checks)
        checks += ask("rows", _window(log, time_range), _row_rules(classes, params))
        sums = _sums(log, time_range, classes)
        rules = _number_rules(scalars) if scalars else _sum_rules(classes, params)
        checks += ask("probabilities", sums, rules)
    return tuple(checks)


def _size_rules(params: ValidationParams) -> list[Rule]:
    gxe = expectations()

    def counted(result: dict[str, Any]) -> str:
        return f"{result['observed_value']:,} rows"

    # an empty window is for the judge to call "insufficient data"
    return [
        Rule("at least one row", gxe.ExpectTableRowCountToBeBetween(min_value=1), counted, "warning"),
        Rule(
            f"at most {params.max_rows:,} rows",
            gxe.ExpectTableRowCountToBeBetween(max_value=params.max_rows),
            counted,
        ),
    ]


def _future_rules(params: ValidationParams) -> list[Rule]:
    rule = expectations().ExpectTableRowCountToEqual(value=0)
    words = f"no time of this model more than {params.clock_allowance_seconds:g} s in the future"
    # no window that is over holds such rows, so they spoil none
    return [Rule(words, rule, lambda result: f"{result['observed_value']:,} rows, set aside", "warning")]


def _version_rules(identity: ModelIdentity, versions: Mapping[str, str]) -> list[Rule]:
    known = sorted(f"v{number} {digest[:12]}" for number, digest in versions.items())
    rule = one_of("who", known or ["none"])
    return [Rule(f"every answer by a registered version of {identity.name}", rule, _values)]


def _row_rules(classes: tuple[str, ...], params: ValidationParams) -> list[Rule]:
    gxe = expectations()
    return [
        *(
            Rule(
                f"{name} between 0 and {_RANGES[name]:g}",
                within(name, -_SLACK, _RANGES[name] + _SLACK),
                _values,
            )
            for name in STATISTICS
        ),
        Rule("predicted classes known", one_of("predicted", classes), _values),
        Rule("labels known", one_of("label", classes), _values, "warning"),
        Rule(
            f"clock of a source never back by more than {params.clock_allowance_seconds:g} s",
            gxe.ExpectColumnMaxToBeBetween(column="behind", max_value=params.clock_allowance_seconds),
            lambda result: (
                f"a row is {result['observed_value']:,.0f} s older than one that its source logged before it"
            ),
        ),
        Rule(
            f"at most {params.max_repeated:.0%} of the rows copies of another",
            gxe.ExpectColumnMeanToBeBetween(column="copy", max_value=params.max_repeated),
            lambda result: f"{result['observed_value']:.0%}",
        ),
    ]


def _sum_rules(classes: tuple[str, ...], params: ValidationParams) -> list[Rule]:
    low, high = 1 - params.sum_tolerance, 1 + params.sum_tolerance
    return [
        Rule(f"{len(classes)} probabilities in each row", one_of("length", [len(classes)]), _values),
        Rule("probabilities sum to one", within("sum", low, high), _values),
        Rule("no negative probability", within("least", least=0), _values),
        Rule(
            "the most probable class predicted",
            one_of("agrees", [1]),
            lambda result: f"{result['unexpected_count']} rows predict another",
        ),
    ]


def _number_rules(scalars: tuple[str, ...]) -> list[Rule]:
    return [
        Rule(f"{len(scalars)} numbers in each row", one_of("length", [len(scalars)]), _values),
        Rule("no negative number", within("least", 0), _values),
    ]


def _values(result: dict[str, Any]) -> str:
    values = dict.fromkeys(
        f"{value:.6g}" if isinstance(value, float) else str(value)
        for value in result["partial_unexpected_list"]
    )
    return f"{result['unexpected_count']} rows, for example {', '.join(values)[:200]}"


def _window(log: InferenceLog, time_range: TimeRange) -> str:
    """The window's rows without vectors; `behind`: seconds after the latest time before it, by order of arrival.

    Of the same source: sources send in batches, each at its own time: among all of them a later row may well be older.
    Rows that waited for the database to come back say nothing: other processes' rows of their source came before.
    """
    latest = func.max(_rows.c.time).over(partition_by=_rows.c.source, order_by=_rows.c.id)
    behind = (
        (func.julianday(latest) - func.julianday(_rows.c.time)) * 86400
        if log.url.get_backend_name() == "sqlite"
        else func.extract("epoch", latest - _rows.c.time)
    )
    late = [
        and_(_is_source(log, source), _rows.c.time.between(first, last))
        for source, first, last in late_ranges(log, time_range.identity, time_range.since, time_range.until)
    ]
    if late:
        behind = case((or_(*late), literal_column("0.0")), else_=behind)
    alike = [*(_rows.c[name] for name in STATISTICS), _rows.c.predicted]
    copies = func.row_number().over(partition_by=alike, order_by=_rows.c.id)
    query = select(
        *alike,
        _rows.c.label,
        behind.label("behind"),
        _as_number(copies > 1).label("copy"),
    )
    return _text(log, query, time_range, _rows.c.digest == time_range.identity.digest, *_between(time_range))


def _versions(log: InferenceLog, time_range: TimeRange) -> str:
    who = literal_column("'v'").concat(_rows.c.version).concat(literal_column("' '"))
    query = select(who.concat(func.substr(_rows.c.digest, 1, 12)).label("who"))
    return _text(log, query, time_range, *_between(time_range))


def _future(log: InferenceLog, time_range: TimeRange, after: datetime) -> str:
    return _text(log, select(_rows.c.id), time_range, _rows.c.time > after)


def _between(time_range: TimeRange) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _rows.c.time >= time_range.since, _rows.c.time < time_range.until


def _as_number(condition: ColumnElement[bool]) -> ColumnElement[float]:
    return case((condition, literal_column("1.0")), else_=literal_column("0.0"))


def _text(
    log: InferenceLog, query: Select[Any], time_range: TimeRange, *conditions: ColumnElement[bool]
) -> str:
    """The query as Great Expectations takes it: text without parameters.

    Names go in as hexadecimal digits, since text with a colon in it is read as a parameter. A digest that
    is none is refused.
    """
    digest = time_range.identity.digest
    if not re.fullmatch(r"[0-9a-f]{1,64}", digest):
        raise DataError(f"{digest[:80]!r} is not a digest of model files.")
    where = query.where(_rows.c.model == _literal(log, time_range.identity.name), *conditions)
    with log.transaction("read") as connection:
        return str(where.compile(connection, compile_kwargs={"literal_binds": True}))


def _literal(log: InferenceLog, text: str) -> ColumnElement[str]:
    name = text.encode().hex()
    sqlite = log.url.get_backend_name() == "sqlite"
    return literal_column(
        f"CAST(X'{name}' AS TEXT)" if sqlite else f"convert_from(decode('{name}', 'hex'), 'UTF8')"
    )


def _is_source(log: InferenceLog, source: str | None) -> ColumnElement[bool]:
    return _rows.c.source.is_(None) if source is None else _rows.c.source == _literal(log, source)


def _sums(log: InferenceLog, time_range: TimeRange, classes: tuple[str, ...]) -> pd.DataFrame:
    """For each row: how many probabilities, their sum and least (none where not finite), and whether they agree."""
    places = {name: index for index, name in enumerate(classes)}
    query = select(_rows.c.probabilities, _rows.c.predicted).where(time_range.condition)
    parts = []
    with log.transaction("read") as connection:
        found = connection.execution_options(yield_per=_CHUNK).execute(query)
        for chunk in found.partitions():
            parts.append(np.array([_summed(bytes(row[0]), places.get(row[1], -1)) for row in chunk]))
    table = np.concatenate(parts) if parts else np.empty((0, 4))
    return pd.DataFrame(table, columns=pd.Index(["length", "sum", "least", "agrees"]))


def _summed(content: bytes, predicted: int) -> tuple[float, float, float, float]:
    row = np.frombuffer(content[: len(content) // 4 * 4], "<f4")
    if not len(row) or not np.isfinite(row).all():
        return float(len(row)), np.nan, np.nan, np.nan
    agrees = float(0 <= predicted < len(row) and row[predicted] >= row.max() - 1e-6)
    return float(len(row)), float(row.sum(dtype=np.float64)), float(row.min()), agrees


_Ask = Callable[[str, str | pd.DataFrame, list[Rule]], list[ManifestCheck]]


@contextmanager
def _source(log: InferenceLog) -> Iterator[_Ask]:
    """Ask Great Expectations about a query or a frame."""
    require("A check of windows", "great_expectations")
    with quiet():
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        url = log.url.render_as_string(hide_password=False)
        sqlite = log.url.get_backend_name() == "sqlite"
        sources = context.data_sources
        database = (
            sources.add_sqlite("log", connection_string=url)
            if sqlite
            else sources.add_postgres("log", connection_string=url)
        )
        frames = sources.add_pandas("frames")

    def ask(name: str, what: str | pd.DataFrame, rules: list[Rule]) -> list[ManifestCheck]:
        with quiet():
            if isinstance(what, str):
                asset = database.add_query_asset(name=name, query=what)
                batch = asset.add_batch_definition_whole_table("all").get_batch()
            else:
                definition = frames.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
                batch = definition.get_batch(batch_parameters={"dataframe": what})
            return [_answer(rule, batch.validate(rule.expectation), log) for rule in rules]

    try:
        yield ask
    finally:
        asking = database.get_execution_engine()
        asking.close()
        for engine in (asking.engine, database.get_engine()):  # each with a pool of its own
            engine.dispose()


def _answer(rule: Rule, outcome: Any, log: InferenceLog) -> ManifestCheck:
    if outcome.success:
        return ManifestCheck(rule.level, rule.words, True, "")
    if not outcome.result:  # it could not be asked; that says nothing about the data
        raise DataError(f"{log.place} could not be asked for “{rule.words}”. Judge the window again later.")
    return ManifestCheck(rule.level, rule.words, False, rule.describe(dict(outcome.result)))
