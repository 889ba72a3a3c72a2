"""A row or a gap as bytes, exactly: what waits in memory and in segments until the database has it.

A row is its numbers as float64 (NaN for none), its texts as JSON, and its vectors as they are in the database:
little-endian float32, empty for none. Rows that a program of before put by are read as well.
"""

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, get_args

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.columns import ANSWERED, GROUP, ROUTES, STATISTICS, Row, Status
from resnet_ops_monitoring.inference_log.gaps import Gap
from resnet_ops_monitoring.inference_log.identity import ModelIdentity

__all__ = ["NUMBERS", "TEXTS", "decode", "encode_gap", "encode_row", "encode_texts", "microseconds"]

TEXTS = (
    "model",
    "version",
    "digest",
    "request_id",
    "source",
    "predicted",
    "label",
    "route",
    "status",
    GROUP,
)
"""In this order in the JSON of a row."""
NUMBERS = (*STATISTICS, "latency_ms", "queue_ms", "total_ms", "kept", "drawn")
_MAY_LACK = ("source", "label", "predicted", GROUP)
_STATUSES = get_args(Status)
_ROW, _GAP = b"t", b"g"
# kind, microseconds since 1970, bytes of texts, bytes of embedding, numbers
_HEAD = struct.Struct("<cqII10d")
_KINDS: dict[bytes, tuple[struct.Struct, tuple[str | None, ...], tuple[float, ...]]] = {
    _ROW: (_HEAD, (), ()),
    b"s": (_HEAD, (None,), ()),
    b"r": (struct.Struct("<cqII6d"), ("champion", ANSWERED, None), (math.nan, math.nan, 1.0, 1.0)),
}
"""Head, and the last texts and numbers of a row that does not say them."""
# texts that many rows share are checked once, where they have no more bytes
_SHARED, _SHORT = 256, 4096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_dump = json.JSONEncoder(separators=(",", ":")).encode
_scan = json.JSONDecoder().raw_decode


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


def decode(payload: bytes) -> Row | Gap:
    """What these bytes are. Raises DataError where they are neither."""
    try:
        return _gap(payload) if payload[:1] == _GAP else _row(payload)
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError, struct.error) as error:
        raise DataError(f"These bytes are neither a row nor a gap of an inference log ({error}).") from None


def _row(payload: bytes) -> Row:
    head, texts_unsaid, numbers_unsaid = _KINDS[payload[:1]]
    _, time, texts_size, embedding_size, *numbers = head.unpack_from(payload)
    texts_end = head.size + texts_size
    end = texts_end + embedding_size
    texts = str(payload[head.size : texts_end], "utf-8")
    (model, version, digest, request_id, *others), scanned = _scan(texts)
    _check_text("request_id", request_id)
    checked = _checked if texts_size <= _SHORT else _checked.__wrapped__
    model, version, digest, source, predicted, label, route, status, group = checked(
        model, version, digest, *others, *texts_unsaid
    )
    brightness, contrast, sharpness, saturation, entropy, latency_ms, queue_ms, total_ms, kept, drawn = [
        None if each != each else each
        for each in (*numbers, *numbers_unsaid)  # NaN alone is not itself
    ]
    embedding, probabilities = payload[texts_end:end] or None, payload[end:] or None
    if kept is None or scanned != len(texts):
        raise ValueError("the probability of being kept is none, or the texts are more than an array")
    if status == ANSWERED and not (predicted and embedding and probabilities):
        raise ValueError("an answer lacks its class or vectors")
    return Row(
        request_id,
        digest,
        _EPOCH + timedelta(0, 0, time),
        model,
        version,
        route,
        status,
        kept,
        drawn,
        source,
        group,
        None,
        brightness,
        contrast,
        sharpness,
        saturation,
        entropy,
        predicted,
        latency_ms,
        queue_ms,
        total_ms,
        probabilities,
        embedding,
        label,
    )


@lru_cache(_SHARED)
def _checked(*texts: Any) -> tuple[Any, ...]:
    """The texts of a row but for its request id, once they are known to be such."""
    names = [name for name in TEXTS if name != "request_id"]
    row = dict(zip(names, texts, strict=True))
    for name, text in row.items():
        _check_text(name, text)
    if row["route"] not in ROUTES or row["status"] not in _STATUSES:
        raise ValueError("route or status is none")
    return texts


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
