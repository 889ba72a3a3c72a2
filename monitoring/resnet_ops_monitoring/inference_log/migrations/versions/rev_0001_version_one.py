"""The tables as programs made them before there were migrations, where they are missing."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_STATISTICS = ("brightness", "contrast", "sharpness", "saturation", "entropy")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime(timezone=True)


def _model() -> tuple[sa.Column[str], ...]:
    names = {"model": 200, "version": 40, "digest": 64}
    return tuple(sa.Column(name, sa.String(length), nullable=False) for name, length in names.items())


def upgrade() -> None:
    # such a log may lack the tables that came later
    there = set(sa.inspect(op.get_bind()).get_table_names())
    if "inference_log_schema" not in there:
        op.create_table("inference_log_schema", sa.Column("version", sa.Integer, primary_key=True))
    if "inferences" not in there:
        _make_inferences()
    if "summaries" not in there:
        op.create_table(
            "summaries",
            sa.Column("digest", sa.String(64), primary_key=True),
            sa.Column("hour", _TIME, primary_key=True),
            sa.Column("part", sa.String(201), primary_key=True),
            sa.Column("reference", sa.String(64), nullable=False),
            sa.Column("rows", sa.BigInteger, nullable=False),
            sa.Column("last_id", sa.BigInteger, nullable=False),
            sa.Column("content", sa.LargeBinary, nullable=False),
        )
    if "gaps" not in there:
        op.create_table(
            "gaps",
            sa.Column("id", sa.String(32), primary_key=True),
            *_model(),
            sa.Column("source", sa.String(200)),
            sa.Column("since", _TIME, nullable=False),
            sa.Column("until", _TIME, nullable=False),
            sa.Column("lost", sa.BigInteger, nullable=False),
            sa.Column("late", sa.BigInteger, nullable=False),
            sa.Column("reason", sa.String(200), nullable=False),
        )
        op.create_index("gaps_model_since", "gaps", ["model", "since"])
    if "label_origins" not in there:
        op.create_table(
            "label_origins",
            sa.Column("request_id", sa.String(200), primary_key=True),
            sa.Column("origin", sa.String(10), nullable=False),
        )


def _make_inferences() -> None:
    op.create_table(
        "inferences",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("request_id", sa.String(200), nullable=False),
        sa.Column("time", _TIME, nullable=False),
        *_model(),
        sa.Column("source", sa.String(200)),
        sa.Column("window", sa.String(200)),
        *(sa.Column(name, sa.Float(53)) for name in _STATISTICS),
        sa.Column("embedding", sa.LargeBinary, nullable=False),
        sa.Column("probabilities", sa.LargeBinary, nullable=False),
        sa.Column("predicted", sa.String(200), nullable=False),
        sa.Column("latency_ms", sa.Float(53)),
        sa.Column("label", sa.String(200)),
        sa.UniqueConstraint("request_id", name="inferences_request_id_key"),
    )
    op.create_index("inferences_model_time", "inferences", ["model", "time"])
    op.create_index("inferences_model_window", "inferences", ["model", "window"])
