"""Image files of any kind, opened whatever their metadata say."""

import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import ExifTags, Image

from resnet_ops.data.claims import check_claims
from resnet_ops.data.depth import Depth
from resnet_ops.data.dicom.image import SUFFIXES, ShownBy, dicom_is_read, is_dicom, open_dicom
from resnet_ops.data.params import WindowParams
from resnet_ops.errors import DataError

__all__ = [
    "SIDEWAYS",
    "Opened",
    "is_image",
    "known_formats",
    "open_bytes",
    "open_image",
    "quiet_decoders",
    "turn_of",
]

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of what it reads; its other parsers never see a file. HEIF comes with pillow-heif (extra `heif`)."""
_HEIF_BRANDS = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc")
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_JPEG_PIXELS = {0xE0, 0xEE}  # JFIF and Adobe say which colours these are
_EXIF_CHUNK, _EXIF_MARKER = b"eXIf", 0xE1
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_PIXELS = {
    *range(254, 267),
    273,
    274,
    277,
    278,
    279,
    284,
    292,
    293,
    317,
    *range(320, 326),
    332,
    338,
    339,
    347,
}
_TIFF_PIXELS |= {*range(512, 522), 529, 530, 531, 532}  # of JPEG, and of YCbCr


@dataclass(frozen=True)
class Opened:
    """A decoded image."""

    image: Image.Image
    deep_colour: bool
    """Its file has colours of 16 bits, of which Pillow keeps the upper 8."""
    metadata_left_out: bool
    """Metadata that could not be read had to be left out."""
    several: bool
    """There are other images behind this one: frames or pages, but not a camera's preview."""
    shown_by: ShownBy | None = None
    """Of a DICOM file's grey, what said which levels are shown."""


def open_image(path: Path, window: WindowParams | None, depth: Depth = 8) -> Opened:
    """Decode a file. window, depth: of DICOM files, which come as they are shown; other files come as they are.

    Raises DataError that says why it cannot be.
    """
    if is_dicom(path):
        found = open_dicom(path, window, depth)
        return Opened(found.image, False, False, found.several, found.shown_by)
    _register_heif()
    try:
        return _forgiving(path, path.read_bytes, known_formats(), None)
    except DataError as error:
        hint = " It is HEIC: pip install 'resnet-ops[heif]'" if _is_heif(path) else ""
        raise DataError(str(error).replace(str(path), path.name) + hint) from None


def open_bytes(content: bytes, formats: tuple[str, ...], most_pixels: int) -> Opened:
    """Decode an image that is no file here, as `open_image` decodes one.

    formats: Pillow's names of those that may be read. Raises DataError that says why it cannot be, also for one of
    more than `most_pixels`, which is known before they are decoded.
    """
    try:
        return _forgiving(BytesIO(content), lambda: content, formats, most_pixels)
    except DataError as error:
        raise DataError(re.sub(r"<_io\.BytesIO[^>]*>", "what was sent", str(error))) from None


@cache
def image_suffixes() -> frozenset[str]:
    """Endings of image files, small. Files with another ending, or none, are images if they begin like one."""
    _register_heif()
    Image.init()
    known = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
    return frozenset(known.union(SUFFIXES if dicom_is_read() else ()))


def is_image(path: Path) -> bool:
    """Whether the file begins like an image that can be read."""
    if is_dicom(path):
        return dicom_is_read()
    _register_heif()
    try:
        with Image.open(path, formats=known_formats()):
            return True
    except Exception:  # noqa: BLE001 - as above
        return False


def turn_of(image: Image.Image) -> tuple[Image.Transpose | None, bool]:
    """How to turn the image so that it is upright, None for not at all; and whether its EXIF could be read."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1)), True
    except Exception:  # noqa: BLE001 - as above
        return None, False


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = {_TURNS[orientation] for orientation in (5, 6, 7, 8)}
"""Turns after which width is height."""


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Without the decoders' warnings, which name no file. For the thread that starts the others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _forgiving(
    source: Path | BytesIO, content: Callable[[], bytes], formats: tuple[str, ...], most_pixels: int | None
) -> Opened:
    """Decode an image, without its metadata where these are damaged."""
    try:
        return _decoded(source, formats, most_pixels, left_out=False)
    except Exception as error:  # noqa: BLE001 - on damaged bytes, decoders raise anything
        why = error
    if not isinstance(why, Image.DecompressionBombError):
        with suppress(Exception):  # it is `why` that counts
            whole = content()
            for keep_exif in (True, False):
                with suppress(Exception):
                    pixels = BytesIO(_without_metadata(whole, keep_exif))
                    return _decoded(pixels, formats, most_pixels, left_out=True)
    raise DataError(f"{type(why).__name__}: {why}")


def _decoded(
    source: Path | BytesIO, formats: tuple[str, ...], most_pixels: int | None, left_out: bool
) -> Opened:
    image = Image.open(source, formats=formats)
    if most_pixels is not None and image.width * image.height > most_pixels:
        image.close()
        raise Image.DecompressionBombError(
            f"{image.width}x{image.height} pixels, and at most {most_pixels} are taken"
        )
    deep = any(";16" in str(tile.args) for tile in image.tile) and not image.mode.startswith("I")
    try:
        check_claims(image, source)
        image.load()
    except BaseException:
        image.close()
        raise
    return Opened(image, deep, left_out, _holds_several(image))


def _holds_several(image: Image.Image) -> bool:
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001 - as above
        return False


def known_formats() -> tuple[str, ...]:
    """Pillow's names of what may be read here."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _register_heif() -> None:
    if "HEIF" not in Image.OPEN:
        with suppress(ImportError):
            from pillow_heif import register_heif_opener

            register_heif_opener()


def _is_heif(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(12)[4:] in _HEIF_BRANDS
    return False


def _without_metadata(content: bytes, keep_exif: bool) -> bytes:
    """Of a PNG, JPEG or TIFF, what its pixels need. Raises ValueError for another file."""
    if content.startswith(_PNG):
        return _PNG + b"".join(_png_chunks(content, keep_exif))
    if content.startswith(_JPEG):
        return _JPEG + b"".join(_jpeg_segments(content, keep_exif))
    if content[:4] in _TIFF:
        return _with_pixel_tags(content, _TIFF[content[:4]])
    raise ValueError("neither PNG, JPEG nor TIFF")


def _png_chunks(content: bytes, keep_exif: bool) -> Iterator[bytes]:
    place = len(_PNG)
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        chunk = content[place : place + 12 + length]
        place += len(chunk)
        whole = chunk[-4:] == zlib.crc32(chunk[4:-4]).to_bytes(4, "big")
        optional = kind == b"tRNS" or (kind == _EXIF_CHUNK and keep_exif)
        if kind in _PNG_PIXELS - {b"tRNS"} or (optional and whole):
            yield chunk


def _jpeg_segments(content: bytes, keep_exif: bool) -> Iterator[bytes]:
    place = len(_JPEG)
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if marker == 0xDA:  # pixels from here on
            break
        metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not metadata or marker in _JPEG_PIXELS or (marker == _EXIF_MARKER and keep_exif):
            yield content[place : place + 2 + length]
        place += 2 + length
    yield content[place:]


def _with_pixel_tags(content: bytes, order: str) -> bytes:
    """A TIFF whose first directory has only the tags that its pixels need."""
    (start,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, start)
    end = start + 2 + 12 * count
    entries = [content[place : place + 12] for place in range(start + 2, end, 12)]
    kept = [entry for entry in entries if struct.unpack_from(order + "H", entry)[0] in _TIFF_PIXELS]
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + content[end : end + 4]
    return content[:start] + directory + content[start + len(directory) :]
