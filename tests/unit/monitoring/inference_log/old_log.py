"""A log of version 1, made by the statements of the program that made such logs."""

from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from resnet_ops_monitoring.inference_log.columns import COLUMNS

__all__ = ["FRAME_COLUMNS", "make_old_log"]

_SQLITE = """
CREATE TABLE inference_log_schema (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE inferences (
    id INTEGER NOT NULL, request_id VARCHAR(200) NOT NULL, time DATETIME NOT NULL, model VARCHAR(200) NOT NULL,
    version VARCHAR(40) NOT NULL, digest VARCHAR(64) NOT NULL, source VARCHAR(200), "window" VARCHAR(200),
    brightness FLOAT, contrast FLOAT, sharpness FLOAT, saturation FLOAT, entropy FLOAT, embedding BLOB NOT NULL,
    probabilities BLOB NOT NULL, predicted VARCHAR(200) NOT NULL, latency_ms FLOAT, label VARCHAR(200),
    PRIMARY KEY (id), UNIQUE (request_id)
);
CREATE INDEX inferences_model_time ON inferences (model, time);
CREATE INDEX inferences_model_window ON inferences (model, "window")
"""
_SQLITE_LATER = """
CREATE TABLE summaries (
    digest VARCHAR(64) NOT NULL, hour DATETIME NOT NULL, part VARCHAR(201) NOT NULL, reference VARCHAR(64) NOT NULL,
    rows BIGINT NOT NULL, last_id BIGINT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (digest, hour, part)
);
CREATE TABLE gaps (
    id VARCHAR(32) NOT NULL, model VARCHAR(200) NOT NULL, version VARCHAR(40) NOT NULL, digest VARCHAR(64) NOT NULL,
    source VARCHAR(200), since DATETIME NOT NULL, until DATETIME NOT NULL, lost BIGINT NOT NULL, late BIGINT NOT NULL,
    reason VARCHAR(200) NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX gaps_model_since ON gaps (model, since);
CREATE TABLE label_origins (
    request_id VARCHAR(200) NOT NULL, origin VARCHAR(10) NOT NULL, PRIMARY KEY (request_id)
)
"""
_TO_POSTGRESQL = {
    "id INTEGER NOT NULL": "id BIGSERIAL NOT NULL",
    "DATETIME": "TIMESTAMP WITH TIME ZONE",
    "FLOAT": "DOUBLE PRECISION",
    "BLOB": "BYTEA",
}
FRAME_COLUMNS = list(COLUMNS)


def make_old_log(url: str, frame: pd.DataFrame, origins: dict[str, str] | None = None) -> None:
    """A log of version 1 with these rows. origins: how labels were asked for; None for a log from before that."""
    engine = create_engine(url)
    with engine.begin() as connection:
        _run(connection, _SQLITE if origins is None else f"{_SQLITE};{_SQLITE_LATER}")
        connection.execute(text("INSERT INTO inference_log_schema (version) VALUES (1)"))
        names = ", ".join(f'"{name}"' for name in FRAME_COLUMNS)
        marks = ", ".join(f":{name}" for name in FRAME_COLUMNS)
        sqlite = make_url(url).get_backend_name() == "sqlite"
        rows = [_record(row, sqlite=sqlite) for row in frame[FRAME_COLUMNS].to_dict("records")]
        connection.execute(text(f"INSERT INTO inferences ({names}) VALUES ({marks})"), rows)
        for name, origin in (origins or {}).items():
            connection.execute(
                text("INSERT INTO label_origins (request_id, origin) VALUES (:name, :origin)"),
                {"name": name, "origin": origin},
            )
    engine.dispose()


def _run(connection: Connection, statements: str) -> None:
    if connection.dialect.name == "postgresql":
        for old, new in _TO_POSTGRESQL.items():
            statements = statements.replace(old, new)
    for statement in statements.split(";"):
        connection.exec_driver_sql(statement)


def _record(row: dict[Any, Any], *, sqlite: bool) -> dict[str, Any]:
    known: dict[str, Any] = {
        name: None if value is None or value is pd.NaT else value for name, value in row.items()
    }
    known |= {name: np.asarray(row[name], "<f4").tobytes() for name in ("embedding", "probabilities")}
    moment = pd.Timestamp(row["time"]).to_pydatetime()
    known["time"] = moment.strftime("%Y-%m-%d %H:%M:%S.%f") if sqlite else moment
    return known
