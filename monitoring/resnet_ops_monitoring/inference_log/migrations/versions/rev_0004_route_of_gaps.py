"""Gaps with the route of their rows, so that what is lost in shadow is not missing in production."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # programs of before write gaps without it
    op.add_column("gaps", sa.Column("route", sa.String(10), nullable=False, server_default="champion"))
