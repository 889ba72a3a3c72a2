"""A DICOM file as an image of 8 bits, or grey of 16."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from resnet_ops.data.depth import Depth, white_of
from resnet_ops.data.dicom.header import DicomFile, Header, read_header
from resnet_ops.data.dicom.stored import read_stored
from resnet_ops.data.params import WindowParams
from resnet_ops.data.window import all_of, through
from resnet_ops.errors import DataError
from resnet_ops.extras import installation

__all__ = ["SUFFIXES", "DicomImage", "ShownBy", "dicom_is_read", "is_dicom", "open_dicom"]

SUFFIXES = (".dcm", ".dicom")
ShownBy = Literal["setting", "file", "bits"]
"""What says which grey levels are shown: `data.window`, the file's own window, or all of its bits."""


@dataclass(frozen=True)
class DicomImage:
    """The first frame."""

    image: Image.Image
    """Of mode L, RGB or YCbCr; grey at a depth of 16 of mode F, with values of 0 to 65535."""
    several: bool
    """There are more frames."""
    shown_by: ShownBy | None
    """None for colours."""


def dicom_is_read() -> bool:
    """Whether the extra `dicom` is installed."""
    return find_spec("pydicom") is not None


def is_dicom(path: Path) -> bool:
    """Whether the file begins as PS3.10 section 7.1 says: 128 bytes of anything, then DICM."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def open_dicom(path: Path, window: WindowParams | None, depth: Depth = 8) -> DicomImage:
    """The first frame, through `window`, else through the first window of the file, else by all of its bits.

    Raises DataError that says why it cannot be read, and quotes nothing of the file. Threads that read together do so
    within `quiet_decoders`: pydicom's warnings quote values.
    """
    if not dicom_is_read():
        raise DataError(installation("a DICOM file", ["pydicom"]))
    file: DicomFile | None = None
    try:
        with DicomFile(path) as file:
            return _opened(file, window, depth)
    except DataError as error:
        why = str(error)
    except Exception as error:  # noqa: BLE001 - on damaged bytes pydicom raises anything, and quotes it
        why = f"it is damaged ({type(error).__name__})"
    raise DataError("DICOM: " + ((file.refused if file else None) or why))


def _opened(file: DicomFile, window: WindowParams | None, depth: Depth) -> DicomImage:
    header = read_header(file)
    if header.samples == 3:
        bands = [Image.fromarray(np.ascontiguousarray(band)) for band in _bands(read_stored(file, header))]
        return DicomImage(
            Image.merge("RGB" if header.photometric == "RGB" else "YCbCr", bands), header.several, None
        )
    chosen, shown_by = _window(header, window)
    stored = read_stored(file, header)[..., 0]
    shown = _shown(header, chosen, depth)[stored & ((1 << header.bits) - 1)]
    grey = shown.astype(np.float32) if depth == 16 else shown
    return DicomImage(Image.fromarray(grey), header.several, shown_by)


def _bands(pixels: np.ndarray) -> list[np.ndarray]:
    return [pixels[..., band] for band in range(3)]


def _rescaled(header: Header) -> np.ndarray:
    """What each stored value stands for, (2 ** bits,) float64, by the bits that it is kept in (PS3.3 C.11.1.1.2)."""
    values = np.arange(1 << header.bits)
    if header.signed:
        values[1 << header.bits - 1 :] -= 1 << header.bits
    with np.errstate(over="ignore"):
        rescaled = values * header.slope + header.intercept
    if not np.isfinite(rescaled).all():
        raise DataError("its rescaled values are not numbers")
    return rescaled


def _window(header: Header, window: WindowParams | None) -> tuple[WindowParams, ShownBy]:
    if window is not None:
        return window, "setting"
    if not header.linear:
        raise DataError("its own window is not linear: set data.window in params.yaml")
    if header.window is None:
        values = _rescaled(header)
        return all_of(float(values.min()), float(values.max())), "bits"
    center, width = header.window
    if width < 1:
        raise DataError("its own window is narrower than 1: set data.window in params.yaml")
    return WindowParams(center=center, width=width), "file"


def _shown(header: Header, window: WindowParams, depth: Depth) -> np.ndarray:
    """The grey of each stored value, (2 ** bits,); MONOCHROME1 shows low values bright (PS3.3 C.7.6.3.1.2)."""
    shown = through(window, _rescaled(header), depth)
    return white_of(depth) - shown if header.photometric == "MONOCHROME1" else shown
