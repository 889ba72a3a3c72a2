"""Rows say which group their image is of, such as a patient or a part."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("inferences", sa.Column("group", sa.String(200)))
