"""Where something is being written through the server, so that no evidence is accepted about it meanwhile."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "resnet_ops_uploads",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("place", sa.String(700), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
