"""Room `settings`: the typed sections of params.yaml."""
