"""Benchmark of a model as it is deployed: `measure` starts a `worker` for each device profile."""
