"""What a DICOM header says of pixels. No other tag is looked at, and no value is quoted: each may hold a name."""

import logging
import math
from dataclasses import dataclass
from functools import cache
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_ops.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["DicomFile", "Header", "read_header"]

MOST_READ = 1 << 20
"""Bytes that are read of a header, at most: of each 8, pydicom may make an item of a kilobyte in 0.1 ms."""
_KEYWORDS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
)
_MODALITY_TABLE, _WINDOW_TABLE = "ModalityLUTSequence", "VOILUTSequence"
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


class DicomFile(BufferedReader):
    """A file, of whose header no more than MOST_READ bytes are read, and which is never read to its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path))
        self.refused: str | None = None
        """Why it was not read on."""
        self._left = MOST_READ

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes. Raises DataError for all of the rest, and where a header is too long."""
        if size is None or size < 0:  # pydicom does so to inflate it, to any length
            self.refused = "it is compressed as a whole (deflated), which is not read"
        elif size > self._left and (size := min(size, self.rest())) > self._left:
            self.refused = f"its header has more than {MOST_READ >> 20} MB"
        if self.refused:
            raise DataError(self.refused)
        self._left -= size or 0
        return super().read(size)

    def rest(self) -> int:
        """Bytes from here to the end."""
        here = self.tell()
        end = self.seek(0, 2)
        self.seek(here)
        return end - here

    def pixels(self, size: int) -> bytes:
        """The next `size` bytes. Raises DataError where there are fewer."""
        if size > self.rest():
            raise DataError("its pixels are cut off")
        return super().read(size)


@dataclass(frozen=True)
class Header:
    """How the pixels that follow are kept and meant."""

    rows: int
    columns: int
    samples: int
    """Of a pixel: 1, or 3 for colour."""
    photometric: str
    planar: bool
    """Colours lie one after the other."""
    bytes_each: int
    """Of a sample: 1 or 2."""
    bits: int
    """Of a sample that are used, the lowest ones: 8 to 16."""
    signed: bool
    slope: float
    intercept: float
    window: tuple[float, float] | None
    """The first centre and width, in rescaled values."""
    linear: bool
    """It is meant linearly, or there is none and no table in its place."""
    several: bool
    """Frames follow the first one."""
    run_lengths: bool
    """Pixels are kept as run lengths (RLE lossless), else plainly."""


def read_header(file: DicomFile) -> Header:
    """The header up to the pixels, where `file` then stands.

    Raises DataError that says why pixels cannot be read; other errors are pydicom's own, and may quote anything.
    """
    _silence()
    from pydicom import dcmread

    found = dcmread(
        file, stop_before_pixels=True, specific_tags=[*_KEYWORDS, _MODALITY_TABLE, _WINDOW_TABLE, *_GROUPS]
    )
    run_lengths = _has_run_lengths(found)
    photometric, samples, bytes_each, bits = _kind(found)
    window = _window(found)
    linear = found.get("VOILUTFunction") in (None, "", "LINEAR")
    return Header(
        rows=_whole(found, "Rows", 1),
        columns=_whole(found, "Columns", 1),
        samples=samples,
        photometric=photometric,
        planar=samples > 1 and _whole(found, "PlanarConfiguration") == 1,
        bytes_each=bytes_each,
        bits=bits,
        signed=_whole(found, "PixelRepresentation") == 1,
        slope=_slope(found),
        intercept=_number(found, "RescaleIntercept", 0.0),
        window=window,
        linear=linear and (window is not None or _WINDOW_TABLE not in found),
        several="NumberOfFrames" in found and _number(found, "NumberOfFrames", 1.0) > 1,
        run_lengths=run_lengths,
    )


@cache
def _silence() -> None:
    """pydicom's log quotes values."""
    for name in ("pydicom", "pydicom.pixels.utils"):
        logging.getLogger(name).addFilter(lambda record: False)


def _has_run_lengths(found: "Dataset") -> bool:
    """Raises DataError for other ways of keeping pixels than plain ones and run lengths."""
    from pydicom.uid import AllTransferSyntaxes, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

    syntax = found.file_meta.get("TransferSyntaxUID")
    if syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless):
        return bool(syntax == RLELossless)
    known = next((each.name for each in AllTransferSyntaxes if each == syntax), "unknown or missing")
    raise DataError(
        f"its transfer syntax is {known}; read are pixels without compression (little endian) and RLE lossless: "
        "convert it"
    )


def _kind(found: "Dataset") -> tuple[str, int, int, int]:
    """Photometric interpretation, samples of a pixel, and bytes and bits of a sample. Raises DataError for others."""
    if "Rows" not in found:
        raise DataError("it holds no picture")
    if any(tag in found for tag in _GROUPS):
        raise DataError("it is an enhanced DICOM of functional groups, which are not read: convert it")
    photometric = str(found.get("PhotometricInterpretation", "")).strip()
    samples, allocated = _whole(found, "SamplesPerPixel"), _whole(found, "BitsAllocated")
    bits = _whole(found, "BitsStored")
    if (photometric, samples) not in (("MONOCHROME1", 1), ("MONOCHROME2", 1), ("RGB", 3), ("YBR_FULL", 3)):
        raise DataError("its pixels are none of MONOCHROME1, MONOCHROME2, RGB and YBR_FULL: convert it")
    if allocated not in (8, 16) or not 8 <= bits <= allocated or (samples == 3 and allocated != 8):
        raise DataError("it has neither grey of 8 to 16 bits (kept in 8 or 16) nor colours of 8: convert it")
    if "HighBit" in found and _whole(found, "HighBit") != bits - 1:
        raise DataError("its pixels do not lie in the lowest bits (HighBit)")
    return photometric, samples, allocated // 8, bits


def _slope(found: "Dataset") -> float:
    if _MODALITY_TABLE in found:
        raise DataError("its values go through a table (modality LUT), which is not read: convert it")
    slope = _number(found, "RescaleSlope", 1.0)
    if slope == 0:
        raise DataError("its tag RescaleSlope is zero")
    return slope


def _window(found: "Dataset") -> tuple[float, float] | None:
    if "WindowCenter" not in found or "WindowWidth" not in found:
        return None
    center, width = _number(found, "WindowCenter", math.nan), _number(found, "WindowWidth", math.nan)
    return None if math.isnan(center) or math.isnan(width) else (center, width)


def _whole(found: "Dataset", keyword: str, least: int = 0) -> int:
    value = found.get(keyword)
    if not isinstance(value, int) or value < least:
        raise DataError(f"its tag {keyword} is missing or wrong")
    return value


def _number(found: "Dataset", keyword: str, empty: float) -> float:
    """The first of its values; `empty` where it has none. Raises DataError where that is no finite number."""
    try:
        value = found.get(keyword)
        first = value if isinstance(value, int | float) or not value else value[0]
        number = empty if first in (None, "") else float(first)
    except Exception:  # noqa: BLE001 - on damaged bytes pydicom raises anything, and quotes it
        number = math.inf
    if math.isinf(number) or (math.isnan(number) and not math.isnan(empty)):
        raise DataError(f"its tag {keyword} is not a number")
    return number
