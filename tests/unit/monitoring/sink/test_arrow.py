"""Rows in Arrow are the rows that JSON would hold, and no stream harms the sink."""

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.sink.arrow import ARROW_TYPE, arrow_rows
from resnet_ops_monitoring.sink.reading import JSON_TYPE, Reader
from resnet_ops_monitoring.web.refusal import Refusal
from tests.unit.monitoring.sink.sinking import LiveSink, row, sinking

TIME = "2026-01-31T12:00:00.250Z"


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSink]:
    with sinking(tmp_path_factory.mktemp("sink"), max_rows=50) as made:
        yield made


def table(
    count: int = 3, name: str = "r", rows: list[dict[str, Any]] | None = None, **changes: Any
) -> pa.Table:
    """The rows of `row`, or these. changes: columns put in or put off (None)."""
    rows = rows or [{**row(number, name), "source": None if number else "line 1"} for number in range(count)]
    found = pa.Table.from_pylist(rows)
    for column, values in changes.items():
        found = found.drop_columns(column) if column in found.column_names else found
        found = found if values is None else found.append_column(column, values)
    return found


def stream(rows: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue().to_pybytes())


@pytest.mark.parametrize(
    ("vectors", "unit"),
    [
        (pa.list_(pa.float32()), "s"),
        (pa.large_list(pa.float64()), "ms"),
        (pa.list_(pa.float32(), 3), "us"),
        (pa.list_(pa.float64()), "ns"),
    ],
)
def test_rows_in_arrow_are_those_in_json(tmp_path: Path, vectors: pa.DataType, unit: str) -> None:
    json, arrow = tmp_path / "json", tmp_path / "arrow"
    rows = [
        {**row(number), "embedding": [1.5, None, -2.0], "time": TIME.replace(".250", "")}
        for number in range(3)
    ]
    moments = pa.array([1769860800 * 10 ** {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]] * 3).cast(
        pa.timestamp(unit, "UTC")
    )
    embedding = pa.array([each["embedding"] for each in rows], vectors)
    for folder in (json, arrow):
        folder.mkdir()
        with sinking(folder) as sink:
            if folder is json:
                assert sink.send(rows).json()["taken"] == 3
            else:
                sent = table(3, embedding=embedding, time=moments, source=None)
                assert sink.send_bytes(stream(sent), ARROW_TYPE).json()["taken"] == 3
    read = [InferenceLog(f"sqlite:///{folder}/log.db").read("made-up") for folder in (json, arrow)]
    assert len(read[0]) == 3
    for column in read[0].columns:
        assert read[0][column].map(str).tolist() == read[1][column].map(str).tolist(), column


def test_a_row_that_is_none_is_refused_alone(sink: LiveSink) -> None:
    names = pa.array(["a", None, "c", "d"])
    groups = pa.array(["part 1", None, "x" * 201, None])
    answer = sink.send_bytes(stream(table(4, request_id=names, group=groups)), ARROW_TYPE)
    said = answer.json()
    assert (answer.status_code, said["taken"]) == (400, 2)
    assert [each["row"] for each in said["refused"]] == [1, 2]
    assert "request_id" in said["refused"][0]["reason"]


def strings(*values: str) -> pa.Array:
    return pa.array(values)


def _compressed_as_by_arrow_017() -> bytes:
    """4 MiB of zeros, compressed by a batch's metadata alone, which readers still take."""
    numbers = pa.array([0.0] * 2**19).buffers()[1]
    packed = numbers.size.to_bytes(8, "little") + pa.compress(numbers, "zstd", asbytes=True)
    filling = -len(packed) % 8  # a frame that is skipped
    packed += b"\x50\x2a\x4d\x18" + filling.to_bytes(4, "little") + bytes(filling)
    column = pa.Array.from_buffers(pa.float64(), len(packed) // 8, [None, pa.py_buffer(packed)])
    batch, sink = pa.record_batch({"latency_ms": column}), pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V4)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch, custom_metadata={"ARROW:experimental_compression": "zstd"})
    return bytes(sink.getvalue().to_pybytes())


def test_what_a_batchs_metadata_would_make_large_is_never_made() -> None:
    body = _compressed_as_by_arrow_017()
    with pa.ipc.open_stream(body) as read:
        assert read.read_next_batch().column(0).buffers()[1].size == 2**22
    with pytest.raises(Refusal, match="compressed"):
        arrow_rows(body, 50)


def test_nothing_of_arrows_reads_messages_that_could_become_any_amount(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Types in types, and metadata, that share their bytes: 200 kB of these were gigabytes."""
    large = stream(table().replace_schema_metadata({"notes": "z" * 2**15}))
    bodies = {"schema is larger": large, "have metadata": _compressed_as_by_arrow_017()}
    for name in ("MessageReader", "open_stream"):
        monkeypatch.delattr(pa.ipc, name)
    for why, body in bodies.items():
        with pytest.raises(Refusal, match=why):
            arrow_rows(body, 50)


def _column_twice(count: int) -> bytes:
    rows = table(count)
    return stream(rows.append_column("model", rows["model"]))


def _vectors_without_numbers() -> bytes:
    schema = pa.schema([("embedding", pa.list_(pa.float32(), 0))])
    return stream(schema.empty_table())


WHOLE = stream(table())
BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "no stream": (b"ARROW1\0\0" + b"\0" * 100, 400),
    "json": (b"[{}]", 400),
    "a message without an end": (WHOLE[:300], 400),
    "a batch without an end": (WHOLE[:-200], 400),
    "more behind it": (WHOLE + b"\0" * 8, 400),
    "a length that nobody has": (b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\0" * 64, 400),
    "no rows": (stream(table().slice(0, 0)), 400),
    "too many rows": (stream(table(51)), 413),
    "vectors without numbers": (_vectors_without_numbers(), 400),
    "compressed by lz4": (stream(table(), compression="lz4"), 400),
    "compressed by zstd": (stream(table(), compression="zstd"), 400),
    "a column twice, before its rows are made": (_column_twice(51), 400),
    "a dictionary": (stream(table(model=strings("a", "a", "a").dictionary_encode())), 400),
    "an unknown column": (stream(table(colour=strings("a", "b", "c"))), 400),
    "text for a number": (stream(table(latency_ms=strings("1", "2", "3"))), 400),
    "nested vectors": (stream(table(embedding=pa.array([[[1.0]]] * 3))), 400),
    "vectors of text": (stream(table(embedding=pa.array([["1"]] * 3))), 400),
    "other statistics": (stream(table(statistics=pa.array([{"brightness": 1.0}] * 3))), 400),
    "a time without a zone": (stream(table(time=pa.array([0] * 3).cast(pa.timestamp("us")))), 400),
    "a union": (
        stream(table(source=pa.UnionArray.from_sparse(pa.array([0] * 3, pa.int8()), [strings(*"abc")]))),
        400,
    ),
}


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES)
def test_what_is_no_stream_of_rows_is_refused(sink: LiveSink, body: bytes, status: int) -> None:
    answer = sink.send_bytes(body, ARROW_TYPE)
    assert answer.status_code == status, answer.text
    assert "\n" not in answer.json()["message"]
    assert sink.send_bytes(stream(table(2, "again")), ARROW_TYPE).status_code == 200


def test_a_time_that_no_row_has_is_that_rows_fault(sink: LiveSink) -> None:
    moments = pa.array([2**63 - 1, -(2**63), 1769860800]).cast(pa.timestamp("s", "UTC"))
    said = sink.send_bytes(stream(table(3, "late", time=moments)), ARROW_TYPE).json()
    assert (said["taken"], [each["row"] for each in said["refused"]]) == (1, [0, 1])


def test_bytes_that_changed_on_their_way_are_rows_or_are_refused() -> None:
    chance, reader = random.Random(0), Reader(50)
    taken = 0
    for _ in range(600):
        body = bytearray(WHOLE)
        for _ in range(chance.choice((1, 1, 2, 8))):
            body[chance.randrange(len(body))] = chance.randrange(256)
        with suppress(Refusal):
            taken += len(reader.read(ARROW_TYPE, bytes(body)).rows)
    assert taken
    assert len(reader.read(JSON_TYPE, b'[{"request_id": "r"}]').refused) == 1
