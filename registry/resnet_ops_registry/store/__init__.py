"""Room `store`: MLflow's store behind the gate; every change of the registry passes through it."""
