"""Run by alembic, on the connection that `resnet_ops_monitoring.inference_log.revisions` hands over."""

from alembic import context

from resnet_ops_monitoring.inference_log.database import metadata
from resnet_ops_monitoring.inference_log.revisions import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=False,
)
context.run_migrations()
