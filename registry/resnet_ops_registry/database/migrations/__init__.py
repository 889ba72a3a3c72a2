"""Alembic migrations of our own tables, counted in `resnet_ops_alembic_version`."""
