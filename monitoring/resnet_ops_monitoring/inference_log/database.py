"""The inference log's database: its tables, its URL, and what its errors mean."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Subquery,
    Table,
    TypeDecorator,
    UniqueConstraint,
    case,
    create_engine,
    exc,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from resnet_ops.errors import ConfigError, DataError, ServiceError, StorageError
from resnet_ops.extras import needed_by
from resnet_ops_monitoring.inference_log.columns import ANSWERED, SERVED, STATISTICS
from resnet_ops_registry.common.settings import mask_password

__all__ = [
    "Utc",
    "answers",
    "configured_url",
    "explain",
    "gaps",
    "inferences",
    "label_origins",
    "labels",
    "make_engine",
    "metadata",
    "parse",
    "records",
    "schema",
    "summaries",
]


class Utc(TypeDecorator[datetime]):
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


metadata = MetaData()
schema = Table("inference_log_schema", metadata, Column("version", Integer, primary_key=True))
"""What programs look at that came before the migrations."""
inferences = Table(
    "inferences",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("request_id", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("time", Utc, nullable=False),
    Column("model", String(200), nullable=False),
    Column("version", String(40), nullable=False),
    Column("route", String(10), nullable=False, comment="champion, canary, shadow"),
    Column("status", String(10), nullable=False, comment="ok, refused, failed"),
    Column("kept", Float(53), nullable=False, comment="probability with which the row was kept"),
    Column("drawn", Float(53), comment="rate of the uniform draw that took it; none: kept for what is in it"),
    Column("source", String(200)),
    Column("window", String(200)),
    *(Column(name, Float(53)) for name in STATISTICS),
    Column("predicted", String(200)),
    Column("latency_ms", Float(53)),
    Column("queue_ms", Float(53)),
    Column("total_ms", Float(53)),
    # last: SQLite reads a row up to the column that is asked for
    Column("probabilities", LargeBinary, comment="little-endian float32"),
    Column("embedding", LargeBinary, comment="little-endian float32"),
    Column("group", String(200), comment="what images are alike by; none: the image is its own group"),
    # a request that is refused may be sent again, and answered
    UniqueConstraint("request_id", "digest", "status", name="inferences_once"),
    Index("inferences_model_time", "model", "time"),
    Index("inferences_model_window", "model", "window"),
)
labels = Table(
    "labels",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("request_id", String(200), nullable=False),
    Column("label", String(200), nullable=False),
    Column(
        "origin",
        String(10),
        nullable=False,
        comment="how the request was chosen: random, proposed, complaint",
    ),
    Column("by", String(250), comment="none: it came with the answer, or nobody wrote it down"),
    Column("at", Utc),
    Index("labels_request", "request_id", "id"),
)
summaries = Table(
    "summaries",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("hour", Utc, primary_key=True),
    Column("part", String(201), primary_key=True, comment="of which rows of the hour"),
    Column("reference", String(64), nullable=False, comment="digest of what the rows were counted by"),
    Column("rows", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
gaps = Table(
    "gaps",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("model", String(200), nullable=False),
    Column("version", String(40), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("source", String(200)),
    Column("route", String(10), nullable=False, server_default="champion", comment="as the rows had"),
    Column("since", Utc, nullable=False, comment="time of the first row concerned"),
    Column("until", Utc, nullable=False, comment="time of the last row concerned"),
    Column("lost", BigInteger, nullable=False, comment="rows that never came into the log"),
    Column("late", BigInteger, nullable=False, comment="rows that came after others of their source"),
    Column("reason", String(200), nullable=False),
    Index("gaps_model_since", "model", "since"),
)
label_origins = Table(
    "label_origins",
    metadata,
    Column("request_id", String(200), primary_key=True),
    Column("origin", String(10), nullable=False, comment="how its label was asked for: random, proposed"),
)


def _with_label(name: str, label: ColumnElement[str], *conditions: ColumnElement[bool]) -> Subquery:
    """Rows with what `label` says of the latest label of their request."""
    latest = select(label).where(labels.c.request_id == inferences.c.request_id)
    known = latest.order_by(labels.c.id.desc()).limit(1).scalar_subquery().label("label")
    return select(inferences, known).where(*conditions).subquery(name)


records = _with_label("records", labels.c.label)
answers = _with_label(
    "answers",
    case((labels.c.origin == "random", labels.c.label)),
    inferences.c.status == ANSWERED,
    inferences.c.route.in_(SERVED),
    inferences.c.drawn.is_not(None),
)
"""What production is judged by: answers that somebody was given, drawn whatever is in them.

Their labels are those that tell how right a version is; others are in `records` alone.
"""


def configured_url() -> str:
    """RESNET_OPS_INFERENCE_LOG, or else the project's own log under var/."""
    return os.environ.get("RESNET_OPS_INFERENCE_LOG") or "sqlite:///var/inference.db"


def parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):  # the latter: a port that is no number
        raise ConfigError(
            "RESNET_OPS_INFERENCE_LOG is not a database URL. Write for example sqlite:///var/inference.db or "
            "postgresql://user:password@host/database"
        ) from None


def make_engine(url: URL) -> Engine:
    arguments: dict[str, Any] = {}
    # a network that swallows everything is an error, not a wait for ever, and the server says which texts it cannot
    # hold, not the driver in its own way; other drivers know no such words
    if url.get_backend_name() == "postgresql" and url.get_driver_name() in ("psycopg", "psycopg2"):
        wanted = {"connect_timeout": 10, "tcp_user_timeout": 30_000, "client_encoding": "utf8"}
        arguments |= {name: value for name, value in wanted.items() if name not in url.query}
    if url.get_backend_name() == "sqlite":
        arguments["timeout"] = 30  # seconds to wait for another writer
        # of rows that are added every number has a statement of its own, of megabytes
        arguments["cached_statements"] = 4
        if url.database and url.database != ":memory:" and not url.database.startswith("file:"):
            folder = Path(url.database).parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    try:
        return create_engine(url, connect_args=arguments)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        name = url.get_backend_name()
        known = needed_by(f"An inference log in {name}", error)
        raise ConfigError(known or f"No driver for {name} is installed here ({error}).") from None


def explain(error: DBAPIError, doing: str, url: URL) -> DataError | StorageError | ServiceError:
    place = mask_password(url.render_as_string())
    cause = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    for secret in filter(None, (url.password, url.query.get("password"))):
        cause = cause.replace(str(secret), "***")
    message = f"Cannot {doing} the inference log {place}: {cause}."
    words = cause.lower()
    if isinstance(error, exc.DataError):
        return DataError(f"{message} A value is not what the table takes, and nothing was added. Correct it.")
    if url.get_backend_name() == "sqlite" or "read-only" in words or "no space" in words:
        return StorageError(
            f"{message} Free some space or make the database writable, then run the same command again."
        )
    return ServiceError(
        f"{message} Start the database or correct RESNET_OPS_INFERENCE_LOG, then run the same command again."
    )
