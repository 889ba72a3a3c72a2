"""A folder of segments into which somebody else puts what they like."""

import json
import os
import struct
import zlib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.client import segments
from resnet_ops_monitoring.inference_log.client.segments import Segment, read_segment
from resnet_ops_monitoring.inference_log.client.spool import Spool, spool_folder
from resnet_ops_monitoring.inference_log.columns import Row
from resnet_ops_monitoring.inference_log.gaps import Gap
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.rows import (
    NUMBERS,
    TEXTS,
    decode,
    encode_gap,
    encode_row,
    encode_texts,
)
from tests.unit.monitoring.inference_log.writing import logged, record, writer_of

NAME = "00000000000000001-abcdef01.segment"


def left_behind(folder: Path, *contents: bytes) -> Path:
    """A dead process's folder with a segment."""
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    made = Segment(folder / NAME)
    made.add(contents or [b"a record"])
    made.close()
    return folder


def adopted(root: Path) -> list[Path]:
    spool = Spool(root, 2**20, 2**20)
    try:
        return spool.adopt()
    finally:
        spool.close()


def test_what_a_dead_process_left_is_taken_over(tmp_path: Path) -> None:
    left_behind(tmp_path / "spool" / "1-a")
    assert len(adopted(tmp_path / "spool")) == 1


def test_links_and_pipes_are_not_taken_for_segments(tmp_path: Path) -> None:
    """A link leads to any file, and a pipe is read for ever."""
    elsewhere = left_behind(tmp_path / "elsewhere")
    root = tmp_path / "spool"
    for name, folder in (("1-a", root / "1-a"), ("2-b", root / "2-b")):
        folder.mkdir(parents=True)
        (folder / "lock").touch()
        assert folder.name == name
    (root / "1-a" / NAME).symlink_to(elsewhere / NAME)
    os.mkfifo(root / "2-b" / NAME)
    (root / "3-c").symlink_to(elsewhere)
    assert adopted(root) == []
    assert Spool(root, 2**20, 2**20).used() == 0
    assert (elsewhere / NAME).exists()


def test_another_users_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = left_behind(tmp_path / "spool" / "1-a")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert adopted(tmp_path / "spool") == []
    assert (folder / NAME).exists()


def nested(count: int) -> bytes:
    """Heads that are all right, each of a record that reaches to the end, and none of whose content is."""
    heads = []
    for number in range(count):
        fields = struct.pack("<4sIII", b"\xf5\xc1\n\xfe", number, 20 * (count - number - 1), 1)
        heads.append(fields + struct.pack("<I", zlib.crc32(fields)))
    return b"".join(heads)


def test_heads_within_heads_are_read_in_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = [0]

    class Counting:
        @staticmethod
        def crc32(content: bytes) -> int:
            looked[0] += len(content)
            return zlib.crc32(content)

    monkeypatch.setattr(segments, "zlib", Counting)
    work = []
    for count in (500, 5000):
        looked[0] = 0
        (path := tmp_path / f"{count}.segment").write_bytes(nested(count))
        assert read_segment(path).records == ()
        work.append(looked[0])
    assert work[1] < 15 * work[0]


TOLD: list[Any] = ["made-up", "1", "d" * 64, "r-1", None, "7", None, "champion", "ok", None]
GAP = Gap(ModelIdentity("m", "1", "d"), None, datetime.now(UTC), datetime.now(UTC), "why", lost=1)


def row(**changes: Any) -> bytes:
    texts = [changes.get(name, text) for name, text in zip(TEXTS, TOLD, strict=True)]
    return encode_row(1, encode_texts(texts), [0.5] * len(NUMBERS), b"\0" * 4, b"\0" * 16)


def gap(**changes: Any) -> bytes:
    content = json.loads(encode_gap(GAP)[1:])
    return b"g" + json.dumps(content | changes).encode()


@pytest.mark.parametrize(
    "content",
    [
        row(model={"a": 1}),
        row(source=[1]),
        row(request_id=None),
        row(predicted="\ud800"),
        row(label=7),
        row(group=7),
        encode_row(1, b"[]", [0.5] * len(NUMBERS), b"", b""),
        row(route="shade"),
        row(status="perhaps"),
        row(predicted=None),
        gap(reason={"a": 1}),
        gap(lost="1"),
        gap(late=-1),
        gap(lost=True),
        gap(source="\udfff"),
        gap(identity={"name": [], "version": "1", "digest": "d"}),
        b"g" + b"[" * 100_000,
    ],
    ids=range(17),
)
def test_a_record_that_no_table_can_hold_is_a_data_error(content: bytes) -> None:
    with pytest.raises(DataError):
        decode(content)


def test_what_was_recorded_decodes() -> None:
    assert isinstance(decode(row()), Row)
    gap = decode(encode_gap(GAP))
    assert isinstance(gap, Gap)
    assert asdict(gap) == asdict(GAP)


def test_a_forged_segment_stops_no_row(tmp_path: Path) -> None:
    with writer_of(tmp_path) as writer:
        record(writer, 1)
    root = spool_folder(tmp_path / "spool", make_url(f"sqlite:///{tmp_path}/log.db"))
    left_behind(root / "1-a", row(model={"a": 1}), gap(reason={"a": 1}), row(source=[1]))
    with writer_of(tmp_path) as writer:
        record(writer, 3, "later")
    assert len(logged(tmp_path)) == 4
