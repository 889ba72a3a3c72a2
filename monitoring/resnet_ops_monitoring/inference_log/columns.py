"""The columns of the inference log, for code that works without pandas too; `frames` says what is in them."""

from typing import Literal, get_args

__all__ = [
    "ANSWERED",
    "COLUMNS",
    "GROUP",
    "LOGGED",
    "RECORDED",
    "ROUTES",
    "SERVED",
    "STATISTICS",
    "Route",
    "Status",
]

Route = Literal["champion", "shadow", "canary"]
"""champion, canary: somebody was given the answer. shadow: nobody was."""
ROUTES: tuple[Route, ...] = get_args(Route)
Status = Literal["ok", "refused", "failed"]
"""ok: answered. refused: not taken, as when a queue is full. failed: taken, and no answer came of it."""
SERVED: tuple[Route, ...] = ("champion", "canary")
ANSWERED: Status = "ok"
STATISTICS = ("brightness", "contrast", "sharpness", "saturation", "entropy")
GROUP = "group"
"""What images are alike by, such as a patient or a part; none: the image is its own group."""
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
"""That a frame must have."""
LOGGED = (*COLUMNS, GROUP)
"""Of a frame that the log gives."""
RECORDED = (
    "request_id",
    "digest",
    "time",
    "model",
    "version",
    "route",
    "status",
    "kept",
    "drawn",
    "source",
    GROUP,
    "window",
    *STATISTICS,
    "predicted",
    "latency_ms",
    "queue_ms",
    "total_ms",
    "probabilities",
    "embedding",
)
"""Of the table, without its id."""
