"""Answers as a server hands them over, checked and made into rows."""

import math
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.columns import STATISTICS
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.rows import encode_row, microseconds

__all__ = ["Incoming", "as_text"]

_LONGEST = 200  # characters of a text in the database
_FLOAT32 = np.dtype("<f4")
_Vector = np.ndarray[Any, np.dtype[np.float32]]


class Incoming:
    """Makes the rows of one version. Its first row says how many numbers an embedding has."""

    def __init__(self, identity: ModelIdentity, classes: Sequence[str]) -> None:
        """Raises DataError for names that the log cannot hold."""
        self.identity = identity
        self._known = (
            as_text("model", identity.name),
            as_text("version", identity.version, 40),
            as_text("digest", identity.digest, 64),
        )
        self._classes = tuple(as_text("class", name) for name in classes)
        if len(set(self._classes)) != len(self._classes) or not self._classes:
            raise DataError(
                f"A model needs classes, each once; these are {', '.join(self._classes)[:200]!r}."
            )
        self._features = 0

    def row(
        self,
        probabilities: ArrayLike,
        embedding: ArrayLike,
        statistics: Mapping[str, Any],
        *,
        request_id: str | None,
        moment: datetime | None,
        source: str | None,
        latency_ms: float | None,
        label: str | None,
    ) -> bytes:
        """The row's bytes. Raises DataError; its words name the column and no value, so that they are few."""
        chances = _vector("probabilities", probabilities)
        if len(chances) != len(self._classes):
            raise DataError(f"probabilities are {len(chances)} numbers, but the classes {len(self._classes)}")
        features = _vector("embedding", embedding)
        if len(features) != (self._features or len(features)):
            raise DataError(f"embedding is {len(features)} numbers, but {self._features} in rows before")
        if not isinstance(statistics, Mapping):
            raise DataError("statistics are no mapping from names to numbers")
        if missing := [name for name in STATISTICS if name not in statistics]:
            raise DataError(
                f"statistics lack {', '.join(missing)}; make them with resnet_ops.data.image_stats"
            )
        numbers = [_number(name, statistics[name]) for name in STATISTICS]
        texts = (
            *self._known,
            uuid.uuid4().hex if request_id is None else as_text("request_id", request_id),
            None if source is None else as_text("source", source),
            self._classes[int(chances.argmax())],
            None if label is None else as_text("label", label),
        )
        numbers.append(_number("latency_ms", latency_ms))
        row = encode_row(_moment(moment), texts, numbers, features.tobytes(), chances.tobytes())
        self._features = len(features)
        return row


def _vector(name: str, values: ArrayLike) -> _Vector:
    if isinstance(values, np.ndarray) and values.dtype == _FLOAT32:
        vector: _Vector = values
    else:
        vector = _converted(name, values)
    if vector.ndim != 1 or not len(vector):
        raise DataError(f"{name} has the shape {vector.shape}, not that of one row: (numbers,)")
    return vector


def _converted(name: str, values: ArrayLike) -> _Vector:
    try:
        with np.errstate(all="ignore"):  # what is too large becomes infinite, which is logged
            array = np.asarray(values)
            if np.iscomplexobj(array):
                raise TypeError
            return array.astype(_FLOAT32)
    except (TypeError, ValueError, RuntimeError):  # the last: a tensor that is to be differentiated
        raise DataError(f"{name} is no vector of numbers") from None


def _number(name: str, value: Any) -> float:
    if value is None:
        return math.nan
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (OverflowError, RuntimeError, TypeError, ValueError):
        raise DataError(f"{name} is no number") from None


def as_text(name: str, value: object, longest: int = _LONGEST) -> str:
    """A value that a text column holds. Raises DataError, which names the column, for any other."""
    if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value:
        raise DataError(f"{name} is no text of 1 to {longest} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DataError(f"{name} holds half a character, which is no text") from None
    return value


def _moment(moment: datetime | None) -> int:
    """In microseconds since 1970."""
    if moment is None:
        return time.time_ns() // 1000
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise DataError("time is no moment with a time zone, such as 2026-01-31T08:00Z")
    return microseconds(moment)
