"""Monitoring of production inference: log, scorer, reference, drift verdicts and reports."""
