"""Rows of every request by every version, with route and status, and labels as a table of their own.

PostgreSQL changes its table where it is; SQLite cannot let a unique column go, so its rows are copied: it takes the
log's size once more on the disk while that lasts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_STATISTICS = ("brightness", "contrast", "sharpness", "saturation", "entropy")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime(timezone=True)
_TEXTS = ("request_id", "digest", "time", "model", "version", "source", "window")
_KEPT = ("id", *_TEXTS, *_STATISTICS, "predicted", "latency_ms", "probabilities", "embedding")
_ONCE = ["request_id", "digest", "status"]


def upgrade() -> None:
    _move_labels()
    if op.get_context().dialect.name == "postgresql":
        _change_in_place()
    else:
        _copy()
    op.execute("DELETE FROM inference_log_schema")
    op.execute(
        "INSERT INTO inference_log_schema (version) VALUES (2)"
    )  # programs of before read this, and say so


def _move_labels() -> None:
    op.create_table(
        "labels",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("request_id", sa.String(200), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("origin", sa.String(10), nullable=False),
        sa.Column("by", sa.String(250)),
        sa.Column("at", _TIME),
    )
    op.execute("UPDATE label_origins SET origin = 'proposed' WHERE origin = 'hard'")
    op.execute("UPDATE label_origins SET origin = 'complaint' WHERE origin = 'chosen'")
    # without an origin: labels of all answers, as they counted
    op.execute(
        "INSERT INTO labels (request_id, label, origin)"
        " SELECT i.request_id, i.label, coalesce(o.origin, 'random') FROM inferences AS i"
        " LEFT JOIN label_origins AS o ON o.request_id = i.request_id WHERE i.label IS NOT NULL ORDER BY i.id"
    )
    op.execute("DELETE FROM label_origins WHERE origin = 'complaint'")  # nobody asked for these
    op.create_index("labels_request", "labels", ["request_id", "id"])


def _new_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("route", sa.String(10), nullable=False, server_default="champion"),
        sa.Column("status", sa.String(10), nullable=False, server_default="ok"),
        sa.Column("kept", sa.Float(53), nullable=False, server_default="1"),
        sa.Column("drawn", sa.Float(53), server_default="1"),
    ]


def _change_in_place() -> None:
    for column in _new_columns():
        op.add_column("inferences", column)
        op.alter_column("inferences", column.name, server_default=None)
    for name in ("queue_ms", "total_ms"):
        op.add_column("inferences", sa.Column(name, sa.Float(53)))
    for name in ("embedding", "probabilities", "predicted"):
        op.alter_column("inferences", name, nullable=True)
    op.drop_constraint("inferences_request_id_key", "inferences", type_="unique")
    op.create_unique_constraint("inferences_once", "inferences", _ONCE)
    op.drop_column("inferences", "label")


def _copy() -> None:
    for name in ("inferences_model_time", "inferences_model_window"):
        op.drop_index(name, "inferences")
    op.rename_table("inferences", "inferences_of_version_1")
    texts = {"request_id": 200, "digest": 64}
    op.create_table(
        "inferences",
        sa.Column("id", _ID, primary_key=True),
        *(sa.Column(name, sa.String(length), nullable=False) for name, length in texts.items()),
        sa.Column("time", _TIME, nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("route", sa.String(10), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("kept", sa.Float(53), nullable=False),
        sa.Column("drawn", sa.Float(53)),
        sa.Column("source", sa.String(200)),
        sa.Column("window", sa.String(200)),
        *(sa.Column(name, sa.Float(53)) for name in _STATISTICS),
        sa.Column("predicted", sa.String(200)),
        *(sa.Column(name, sa.Float(53)) for name in ("latency_ms", "queue_ms", "total_ms")),
        sa.Column("probabilities", sa.LargeBinary),
        sa.Column("embedding", sa.LargeBinary),
        sa.UniqueConstraint(*_ONCE, name="inferences_once"),
    )
    names = ", ".join(f'"{name}"' for name in _KEPT)
    op.execute(
        f"INSERT INTO inferences ({names}, route, status, kept, drawn)"  # noqa: S608 -- our own names
        f" SELECT {names}, 'champion', 'ok', 1, 1 FROM inferences_of_version_1 ORDER BY id"
    )
    op.drop_table("inferences_of_version_1")
    op.create_index("inferences_model_time", "inferences", ["model", "time"])
    op.create_index("inferences_model_window", "inferences", ["model", "window"])
