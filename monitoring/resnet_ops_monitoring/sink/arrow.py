"""A body in Arrow's streaming format as the rows that JSON would hold; vectors stay arrays.

What a stream claims is checked before anything is made of it: types by name, no dictionaries, no compressed buffers (a
few bytes could claim any memory), rows by number. Then Arrow's own full validation, since its arrays trust their bytes.
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from resnet_ops_monitoring.inference_log.columns import STATISTICS
from resnet_ops_monitoring.web.refusal import Refusal

__all__ = ["ARROW_TYPE", "VECTORS", "arrow_rows"]

ARROW_TYPE = "application/vnd.apache.arrow.stream"
VECTORS = ("probabilities", "embedding")
_IDENTITY = ("request_id", "model", "version", "digest")
_TEXTS = (*_IDENTITY, "status", "route", "source", "group", "label", "predicted")
_NUMBERS = ("queue_ms", "latency_ms", "total_ms")
_EPOCH, _NEVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)
_LAST = 10**6 * 60 * 60 * 24 * 366 * 7900  # microseconds; what a datetime holds, and beyond what a row may
_MARKER, _SCHEMA, _BATCH = 0xFFFFFFFF, 1, 3  # before each message, and two kinds of them by Message.fbs
_SCHEMA_BYTES = 1 << 15
"""Four columns' descriptions may share each of these bytes, and take 1.5 kB in memory."""
_MICROSECONDS = {"s": (10**6, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}


def arrow_rows(body: bytes, most: int) -> list[dict[str, Any]]:
    """Raises Refusal for what is no stream of 1 to `most` rows with the columns of `Inference`."""
    try:
        _check_messages(body, most)
        with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
            _check_columns(stream.schema)
            batches = list(_batches(stream, most))
        rows = [row for batch in batches for row in _rows(batch)]
    except (pa.ArrowException, struct.error, KeyError, OSError, OverflowError, ValueError):
        raise Refusal(400, "The body is no Arrow stream, whole and with nothing behind it.") from None
    if not rows:
        raise Refusal(400, "The body is an Arrow stream without rows.")
    return rows


def _check_messages(body: bytes, most: int) -> None:
    """Before any of Arrow's code reads them: parts of a message may share their bytes, so a few become any amount."""
    place = number = 0
    while place < len(body):
        marker, length = struct.unpack_from("<II", body, place)
        message = body[place + 8 : place + 8 + length]
        if marker != _MARKER or len(message) != length:
            raise ValueError
        place += 8 + length
        if not length:
            break
        root = struct.unpack_from("<I", message)[0]
        kind = struct.unpack_from("<B", message, _place(message, root, 1))[0]
        if kind != (_BATCH if number else _SCHEMA):
            raise Refusal(400, "The stream holds dictionaries. Send plain columns.")
        if number and _is_compressed(message, root):
            raise Refusal(
                400, "The stream's buffers are compressed, or its batches have metadata. Send them plain."
            )
        if not number and length > _SCHEMA_BYTES:
            raise Refusal(413, f"The stream's schema is larger than {_SCHEMA_BYTES} bytes.")
        if number > most:
            raise Refusal(413, f"The stream holds more than {most} batches.")
        there = _place(message, root, 3)
        place += struct.unpack_from("<Q", message, there)[0] if there else 0
        number += 1
    if place != len(body):
        raise ValueError


def _is_compressed(message: bytes, root: int) -> bool:
    """Whether a message's RecordBatch has the field `compression`, by Message.fbs of Arrow's format; or the message has
    metadata of its own, which is where Arrow 0.17 said so, and readers still believe it.
    """
    header = _place(message, root, 2)
    batch = header + struct.unpack_from("<I", message, header)[0]
    return _place(message, batch, 3) != 0 or _place(message, root, 4) != 0


def _place(message: bytes, table: int, number: int) -> int:
    """Where a FlatBuffers table has a field; 0 where it does not."""
    vtable = table - struct.unpack_from("<i", message, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", message, vtable)[0]:
        return 0
    offset = struct.unpack_from("<H", message, vtable + 4 + 2 * number)[0]
    return table + offset if offset else 0


def _check_columns(schema: pa.Schema) -> None:
    """Before any batch is made: columns may share their bytes, so many of them cost far more than they are long."""
    for field in schema:
        _check_field(field)
    if len(set(schema.names)) != len(schema.names):
        raise Refusal(400, "The stream has a column twice.")


def _check_field(field: pa.Field) -> None:
    kind, name = field.type, field.name
    if name in _TEXTS:
        fits = _is_text(kind)
    elif name in _NUMBERS:
        fits = _is_number(kind)
    elif name in VECTORS:
        fits = _is_list(kind) and _is_number(kind.value_type)
    elif name in ("classes", "scalars"):
        fits = _is_list(kind) and _is_text(kind.value_type)
    elif name == "time":
        fits = pa.types.is_timestamp(kind) and kind.tz is not None
    elif name == "statistics":
        fits = pa.types.is_struct(kind) and all(_is_number(each.type) for each in kind)
        fits = fits and sorted(each.name for each in kind) == sorted(STATISTICS)
    else:
        raise Refusal(400, f"The stream has a column {name[:50]!r}, which the log has not.")
    if not fits:
        raise Refusal(
            400, f"{name} is {str(kind)[:100]}, which is not the type that docs/inference-log.md names."
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float32(kind) or pa.types.is_float64(kind))


def _is_list(kind: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(kind):
        return bool(kind.list_size > 0)  # Arrow divides by it
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _batches(stream: pa.RecordBatchReader, most: int) -> Iterator[pa.RecordBatch]:
    count = 0
    for batch in stream:
        count += batch.num_rows
        if count > most:
            raise Refusal(413, f"The body holds more than {most} rows, which are taken at once.")
        batch.validate(full=True)
        yield batch


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    names = batch.schema.names
    columns = [_values(name, column) for name, column in zip(names, batch.columns, strict=True)]
    for values in zip(*columns, strict=True):
        yield {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _values(name: str, column: pa.Array) -> list[Any]:
    if name in VECTORS:
        return _vectors(column)
    if name == "time":
        times, over = _MICROSECONDS[column.type.unit]
        return [
            None if each is None else _moment(each * times // over)
            for each in column.cast(pa.int64()).to_pylist()
        ]
    found: list[Any] = column.to_pylist()
    return found


def _moment(microseconds: int) -> datetime:
    """One that no row may have where it is out of range."""
    return _EPOCH + timedelta(microseconds=microseconds) if 0 <= microseconds < _LAST else _NEVER


def _vectors(column: pa.Array) -> list[Any]:
    """float32, null in them as not a number."""
    with np.errstate(all="ignore"):  # what is too large becomes infinite, which is logged
        numbers = column.values.to_numpy(zero_copy_only=False).astype(np.float32)
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        ends = [size * row for row in range(len(column) + 1)]
    else:
        ends = column.offsets.to_pylist()
    there = column.is_valid().to_pylist()
    return [numbers[ends[row] : ends[row + 1]] if there[row] else None for row in range(len(column))]
