"""The inference log: every answer that a model gave in production, in an SQL database."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    create_engine,
    func,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from resnet_ops.errors import ConfigError, DataError, ServiceError, StorageError
from resnet_ops_monitoring.frames import COLUMNS, STATISTICS, check_columns

__all__ = ["SCHEMA_VERSION", "InferenceLog"]

SCHEMA_VERSION = 1
_CHUNK = 500  # ids in one IN (...): below SQLite's oldest limit on bound values
_VECTORS = ("embedding", "probabilities")
_EXACT = ("time", "model", "version", "digest", "source", "window")


class _Utc(TypeDecorator[datetime]):
    """Aware datetimes in, UTC out, also where the database knows no time zones (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_metadata = MetaData()
_schema = Table("inference_log_schema", _metadata, Column("version", Integer, primary_key=True))
_rows = Table(
    "inferences",
    _metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("request_id", String(200), nullable=False, unique=True),
    Column("time", _Utc, nullable=False),
    Column("model", String(200), nullable=False),
    Column("version", String(40), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("source", String(200)),
    Column("window", String(200)),
    *(Column(name, Float(53)) for name in STATISTICS),
    Column("embedding", LargeBinary, nullable=False, comment="little-endian float32"),
    Column("probabilities", LargeBinary, nullable=False, comment="little-endian float32"),
    Column("predicted", String(200), nullable=False),
    Column("latency_ms", Float(53)),
    Column("label", String(200)),
    Index("inferences_model_time", "model", "time"),
    Index("inferences_model_window", "model", "window"),
)


class InferenceLog:
    """A log in the database at `url` (`sqlite:///file`, `postgresql://...`); made on first use.

    Raises ConfigError for a URL that is none, StorageError when the database is read-only, full or of another
    schema version, ServiceError when it does not answer. Messages never hold the password.
    """

    table = _rows
    """One row for each answer, for questions that SQL answers better."""

    def __init__(self, url: str) -> None:
        self.url = _parse(url)
        self._engine = _engine(self.url)
        with self._explained("open"):
            self._prepare()

    @classmethod
    def open(cls) -> "InferenceLog":
        """The log at RESNET_OPS_INFERENCE_LOG, or else the project's own under var/."""
        return cls(os.environ.get("RESNET_OPS_INFERENCE_LOG") or "sqlite:///var/inference.db")

    @property
    def place(self) -> str:
        """The database's URL without its password, for people."""
        return self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def transaction(self, doing: str) -> Iterator[Connection]:
        """A transaction in the log's database, for tables beside it; `doing` is for the message when it fails."""
        with self._explained(doing), self._engine.begin() as connection:
            yield connection

    def append(self, frame: pd.DataFrame) -> int:
        """Add the rows of `frame` in one transaction and return how many were new.

        A request id that is already there with the same content adds nothing, so a repeated call is harmless
        (`latency_ms` and `label` may differ: the first measurement and the labels in the log stay). Raises
        DataError when a request id is repeated inside `frame` or is there with other content; then nothing is
        added.
        """
        check_columns(frame, COLUMNS, "The frame to log")
        records = _records(frame)
        with self._explained("write to"):
            try:
                return self._add(records)
            except IntegrityError:
                return self._add(records)  # another process added some of them since we looked

    def read(
        self,
        model: str,
        *,
        version: str | None = None,
        digest: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        window: str | None = None,
    ) -> pd.DataFrame:
        """Rows of `model` with start <= time < end, or of the replay `window`, oldest first.

        `start` and `end` must know their time zone (ValueError otherwise). No rows give an empty frame with all
        columns.
        """
        query = select(*(_rows.c[name] for name in COLUMNS)).where(_rows.c.model == model)
        if version is not None:
            query = query.where(_rows.c.version == version)
        if digest is not None:
            query = query.where(_rows.c.digest == digest)
        for moment in (start, end):
            if moment is not None and moment.tzinfo is None:
                raise ValueError(
                    f"{moment.isoformat()} has no time zone; write for example 2026-01-31T08:00Z"
                )
        if start is not None:
            query = query.where(_rows.c.time >= start)
        if end is not None:
            query = query.where(_rows.c.time < end)
        if window is not None:
            query = query.where(_rows.c.window == window)
        with self._explained("read"), self._engine.connect() as connection:
            found = connection.execute(query.order_by(_rows.c.time, _rows.c.id)).all()
        return _frame([tuple(row) for row in found])

    def label(self, ids: Sequence[str], labels: Sequence[str]) -> int:
        """Set the true class of logged requests, in one transaction; returns how many labels changed.

        Raises DataError, and sets nothing, when an id is not in the log or the lengths differ.
        """
        if len(ids) != len(labels):
            raise DataError(f"{len(ids)} request ids but {len(labels)} labels: give one label for each id.")
        with self._explained("write to"), self._engine.begin() as connection:
            there = {row["request_id"]: row["label"] for row in _select(connection, ids, ("label",))}
            unknown = [name for name in ids if name not in there]
            if unknown:
                raise DataError(
                    f"{len(unknown)} of {len(ids)} request ids are not in the log, the first is {unknown[0]!r}. "
                    "Nothing was labelled. See what is there: resnet-ops log show"
                )
            changes = [(name, label) for name, label in zip(ids, labels, strict=True) if there[name] != label]
            for name, label in changes:
                connection.execute(update(_rows).where(_rows.c.request_id == name).values(label=label))
        return len(changes)

    def summary(self) -> pd.DataFrame:
        """One row for each (model, version, window): rows, labelled, first and last time (UTC)."""
        keys = (_rows.c.model, _rows.c.version, _rows.c.window)
        query = select(
            *keys,
            func.count().label("rows"),
            func.count(_rows.c.label).label("labelled"),
            func.min(_rows.c.time, type_=_Utc).label("first"),
            func.max(_rows.c.time, type_=_Utc).label("last"),
        ).group_by(*keys)
        with self._explained("read"), self._engine.connect() as connection:
            found = connection.execute(query.order_by(*keys)).all()
        columns = ["model", "version", "window", "rows", "labelled", "first", "last"]
        return pd.DataFrame([tuple(row) for row in found], columns=pd.Index(columns))

    def _prepare(self) -> None:
        names = set(inspect(self._engine).get_table_names())
        if not {_rows.name, _schema.name} <= names:
            _metadata.create_all(self._engine)
        with self._engine.connect() as connection:
            found = connection.execute(select(func.max(_schema.c.version))).scalar()
        if found is None:
            with self._engine.begin() as connection:
                connection.execute(_schema.insert().values(version=SCHEMA_VERSION))
        elif found != SCHEMA_VERSION:
            raise StorageError(
                f"The inference log {self.place} has schema version {found}, this program reads version "
                f"{SCHEMA_VERSION}. Use the resnet-ops version that wrote it, or set RESNET_OPS_INFERENCE_LOG to "
                "a new database."
            )

    def _add(self, records: list[dict[str, Any]]) -> int:
        ids = [record["request_id"] for record in records]
        with self._engine.begin() as connection:
            there = {row["request_id"]: row for row in _select(connection, ids, COLUMNS)}
            for record in records:
                old = there.get(record["request_id"])
                different = [] if old is None else _differences(old, record)
                if different:
                    raise DataError(
                        f"Request {record['request_id']!r} is already in the log {self.place} with another "
                        f"{', '.join(different)}. Nothing was added. Give a new request its own id."
                    )
            new = [record for record in records if record["request_id"] not in there]
            if new:
                connection.execute(_rows.insert(), new)
        return len(new)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise _explain(error, doing, self.url) from None


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError:
        raise ConfigError(
            "RESNET_OPS_INFERENCE_LOG is not a database URL. Write for example sqlite:///var/inference.db or "
            "postgresql://user:password@host/database"
        ) from None


def _engine(url: URL) -> Engine:
    arguments: dict[str, Any] = {}
    if url.get_backend_name() == "sqlite":
        arguments["timeout"] = 30  # seconds to wait for another writer
        if url.database and url.database != ":memory:" and not url.database.startswith("file:"):
            folder = Path(url.database).parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    try:
        return create_engine(url, connect_args=arguments)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"No driver for {url.get_backend_name()} ({error}). For PostgreSQL: pip install 'resnet-ops[postgresql]'"
        ) from None


def _explain(error: DBAPIError, doing: str, url: URL) -> StorageError | ServiceError:
    place = url.render_as_string(hide_password=True)
    cause = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    if url.password:
        cause = cause.replace(str(url.password), "***")
    message = f"Cannot {doing} the inference log {place}: {cause}."
    words = cause.lower()
    if url.get_backend_name() == "sqlite" or "read-only" in words or "no space" in words:
        return StorageError(
            f"{message} Free some space or make the database writable, then run the same command again."
        )
    return ServiceError(
        f"{message} Start the database or correct RESNET_OPS_INFERENCE_LOG, then run the same command again."
    )


def _select(connection: Connection, ids: Sequence[str], columns: Iterable[str]) -> Iterator[dict[str, Any]]:
    wanted = [_rows.c[name] for name in {"request_id": None, **dict.fromkeys(columns)}]
    for begin in range(0, len(ids), _CHUNK):
        query = select(*wanted).where(_rows.c.request_id.in_(ids[begin : begin + _CHUNK]))
        for row in connection.execute(query).mappings():
            yield dict(row)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    repeated = frame["request_id"][frame["request_id"].duplicated()]
    if len(repeated):
        raise DataError(
            f"Request id {repeated.iloc[0]!r} occurs twice in the frame to log; ids must be unique."
        )
    times = pd.to_datetime(frame["time"], utc=True)
    records = []
    for row, time in zip(frame[list(COLUMNS)].to_dict("records"), times, strict=True):
        record: dict[str, Any] = {
            str(name): None if _missing(value) else value for name, value in row.items()
        }
        record["time"] = time.floor("us").to_pydatetime()
        for name in _VECTORS:
            record[name] = np.asarray(row[name], dtype="<f4").tobytes()
        for name in (*STATISTICS, "latency_ms"):
            record[name] = None if record[name] is None else float(record[name])
        records.append(record)
    return records


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value))


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Columns whose content differs; floats may differ by what another thread count or CPU changes."""
    different = [name for name in _EXACT if old[name] != new[name]]
    for name in (*STATISTICS, *_VECTORS):
        left, right = (
            np.frombuffer(row[name], "<f4") if name in _VECTORS else np.array([row[name]], dtype=float)
            for row in (old, new)
        )
        if left.shape != right.shape or not np.allclose(left, right, rtol=1e-2, atol=1e-3, equal_nan=True):
            different.append(name)
    return different


def _frame(found: list[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(found, columns=pd.Index(COLUMNS))
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    for name in _VECTORS:
        frame[name] = pd.Series([np.frombuffer(value, "<f4") for value in frame[name]], dtype=object)
    for name in (*STATISTICS, "latency_ms"):
        frame[name] = frame[name].astype(float)
    for name in ("source", "window", "label"):
        frame[name] = frame[name].astype(object)
    return frame
