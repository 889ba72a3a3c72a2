"""Run by alembic, on the connection that `resnet_ops_registry.database.tables` hands over."""

from alembic import context

from resnet_ops_registry.database.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=False,
)
context.run_migrations()
