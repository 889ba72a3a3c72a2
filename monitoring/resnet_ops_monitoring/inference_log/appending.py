"""Rows into the log's tables, each request to a model once, however often and by however many they are brought."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter, itemgetter
from sqlite3 import SQLITE_LIMIT_VARIABLE_NUMBER
from typing import Any

import numpy as np
from sqlalchemy import Connection, Subquery, Table, bindparam, delete, select

from resnet_ops_monitoring.inference_log.columns import ANSWERED, RECORDED, SERVED, STATISTICS, Row
from resnet_ops_monitoring.inference_log.database import inferences, labels, summaries

__all__ = ["VECTORS", "Added", "add_new", "add_rows", "drop_summaries", "select_rows"]

VECTORS = ("embedding", "probabilities")
_ONCE = ("request_id", "digest", "status")
_EXACT = ("model", "version", "window")
_OF_A_REPLAY = ("time", "source")
_CHUNK = 500  # ids in one IN (...): below SQLite's oldest limit on bound values
_AT_ONCE = 1000  # rows in a statement, where it may hold so many values
_MANY = 200  # rows for which COPY is worth its waits for the server: three more than a statement's
_REPEATS = "inference-log-repeats"  # of a connection: whether rows that it brought last were there already
_TYPES = {
    "time": "timestamptz",
    **dict.fromkeys((*STATISTICS, "kept", "drawn", "latency_ms", "queue_ms", "total_ms"), "float8"),
    **dict.fromkeys(VECTORS, "bytea"),
}
_TIME = RECORDED.index("time")
_key = attrgetter(*_ONCE)
_NAMES = ", ".join(f'"{name}"' for name in RECORDED)
_OTHERS_STAY = f"ON CONFLICT ({', '.join(_ONCE)}) DO NOTHING"


@dataclass(frozen=True)
class Added:
    """What became of some rows. taken: those whose request the model answered otherwise, each with what differs."""

    new: int
    taken: tuple[tuple[Row, list[str]], ...] = ()


def add_rows(connection: Connection, rows: Sequence[Row]) -> Added:
    """Add rows whose requests are not there yet.

    SQLite and PostgreSQL pass over those that are there, so nobody has to look first; only when they did are they read,
    to tell a repeat from another answer under the same id. An answer that was in shadow gives way to the same one that
    somebody was given, and one of a replay to the same one of another group.
    """
    if not rows:
        return Added(0)
    new = _add(connection, rows)
    taken, better = _compare(connection, rows) if new < len(rows) else ((), ())
    if better:
        _forget(connection, better)
        new += _add(connection, better)
    refused = {_key(row) for row, _ in taken}
    known = [_label(row) for row in rows if row.label and _key(row) not in refused]
    add_new(connection, labels, ("request_id",), known)
    return Added(new, taken)


def _add(connection: Connection, rows: Sequence[Row]) -> int:
    driver = connection.dialect.driver
    if driver == "pysqlite":
        return _add_to_sqlite(connection, rows)
    if driver == "psycopg":
        return _add_to_postgresql(connection, rows)
    return add_new(connection, inferences, _ONCE, [row._asdict() for row in rows])


def _compare(
    connection: Connection, rows: Sequence[Row]
) -> tuple[tuple[tuple[Row, list[str]], ...], tuple[Row, ...]]:
    """What was answered otherwise before, with what differs; and what takes the place of the same answer."""
    answered = [row for row in rows if row.status == ANSWERED]  # another may be refused twice
    ids = list(dict.fromkeys(row.request_id for row in answered))
    found = (Row(**each) for each in select_rows(connection, inferences, ids, RECORDED))
    there = {_key(row): row for row in found}
    compared = [(row, _differences(there[_key(row)], row)) for row in answered]
    better = {_key(row): row for row, columns in compared if not columns and _replaces(row, there[_key(row)])}
    return tuple(each for each in compared if each[1]), tuple(better.values())


def _replaces(new: Row, old: Row) -> bool:
    served = new.route in SERVED and old.route not in SERVED
    return served or (new.window is not None and new.group != old.group)


def _forget(connection: Connection, rows: Sequence[Row]) -> None:
    """Delete the rows that these answers stand for from now on."""
    drop_summaries(connection, [(row.digest, row.time) for row in rows])
    for row in rows:
        same = [inferences.c[name] == getattr(row, name) for name in _ONCE]
        connection.execute(delete(inferences).where(*same))


def drop_summaries(connection: Connection, rows: Iterable[tuple[str, datetime]]) -> None:
    """Delete what was kept of the hours of these rows, by digest and time: rows go, or have another label than before.

    Numbers need not tell: SQLite gives the ids of its last rows again once they are gone, and labels may be as many.
    """
    hours = {
        (digest, time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)) for digest, time in rows
    }
    if hours:
        same = (summaries.c.digest == bindparam("of"), summaries.c.hour == bindparam("at"))
        connection.execute(delete(summaries).where(*same), [{"of": of, "at": at} for of, at in sorted(hours)])


def _label(row: Row) -> dict[str, Any]:
    """That came with the answer, so it was chosen by nobody."""
    return {
        "request_id": row.request_id,
        "label": row.label,
        "origin": "random",
        "by": None,
        "at": row.time,
    }


def add_new(connection: Connection, table: Table, key: Sequence[str], rows: Sequence[dict[str, Any]]) -> int:
    """Add the rows whose key is not in the table yet; returns how many that were. In any database."""
    named, there = itemgetter(*key), set[Any]()
    first = list({row[key[0]]: None for row in rows})
    for begin in range(0, len(first), _CHUNK):
        some = table.c[key[0]].in_(first[begin : begin + _CHUNK])
        query = select(*(table.c[name] for name in key)).where(some)
        there |= {tuple(row) if len(key) > 1 else row[0] for row in connection.execute(query)}
    new = list({named(row): row for row in reversed(rows) if named(row) not in there}.values())
    names = [column.name for column in table.c if column.name in rows[0]] if rows else []
    if new:
        connection.execute(table.insert(), [{name: row[name] for name in names} for row in new])
    return len(new)


def _add_to_postgresql(connection: Connection, rows: Sequence[Row]) -> int:
    """Many by COPY, which knows no ON CONFLICT; where it fails, and while repeats come, by a statement that does."""
    if len(rows) >= _MANY and not connection.info.get(_REPEATS) and _copied(connection, rows):
        return len(rows)
    new = _unnest(connection, rows)
    connection.info[_REPEATS] = new < len(rows)
    return new


def _copied(connection: Connection, rows: Sequence[Row]) -> bool:
    """Whether all rows could be added."""
    from psycopg import Error  # which not everybody needs who writes a log

    cursor: Any = connection.connection.cursor()
    try:
        with (
            connection.begin_nested(),
            cursor,
            cursor.copy(f"COPY inferences ({_NAMES}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types([_TYPES.get(name, "text") for name in RECORDED])
            for row in rows:
                copy.write_row(row[:-1])
    except (Error, TypeError, ValueError):  # the statement tells what cannot be taken in any way
        return False
    return True


def _unnest(connection: Connection, rows: Sequence[Row]) -> int:
    """A column is one value, an array: twice as fast as a row after the other."""
    arrays = ", ".join(f"%({name})b::{_TYPES.get(name, 'text')}[]" for name in RECORDED)
    statement = f"INSERT INTO inferences ({_NAMES}) SELECT * FROM unnest({arrays}) {_OTHERS_STAY}"  # noqa: S608
    new = 0
    for begin in range(0, len(rows), _AT_ONCE):
        some = zip(*rows[begin : begin + _AT_ONCE], strict=True)
        columns = {name: list(values) for name, values in zip(RECORDED, some, strict=False)}
        new += connection.exec_driver_sql(statement, columns).rowcount
    return new


def _add_to_sqlite(connection: Connection, rows: Sequence[Row]) -> int:
    """Many rows a statement: with one each, the driver asks for the interpreter's lock after every row.

    A busy server gets that lock first, each time for 5 ms.
    """
    values_at_most = connection.connection.driver_connection.getlimit(SQLITE_LIMIT_VARIABLE_NUMBER)  # type: ignore[union-attr]
    at_once = min(_AT_ONCE, values_at_most // len(RECORDED))
    places, new = f"({', '.join('?' * len(RECORDED))})", 0
    for begin in range(0, len(rows), at_once):
        some = rows[begin : begin + at_once]
        values: list[Any] = list(chain.from_iterable([row[:-1] for row in some]))
        values[_TIME :: len(RECORDED)] = map(_as_sqlite, values[_TIME :: len(RECORDED)])
        many = ", ".join([places] * len(some))
        statement = f"INSERT INTO inferences ({_NAMES}) VALUES {many} {_OTHERS_STAY}"  # noqa: S608
        new += connection.exec_driver_sql(statement, tuple(values)).rowcount
    return new


def _as_sqlite(moment: datetime) -> str:
    """As SQLAlchemy writes it."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(" ", "microseconds")[:26]


def select_rows(
    connection: Connection, table: Table | Subquery, ids: Sequence[str], columns: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """The rows of these requests, with these columns; ids that are not there are left out."""
    wanted = [table.c[name] for name in columns]
    for begin in range(0, len(ids), _CHUNK):
        query = select(*wanted).where(table.c.request_id.in_(ids[begin : begin + _CHUNK]))
        for row in connection.execute(query).mappings():
            yield dict(row)


def _differences(old: Row, new: Row) -> list[str]:
    """Columns whose content differs; floats may differ by what another thread count or CPU changes.

    Who sends a request again sends it later, and maybe by another way: the row of the first time stays.
    """
    compared = _EXACT if old.window is None else (*_EXACT, *_OF_A_REPLAY)
    different = [name for name in compared if getattr(old, name) != getattr(new, name)]
    for name in (*STATISTICS, *VECTORS):
        left, right = (
            np.frombuffer(value, "<f4") if name in VECTORS else np.array([value], dtype=float)
            for value in (getattr(old, name), getattr(new, name))
        )
        if left.shape != right.shape or not np.allclose(left, right, rtol=1e-2, atol=1e-3, equal_nan=True):
            different.append(name)
    return different
