"""Segments: files of records that were put by, each found whole or not at all, whatever happened to the others.

A record is a mark, its number in the file, its length, the crc32 of its content and the crc32 of these; then the
content. A reader that meets damage goes on at the next record that is whole; numbers that are missing say how many are
lost.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Found", "Segment", "read_segment"]

_MARK = b"\xf5\xc1\n\xfe"
"""No text that is UTF-8 holds it."""
_FIELDS = struct.Struct("<4sIII")
_CHECK = struct.Struct("<I")
_HEAD = struct.Struct("<4sIIII")
_READ_AGAIN = 4
"""How often as many bytes as the segment has are looked at for records; then those whose content is damaged are skipped
whole."""


@dataclass(frozen=True)
class Found:
    """The records of a segment that are whole, each with its number. damaged: how many others there must have been."""

    records: tuple[tuple[int, bytes], ...]
    damaged: int


class Segment:
    """A segment that is being written. Whoever writes one is the only one: its folder is locked."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be made."""
        self.path, self.size, self._records = path, 0, 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _sync_folder(path.parent)
        except OSError:
            os.close(self._file)
            raise

    def add(self, contents: Sequence[bytes]) -> None:
        """Put records by: they are on the disk when this returns. Raises OSError; then none of them is in the file."""
        block = memoryview(b"".join(_framed(contents, self._records)))
        try:
            written = 0
            while written < len(block):
                written += os.write(self._file, block[written:])
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            raise
        self.size += len(block)
        self._records += len(contents)

    def close(self) -> None:
        """No more records. Also in a forked process, whose parent goes on."""
        os.close(self._file)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def read_segment(path: Path) -> Found:
    """What is in a segment. Raises OSError where the file cannot be read."""
    content = path.read_bytes()
    records: list[tuple[int, bytes]] = []
    place, damaged, expected, whole = 0, 0, 0, True
    # heads that are made to lie in each other's records would have the same bytes looked at again for each
    patience = _READ_AGAIN * len(content)
    while place < len(content):
        head = _head_at(content, place)
        begin = place + _HEAD.size
        number, length, check = head or (0, 0, 0)
        end = begin + length
        if head and end <= len(content):
            record, patience = content[begin:end], patience - length
            if zlib.crc32(record) == check:
                damaged += max(number - expected, 0)
                records.append((number, record))
                expected, place, whole = number + 1, end, True
                continue
        following = content.find(_MARK, place + 1 if patience >= 0 else max(end, place + 1))
        place, whole = (len(content) if following < 0 else following), False
    return Found(tuple(records), damaged + (not whole))  # of a torn end, only that it was there is known


def _framed(contents: Iterable[bytes], first: int) -> Iterable[bytes]:
    for number, content in enumerate(contents, first):
        fields = _FIELDS.pack(_MARK, number, len(content), zlib.crc32(content))
        yield fields + _CHECK.pack(zlib.crc32(fields))
        yield content


def _head_at(content: bytes, place: int) -> tuple[int, int, int] | None:
    """A record's number, its length and the crc32 of its content, where a whole head begins."""
    if len(content) < place + _HEAD.size:
        return None
    mark, number, length, check, own = _HEAD.unpack_from(content, place)
    if mark != _MARK or zlib.crc32(content[place : place + _FIELDS.size]) != own:
        return None
    return number, length, check
