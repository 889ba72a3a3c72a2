"""What image files may claim: decoders take memory and time for it before they find out."""

import re
from io import BytesIO
from pathlib import Path

from PIL import Image

__all__ = ["check_claims"]

_JPEG = ("JPEG", "MPO")
_COSTLY = (*_JPEG, "WEBP")
"""Their decoders take memory for all that the header claims before they look for it: coefficients, canvases."""
CLAIM_FREELY, PIXELS_A_BYTE = 1 << 21, 1024
"""So many pixels may be claimed by any file; more only by one with a byte for so many. No JPEG (a bit for each block of
64) and no lossy WebP (3 bits for each of 256) holds more, a lossless WebP of one colour can."""
MOST_SCANS = 100
"""Of a JPEG. Encoders make 10 to 20; each takes 12 bytes at least, and a pass over all that the header claims."""
_SCAN, _END = b"\xff\xda", 0xD9
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)
"""Not what stands for a byte of 255 among pixels, nor a restart there (ITU-T T.81, B.1.1.2 and B.1.1.5)."""


def check_claims(image: Image.Image, source: Path | BytesIO) -> None:
    """Raises DecompressionBombError for more pixels than the file's bytes can hold, and for too many scans."""
    if image.format not in _COSTLY:
        return
    size = source.getbuffer().nbytes if isinstance(source, BytesIO) else source.stat().st_size
    if image.width * image.height > max(CLAIM_FREELY, PIXELS_A_BYTE * size):
        claimed = f"{image.width:,} x {image.height:,} pixels"
        raise Image.DecompressionBombError(
            f"its header claims {claimed}, and its {size:,} bytes cannot hold so many"
        )
    if image.format in _JPEG:
        content = source.getvalue() if isinstance(source, BytesIO) else source.read_bytes()
        if content.count(_SCAN) > MOST_SCANS and _has_too_many_scans(content):
            raise Image.DecompressionBombError(f"it has more than {MOST_SCANS} scans")


def _has_too_many_scans(jpeg: bytes) -> bool:
    """Whether there are, up to the end of the first image: what lies in a segment or behind counts for nothing."""
    place, scans = 2, 0
    while scans <= MOST_SCANS and (marker := _MARKER.search(jpeg, place)):
        kind, place = marker[0][1], marker.end()
        if kind == _END:
            return False
        scans += kind == _SCAN[1]
        if kind >= 0xC0:  # the others stand alone
            place += int.from_bytes(jpeg[place : place + 2], "big")
    return scans > MOST_SCANS
