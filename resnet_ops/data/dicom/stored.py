"""The stored values of a DICOM file's first frame, out of what follows its header. In time and memory of the frame."""

import struct

import numpy as np
from PIL import Image

from resnet_ops.data.dicom.header import DicomFile, Header
from resnet_ops.errors import DataError

__all__ = ["read_stored"]

_PIXELS, _ITEM = (0x7FE0, 0x0010), (0xFFFE, 0xE000)
_UNDEFINED = 0xFFFF_FFFF
_OFFSETS = 64
"""Bytes before the first segment of run lengths."""


def read_stored(file: DicomFile, header: Header) -> np.ndarray:
    """(rows, columns, samples), uint8 or uint16: the first frame's samples, with bits above the stored ones.

    `file` stands where `read_header` left it. Raises DataError.
    """
    most = Image.MAX_IMAGE_PIXELS
    if most and header.rows * header.columns > 2 * most:  # as Pillow has it for other files
        raise DataError(f"its picture has more than {2 * most:,} pixels, as a decompression bomb does")
    length = _length_of_pixels(file)
    if header.run_lengths:
        planes = _unpacked_planes(_first_fragment(file, length), header)
    else:
        wanted = header.rows * header.columns * header.samples * header.bytes_each
        if length < wanted:
            raise DataError("its pixels are cut off")
        planes = np.frombuffer(file.pixels(wanted), f"<u{header.bytes_each}")
    if header.samples == 1 or header.planar or header.run_lengths:
        return planes.reshape(header.samples, header.rows, header.columns).transpose(1, 2, 0)
    return planes.reshape(header.rows, header.columns, header.samples)


def _length_of_pixels(file: DicomFile) -> int:
    """Bytes of the pixels' element, after whose length `file` then stands."""
    start = file.pixels(8) if file.rest() >= 8 else b""
    if not start or struct.unpack_from("<HH", start) != _PIXELS:
        raise DataError("it holds no picture")
    if start[4:6] in (b"OB", b"OW"):  # explicit; as the length of an implicit one these would be odd
        return int(struct.unpack("<I", file.pixels(4))[0])
    return int(struct.unpack_from("<I", start, 4)[0])


def _first_fragment(file: DicomFile, length: int) -> bytes:
    """The first frame's run lengths: each frame is one fragment, after a table of offsets (PS3.5 A.4)."""
    if length != _UNDEFINED:
        raise DataError("its pixels are not in fragments, as RLE lossless has them")
    content = b""
    for _ in range(2):
        group, element, size = struct.unpack("<HHI", file.pixels(8))
        if (group, element) != _ITEM:
            raise DataError("its fragments are damaged")
        content = file.pixels(size)
    return content


def _unpacked_planes(packed: bytes, header: Header) -> np.ndarray:
    """One sample after the other, each (rows x columns,): segments are bytes of a sample, high ones first (PS3.5 G)."""
    segments, wanted = header.samples * header.bytes_each, header.rows * header.columns
    if len(packed) < _OFFSETS or struct.unpack_from("<I", packed)[0] != segments:
        raise DataError("its run lengths are damaged")
    starts = [*struct.unpack_from(f"<{segments}I", packed, 4), len(packed)]
    found = np.empty((header.samples, wanted, header.bytes_each), np.uint8)
    for number in range(segments):
        sample, place = divmod(number, header.bytes_each)
        segment = _unpacked(packed[starts[number] : starts[number + 1]], wanted)
        found[sample, :, header.bytes_each - 1 - place] = np.frombuffer(segment, np.uint8)
    return found.reshape(header.samples, -1).view(f"<u{header.bytes_each}")


def _unpacked(packed: bytes, wanted: int) -> bytes:
    """`wanted` bytes of run lengths (PS3.5 G.3.2). Raises DataError where they hold fewer; what is over is padding."""
    content, place = bytearray(), 0
    while len(content) < wanted and place < len(packed):
        code = packed[place]
        if code < 128:
            content += packed[place + 1 : place + 2 + code]
            place += 2 + code
        elif code == 128:
            place += 1
        else:
            content += packed[place + 1 : place + 2] * (257 - code)
            place += 2
    if len(content) < wanted:
        raise DataError("its run lengths are cut off")
    return bytes(content[:wanted])
