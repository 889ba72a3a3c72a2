"""The table that passes between scorer, log, reference and detector: one row for each inference.

===============  ==============================================================================
request_id       str, unique; the same request has the same id when it is sent again
time             datetime, UTC
model, version   str, the registered model and its version; digest: sha256 of the version's files
source           str or None: the camera or other origin
group            str or None: what images are alike by, such as a patient or a part; a frame may lack this column
window           str or None: the name of a replayed range of traffic
brightness ...   float, the five image statistics of `resnet_ops.data.image_stats`
embedding        (F,) float32, the pooled features before the head
probabilities    (K,) float32, softmax in the order of the model's classes
predicted        str, the class with the highest probability
latency_ms       float, milliseconds for each image
label            str or None, the true class once somebody knows it
===============  ==============================================================================
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.columns import COLUMNS, GROUP, LOGGED, STATISTICS

__all__ = [
    "COLUMNS",
    "GROUP",
    "LOGGED",
    "STATISTICS",
    "InvalidRows",
    "check_columns",
    "known",
    "matrix",
    "vectors",
]


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
    flat = _flat(frame[column])
    if flat is not None:
        return flat
    rows = frame[column].tolist()
    if not rows:
        return np.empty((0, 0), dtype=np.float32)
    try:
        lengths = set(map(len, rows))
        if len(lengths) == 1:
            joined = np.concatenate(rows, dtype=np.float32, casting="same_kind")
            return joined.reshape(len(rows), lengths.pop())
    except (TypeError, ValueError) as error:
        raise InvalidRows(
            f"Column {column} holds something else than vectors of numbers ({error})."
        ) from None
    raise InvalidRows(
        f"Column {column} holds vectors of different lengths ({sorted(lengths)[:10]}): rows of several models "
        "are mixed. Read one version at a time."
    )


def vectors(values: NDArray[np.float32]) -> "pd.Series[Any]":
    """(rows, length) as a column that `matrix` reads as one piece: Arrow's list of a fixed size."""
    import pyarrow as pa  # a scorer needs none of it

    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.FixedSizeListArray.from_arrays(flat, values.shape[1])))


def _flat(column: "pd.Series[Any]") -> NDArray[np.float32] | None:
    """What `vectors` made a column of; None for another one, without rows, and where something is missing."""
    if not isinstance(column.dtype, pd.ArrowDtype):
        return None
    import pyarrow as pa

    kind = column.dtype.pyarrow_dtype
    if not len(column) or not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        return None
    parts = pa.chunked_array(column.array.__arrow_array__()).combine_chunks()
    if parts.null_count or parts.flatten().null_count:
        return None
    return np.asarray(parts.flatten().to_numpy(zero_copy_only=False).reshape(len(column), kind.list_size))


def known(column: "pd.Series[str]") -> NDArray[np.bool_]:
    """(rows,) true where a nullable text column holds a value."""
    return np.asarray(column.notna(), dtype=bool)
