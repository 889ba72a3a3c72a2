"""A row or a gap as bytes, exactly: what waits in memory and in segments until the database has it.

A row is its numbers as float64 (NaN for none), its texts as JSON, and its vectors as they are in the database:
little-endian float32, empty for none. Rows that a program of before put by are read as well.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, get_args

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.columns import ANSWERED, GROUP, ROUTES, STATISTICS, Status
from resnet_ops_monitoring.inference_log.gaps import Gap
from resnet_ops_monitoring.inference_log.identity import ModelIdentity

__all__ = ["NUMBERS", "TEXTS", "decode", "encode_gap", "encode_row", "encode_texts", "microseconds"]

_TEXTS_BEFORE = ("model", "version", "digest", "request_id", "source", "predicted", "label")
_TEXTS_UNGROUPED = (*_TEXTS_BEFORE, "route", "status")
TEXTS = (*_TEXTS_UNGROUPED, GROUP)
"""In this order in the JSON of a row."""
NUMBERS = (*STATISTICS, "latency_ms", "queue_ms", "total_ms", "kept", "drawn")
_MAY_LACK = ("source", "label", "predicted", GROUP)
_STATUSES = get_args(Status)
_ROW, _ROW_UNGROUPED, _ROW_BEFORE, _GAP = b"t", b"s", b"r", b"g"
_HEAD = struct.Struct(
    "<cqII10d"
)  # kind, microseconds since 1970, bytes of texts, bytes of embedding, numbers
_BEFORE = {
    "route": "champion",
    "status": ANSWERED,
    "queue_ms": None,
    "total_ms": None,
    "kept": 1.0,
    "drawn": 1.0,
}
_KINDS: dict[bytes, tuple[struct.Struct, tuple[str, ...], tuple[str, ...], dict[str, Any]]] = {
    _ROW: (_HEAD, TEXTS, NUMBERS, {}),
    _ROW_UNGROUPED: (_HEAD, _TEXTS_UNGROUPED, NUMBERS, {GROUP: None}),
    _ROW_BEFORE: (struct.Struct("<cqII6d"), _TEXTS_BEFORE, NUMBERS[:6], {GROUP: None, **_BEFORE}),
}
"""Head, names of texts, names of numbers, and what a row says by not saying it."""
_SHARED, _SHORT = (
    256,
    4096,
)  # texts that many rows share are checked once, where they are not longer, in bytes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_dump = json.JSONEncoder(separators=(",", ":")).encode
_load = json.JSONDecoder().decode


def microseconds(moment: datetime) -> int:
    """Since 1970, exactly. The moment has a time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def encode_texts(texts: Sequence[str | None] | str) -> bytes:
    """As JSON."""
    return _dump(texts).encode()


def encode_row(
    time: int, texts: bytes, numbers: Sequence[float], embedding: bytes, probabilities: bytes
) -> bytes:
    """time: microseconds since 1970. texts: those of TEXTS, encoded. numbers: those of NUMBERS, NaN for none."""
    head = _HEAD.pack(_ROW, time, len(texts), len(embedding), *numbers)
    return b"".join((head, texts, embedding, probabilities))


def encode_gap(gap: Gap) -> bytes:
    """A gap, which is a kind of row that only says what is not there."""
    content = asdict(gap)
    content |= {"since": microseconds(gap.since), "until": microseconds(gap.until)}
    return _GAP + _dump(content).encode()


def decode(payload: bytes) -> dict[str, Any] | Gap:
    """A row as the table takes it, or a gap. Raises DataError for other bytes."""
    try:
        return _gap(payload) if payload[:1] == _GAP else _row(payload)
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError, struct.error) as error:
        raise DataError(f"These bytes are neither a row nor a gap of an inference log ({error}).") from None


def _row(payload: bytes) -> dict[str, Any]:
    head, _, names, _ = _KINDS[payload[:1]]
    kind, time, words, embedding, *numbers = head.unpack_from(payload)
    texts_end = head.size + words
    end = texts_end + embedding
    model, version, digest, request_id, *others = _load(str(payload[head.size : texts_end], "utf-8"))
    _check_text("request_id", request_id)
    shared = _shared if words <= _SHORT else _shared.__wrapped__
    row = shared(kind, (model, version, digest, *others)).copy()
    row["request_id"] = request_id
    row["time"] = _EPOCH + timedelta(microseconds=time)
    row.update(
        zip(names, [None if each != each else each for each in numbers], strict=True)
    )  # NaN alone is not itself
    row["embedding"] = payload[texts_end:end] or None
    row["probabilities"] = payload[end:] or None
    if row["kept"] is None:
        raise ValueError("the probability of being kept is none")
    if row["status"] == ANSWERED and not (row["predicted"] and row["embedding"] and row["probabilities"]):
        raise ValueError("an answer lacks its class or vectors")
    return row


@lru_cache(_SHARED)
def _shared(kind: bytes, texts: tuple[Any, ...]) -> dict[str, Any]:
    """What rows with these texts have in common; texts: all but the request id."""
    _, names, _, unsaid = _KINDS[kind]
    row = dict(zip((name for name in names if name != "request_id"), texts, strict=True))
    for name, text in row.items():
        _check_text(name, text)
    row |= {**unsaid, "window": None}
    if row["route"] not in ROUTES or row["status"] not in _STATUSES:
        raise ValueError("route or status is none")
    return row


def _gap(payload: bytes) -> Gap:
    content = json.loads(payload[1:])
    moments = {name: _EPOCH + timedelta(microseconds=content[name]) for name in ("since", "until")}
    gap = Gap(**{**content, **moments, "identity": ModelIdentity(**content["identity"])})
    for name in ("source", "reason", "id"):
        _check_text(name, getattr(gap, name))
    for name, text in asdict(gap.identity).items():
        _check_text(name, text)
    if gap.route not in ROUTES:
        raise ValueError("route is none of those that there are")
    if not all(type(count) is int and 0 <= count < 2**31 for count in (gap.lost, gap.late)):
        raise ValueError("lost and late must be counts")
    return gap


def _check_text(name: str, text: Any) -> None:
    """Raises TypeError or ValueError for what no column of texts can hold."""
    if text is None and name in _MAY_LACK:
        return
    if not isinstance(text, str):
        raise TypeError(f"{name} is no text")
    text.encode()  # half of a pair of surrogates cannot be
