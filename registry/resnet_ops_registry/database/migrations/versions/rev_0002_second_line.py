"""The second line in the database (tickets, sealed places) and the deliveries of events."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "resnet_ops_state",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.String(250), nullable=False),
    )
    op.create_table(
        "resnet_ops_tickets",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("workspace", sa.String(63), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "resnet_ops_places",
        sa.Column("place", sa.String(700), primary_key=True),
        sa.Column("workspace", sa.String(63), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "resnet_ops_deliveries",
        sa.Column("endpoint", sa.String(64), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("problem", sa.String(500), nullable=False),
    )
