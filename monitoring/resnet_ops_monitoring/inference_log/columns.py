"""The columns of the inference log, for code that works without pandas too; `frames` says what is in them."""

from datetime import datetime
from typing import Literal, NamedTuple, get_args

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
    "Row",
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


class Row(NamedTuple):
    """A row as the table takes it, without the table's id, and the label that came with it."""

    request_id: str
    digest: str
    time: datetime
    model: str
    version: str
    route: Route
    status: Status
    kept: float
    drawn: float | None
    source: str | None
    group: str | None
    window: str | None
    brightness: float | None
    contrast: float | None
    sharpness: float | None
    saturation: float | None
    entropy: float | None
    predicted: str | None
    latency_ms: float | None
    queue_ms: float | None
    total_ms: float | None
    probabilities: bytes | None
    embedding: bytes | None
    label: str | None = None


RECORDED = Row._fields[:-1]
"""Of the table, without its id."""
