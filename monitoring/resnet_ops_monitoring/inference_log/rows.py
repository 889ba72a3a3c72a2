"""A row or a gap as bytes, exactly: what waits in memory and in segments until the database has it.

A row is five image statistics and the latency as float64 (NaN for none), its texts as JSON, and its vectors as they are
in the database: little-endian float32.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.columns import STATISTICS
from resnet_ops_monitoring.inference_log.gaps import Gap
from resnet_ops_monitoring.inference_log.identity import ModelIdentity

__all__ = ["TEXTS", "decode", "encode_gap", "encode_row", "microseconds"]

TEXTS = ("model", "version", "digest", "request_id", "source", "predicted", "label")
"""In this order in the JSON of a row."""
_MAY_LACK = ("source", "label")
_ROW, _GAP = b"r", b"g"
_NUMBERS = (*STATISTICS, "latency_ms")
_HEAD = struct.Struct("<cqII6d")  # kind, microseconds since 1970, bytes of texts, bytes of embedding, numbers
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_dump = json.JSONEncoder(separators=(",", ":")).encode


def microseconds(moment: datetime) -> int:
    """Since 1970, exactly. The moment has a time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def encode_row(
    time: int,
    texts: Sequence[str | None],
    numbers: Sequence[float],
    embedding: bytes,
    probabilities: bytes,
) -> bytes:
    """time: microseconds since 1970. texts: those of TEXTS. numbers: the statistics and the latency, NaN for none."""
    words = _dump(texts).encode()
    head = _HEAD.pack(_ROW, time, len(words), len(embedding), *numbers)
    return b"".join((head, words, embedding, probabilities))


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
    kind, time, words, embedding, *numbers = _HEAD.unpack_from(payload)
    if kind != _ROW:
        raise ValueError(f"kind {kind!r}")
    texts_end = _HEAD.size + words
    end = texts_end + embedding
    texts = json.loads(str(payload[_HEAD.size : texts_end], "utf-8"))
    for name, text in zip(TEXTS, texts, strict=True):
        _check_text(name, text)
    row = dict(zip((*TEXTS, *_NUMBERS), (*texts, *numbers), strict=True))
    row.update((name, None) for name in _NUMBERS if row[name] != row[name])  # NaN alone is not itself
    row["time"] = _EPOCH + timedelta(microseconds=time)
    row["window"] = None
    row["embedding"], row["probabilities"] = payload[texts_end:end], payload[end:]
    return row


def _gap(payload: bytes) -> Gap:
    content = json.loads(payload[1:])
    moments = {name: _EPOCH + timedelta(microseconds=content[name]) for name in ("since", "until")}
    gap = Gap(**{**content, **moments, "identity": ModelIdentity(**content["identity"])})
    for name in ("source", "reason", "id"):
        _check_text(name, getattr(gap, name))
    for name, text in asdict(gap.identity).items():
        _check_text(name, text)
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
