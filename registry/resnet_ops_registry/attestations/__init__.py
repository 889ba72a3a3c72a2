"""Room `attestations`: keys, signed statements, and which of them are believed."""
