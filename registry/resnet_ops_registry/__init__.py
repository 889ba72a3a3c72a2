"""MLflow registry plugin: the promotion gate with its policies, attestations, ledger and lineage."""
