"""The columns of the inference log, for code that works without pandas too; `frames` says what is in them."""

__all__ = ["COLUMNS", "STATISTICS"]

STATISTICS = ("brightness", "contrast", "sharpness", "saturation", "entropy")
COLUMNS = (
    "request_id",
    "time",
    "model",
    "version",
    "digest",
    "source",
    "window",
    *STATISTICS,
    "embedding",
    "probabilities",
    "predicted",
    "latency_ms",
    "label",
)
