"""Segments on a real disk: what is whole is found, whatever happened to the rest."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_ops_monitoring.inference_log.client.segments import Segment, read_segment

CONTENTS = [b"one", b"", b"\xf5\xc1\n\xfe" * 3, bytes(range(256)), b"the last"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = Segment(tmp_path / "a.segment")
    made.add(CONTENTS[:2])
    made.add(CONTENTS[2:])
    made.close()
    return made.path


def changed(path: Path) -> Iterator[tuple[str, bytes]]:
    whole = path.read_bytes()
    for place in range(len(whole)):
        yield f"byte {place} flipped", whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        yield f"a bit of byte {place}", whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        yield f"byte {place} lost", whole[:place] + whole[place + 1 :]


def test_what_was_put_by_is_read_back(path: Path) -> None:
    found = read_segment(path)
    assert [content for _, content in found.records] == CONTENTS
    assert found.damaged == 0


def test_of_a_segment_with_a_wrong_byte_all_other_records_are_found_and_one_is_counted(path: Path) -> None:
    copy = path.with_name("b.segment")
    for what, content in changed(path):
        copy.write_bytes(content)
        found = read_segment(copy)
        assert found.damaged == 1, what
        assert len(found.records) == len(CONTENTS) - 1, what
        assert all(record == CONTENTS[number] for number, record in found.records), what


def test_of_a_segment_that_is_cut_off_anywhere_all_before_the_cut_are_found(path: Path) -> None:
    whole, copy = path.read_bytes(), path.with_name("b.segment")
    ends = [0]
    for content in CONTENTS:
        ends.append(ends[-1] + 20 + len(content))
    assert ends[-1] == len(whole)
    for length in range(len(whole)):
        copy.write_bytes(whole[:length])
        found, before = read_segment(copy), sum(end <= length for end in ends[1:])
        assert [content for _, content in found.records] == CONTENTS[:before]
        assert found.damaged == (length not in ends)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(content: bytes) -> None:
    file = os.memfd_create("segment")
    try:
        os.write(file, content)
        found = read_segment(Path(f"/proc/self/fd/{file}"))
    finally:
        os.close(file)
    assert found.records == ()
    assert found.damaged == bool(content)


def test_several_records_that_are_gone_are_each_counted(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[20 + 3 : 20 + 3 + 20 + 20 + 12] = b"x" * 52
    path.write_bytes(bytes(whole))
    found = read_segment(path)
    assert [number for number, _ in found.records] == [0, 3, 4]
    assert found.damaged == 2


def test_a_write_that_fails_half_way_leaves_the_records_before_it_and_the_next_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = Segment(tmp_path / "a.segment")
    segment.add([b"before"])
    write = os.write

    def full(file: int, content: bytes) -> int:
        if len(content) > 40:
            return write(file, content[:40])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            segment.add([b"x" * 100])
    segment.add([b"after"])
    segment.close()
    found = read_segment(segment.path)
    assert [content for _, content in found.records] == [b"before", b"after"]
    assert found.damaged == 0
