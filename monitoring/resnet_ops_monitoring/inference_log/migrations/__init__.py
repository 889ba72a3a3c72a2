"""Alembic migrations of the inference log, counted in `inference_log_alembic_version`."""
