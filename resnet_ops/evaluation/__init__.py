"""Evaluation: metrics of predictions on a split, each with its interval."""
