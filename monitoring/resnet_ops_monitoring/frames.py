"""The table that passes between scorer, log, reference and detector: one row for each inference.

===============  ==============================================================================
request_id       str, unique; the same request has the same id when it is sent again
time             datetime, UTC
model, version   str, the registered model and its version; digest: sha256 of the version's files
source           str or None: the camera or other origin
window           str or None: the name of a replayed stretch of traffic
brightness ...   float, the five image statistics of `resnet_ops.data.image_stats`
embedding        (F,) float32, the pooled features before the head
probabilities    (K,) float32, softmax in the order of the model's classes
predicted        str, the class with the highest probability
latency_ms       float, milliseconds for each image
label            str or None, the true class once somebody knows it
===============  ==============================================================================
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops.errors import DataError

__all__ = ["COLUMNS", "STATISTICS", "InvalidRows", "check_columns", "known", "matrix"]

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


class InvalidRows(DataError):
    """Rows that cannot be judged: of other files, of unknown classes, repeated, or with vectors of another length."""


def check_columns(frame: pd.DataFrame, columns: tuple[str, ...], what: str) -> None:
    """Raise DataError when `frame` lacks one of `columns`; `what` names the frame in the message."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise DataError(f"{what} lacks the columns {', '.join(missing)}; make it with Scorer.score.")


def matrix(frame: pd.DataFrame, column: str) -> NDArray[np.float32]:
    """A column of equally long vectors as (rows, length) float32; (0, 0) when there are no rows.

    Raises InvalidRows when the vectors differ in length.
    """
    vectors = frame[column].tolist()
    if not vectors:
        return np.empty((0, 0), dtype=np.float32)
    try:
        lengths = set(map(len, vectors))
        if len(lengths) == 1:
            joined = np.concatenate(vectors, dtype=np.float32, casting="same_kind")
            return joined.reshape(len(vectors), lengths.pop())
    except (TypeError, ValueError) as error:
        raise InvalidRows(
            f"Column {column} holds something else than vectors of numbers ({error})."
        ) from None
    raise InvalidRows(
        f"Column {column} holds vectors of different lengths ({sorted(lengths)[:10]}): rows of several models "
        "are mixed. Read one version at a time."
    )


def known(column: "pd.Series[str]") -> NDArray[np.bool_]:
    """(rows,) true where a nullable text column holds a value."""
    return np.asarray(column.notna(), dtype=bool)
