"""Answers as a server hands them over, checked and made into rows."""

import math
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike

from resnet_ops.errors import DataError
from resnet_ops.tasks.task import CONFIDENCE
from resnet_ops_monitoring.inference_log.columns import ANSWERED, ROUTES, STATISTICS, Route, Status
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.rows import NUMBERS, encode_row, encode_texts, microseconds
from resnet_ops_monitoring.inference_log.sampling import EVERYTHING, Sampling

__all__ = ["Incoming", "as_text"]

_LONGEST = 200  # characters of a text in the database
_FLOAT32 = np.dtype("<f4")
_UNANSWERED = tuple(each for each in get_args(Status) if each != ANSWERED)
_Vector = np.ndarray[Any, np.dtype[np.float32]]
_statistics = itemgetter(*STATISTICS)
_MEASURED = NUMBERS[:-2]
"""The others say how the row was kept."""
_SHARED = 256  # texts that many rows share are checked and encoded once


class Incoming:
    """Makes the rows of one version. Its first row says how many numbers an embedding has."""

    def __init__(
        self,
        identity: ModelIdentity,
        classes: Sequence[str],
        sampling: Sampling = EVERYTHING,
        scalars: Sequence[str] = (),
    ) -> None:
        """scalars: names of the numbers that are in the place of probabilities; `CONFIDENCE` is one of them.

        Raises DataError for names that the log cannot hold.
        """
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
        self._features, self._sampling = 0, sampling
        self._scalars = tuple(as_text("scalar", name, 2 * _LONGEST) for name in scalars)
        if self._scalars and (
            CONFIDENCE not in self._scalars or len(set(self._scalars)) != len(self._scalars)
        ):
            raise DataError(
                f"Scalars are names, each once, {CONFIDENCE} among them; these are "
                f"{', '.join(self._scalars)[:200]!r}."
            )
        first = self._scalars.index(CONFIDENCE) if self._scalars else None
        self._sure = slice(None) if first is None else slice(first, first + 1)
        self._who = encode_texts(self._known)[:-1]
        self._others = lru_cache(_SHARED)(self._encoded)

    def row(
        self,
        probabilities: ArrayLike,
        embedding: ArrayLike,
        statistics: Mapping[str, Any],
        *,
        request_id: str | None,
        moment: datetime | None,
        source: str | None,
        group: str | None = None,
        latency_ms: float | None,
        label: str | None,
        route: Route = "champion",
        queue_ms: float | None = None,
        total_ms: float | None = None,
        predicted: str | None = None,
    ) -> bytes | None:
        """The row's bytes; None where the sampling leaves it out. predicted: the class, which scalars cannot tell.

        Raises DataError; its words name the column and no value, so that they are few.
        """
        name = uuid.uuid4().hex if request_id is None else as_text("request_id", request_id)
        chances = _vector("probabilities", probabilities)
        if len(chances) != len(self._scalars or self._classes):
            needed = (
                f"the scalars {len(self._scalars)}" if self._scalars else f"the classes {len(self._classes)}"
            )
            raise DataError(f"probabilities are {len(chances)} numbers, but {needed}")
        kept = self._sampling.kept(name, chances[self._sure])
        if kept is None:
            return None
        features = _vector("embedding", embedding)
        if len(features) != (self._features or len(features)):
            raise DataError(f"embedding is {len(features)} numbers, but {self._features} in rows before")
        if type(statistics) is not dict:  # one with defaults lacks nothing
            if not isinstance(statistics, Mapping):
                raise DataError("statistics are no mapping from names to numbers")
            statistics = dict(statistics)
        try:
            given = (*_statistics(statistics), latency_ms, queue_ms, total_ms)
        except KeyError:
            missing = ", ".join(name for name in STATISTICS if name not in statistics)
            raise DataError(
                f"statistics lack {missing}; make them with resnet_ops.data.image_stats"
            ) from None
        numbers = [
            each if type(each) is float else _number(_MEASURED[place], each)
            for place, each in enumerate(given)
        ]
        if not self._scalars:
            predicted = self._classes[int(chances.argmax())]
        texts = self._texts(name, source, predicted, label, route, ANSWERED, group)
        row = encode_row(_moment(moment), texts, [*numbers, *kept], features.tobytes(), chances.tobytes())
        self._features = len(features)
        return row

    def unanswered(
        self,
        status: Status,
        *,
        request_id: str | None,
        moment: datetime | None,
        source: str | None,
        route: Route,
        queue_ms: float | None,
        total_ms: float | None,
    ) -> bytes | None:
        """The row of a request without an answer, as `row`."""
        name = uuid.uuid4().hex if request_id is None else as_text("request_id", request_id)
        kept = self._sampling.kept(name)
        if kept is None:
            return None
        _one_of("status", status, _UNANSWERED)
        texts = self._texts(name, source, None, None, route, status, None)
        times = (_number("queue_ms", queue_ms), _number("total_ms", total_ms))
        numbers = (*[math.nan] * (len(STATISTICS) + 1), *times, *kept)
        return encode_row(_moment(moment), texts, numbers, b"", b"")

    def _texts(self, request_id: str, *others: Any) -> bytes:
        """Those of a row; others: what follows in `rows.TEXTS`, checked here."""
        try:
            encoded = self._others(*others)
        except TypeError:  # a list, say, which no cache can look up
            encoded = self._encoded(*others)
        return b"".join((self._who, b",", encode_texts(request_id), b",", encoded))

    def _encoded(
        self, source: Any, predicted: Any, label: Any, route: Any, status: Status, group: Any
    ) -> bytes:
        texts = (
            None if source is None else as_text("source", source),
            _one_of("predicted", predicted, self._classes) if status == ANSWERED else None,
            None if label is None else as_text("label", label),
            _one_of("route", route, ROUTES),
            status,
            None if group is None else as_text("group", group),
        )
        return encode_texts(texts)[1:]


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


def _one_of(name: str, value: object, known: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise DataError(f"{name} is none of {', '.join(known)}")
    return str(value)


def _moment(moment: datetime | None) -> int:
    """In microseconds since 1970."""
    if moment is None:
        return time.time_ns() // 1000
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise DataError("time is no moment with a time zone, such as 2026-01-31T08:00Z")
    return microseconds(moment)
