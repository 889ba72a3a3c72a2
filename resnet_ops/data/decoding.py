"""One image file, or one array, at the size and with the channels that are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from resnet_ops.data.depth import white_of
from resnet_ops.data.dicom.image import ShownBy
from resnet_ops.data.opening import SIDEWAYS, Opened, open_bytes, open_image, turn_of
from resnet_ops.data.params import DataParams, FitParams
from resnet_ops.data.pixels import Look, fitted
from resnet_ops.data.spool import spool
from resnet_ops.errors import DataError
from resnet_ops.threads import mapped

__all__ = ["AHEAD", "Facts", "decode", "decode_bytes", "fit_arrays"]

AHEAD = 64
"""Images made ready before they are written, at most."""
FEW_LEVELS = 64
"""Colours of 16 bits come out with 8; where the brightest is below this, most of what the file holds is lost."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a person should know of an image file."""

    size: tuple[int, int]
    """Width and height of the original, upright."""
    highest_grey: int | None
    """The largest value among its 16-bit grey pixels; None where it has none."""
    metadata_damaged: bool
    """Some of its metadata could not be read, and was left out."""
    several: bool
    """The file holds several images, of which this is the first."""
    transparent: bool
    """The background shows through."""
    deep_colour: bool
    """Its colours have 16 bits."""
    dark_colour: bool
    """They use few of their levels."""
    shown_by: ShownBy | None
    """Of grey with more than 8 bits, what says which levels are shown; None for other images, and for `grey_bits`."""


def decode(path: Path, params: FitParams, grey_bits: int) -> tuple[np.ndarray, Facts] | str:
    """The image as a viewer shows it, or why it cannot be read. grey_bits: used of 16-bit grey pixels."""
    try:
        str(path).encode()  # the manifest is UTF-8
        opened = open_image(path, params.window, params.depth)
    except (OSError, UnicodeEncodeError) as error:
        return f"{type(error).__name__}: {error}".replace(str(path), path.name)
    except DataError as error:
        return str(error)
    return _fit(opened, params, grey_bits)


def decode_bytes(
    content: bytes, formats: tuple[str, ...], most_pixels: int, params: FitParams, grey_bits: int
) -> tuple[np.ndarray, Facts] | str:
    """What `decode` makes of a file with this content, which must be in one of Pillow's `formats`."""
    try:
        opened = open_bytes(content, formats, most_pixels)
    except DataError as error:
        return str(error)
    return _fit(opened, params, grey_bits)


def _fit(opened: Opened, params: FitParams, grey_bits: int) -> tuple[np.ndarray, Facts] | str:
    with opened.image as image:
        try:
            mode: Literal["L", "RGB"] = "L" if params.channels == 1 else "RGB"
            look = Look.at(image, mode, params.background, grey_bits, params.window, params.depth)
            turn, exif_read = turn_of(image)
            pixels = fitted(image, look, params.image_size, params.fit, turn)
        except (OSError, SyntaxError, ValueError, MemoryError) as error:
            return f"{type(error).__name__}: {error}"
        return pixels, Facts(
            size=image.size[::-1] if turn in SIDEWAYS else image.size,
            highest_grey=look.highest_grey,
            metadata_damaged=opened.metadata_left_out or not exif_read or look.damaged_profile,
            several=opened.several,
            transparent=look.transparent,
            deep_colour=opened.deep_colour,
            dark_colour=opened.deep_colour and int(pixels.max()) * 255 < FEW_LEVELS * white_of(params.depth),
            shown_by="setting" if params.window and look.highest_grey is not None else opened.shown_by,
        )


def fit_arrays(parts: Sequence[np.ndarray], params: DataParams, scratch: Path | None) -> np.ndarray:
    """(N, H, W, C) uint8 images of several arrays in one, brought to the size and channels of the settings."""
    shape = (params.image_size, params.image_size, params.channels)
    if all(images.shape[1:] == shape for images in parts):
        return np.concatenate(parts)

    def fit(pixels: np.ndarray) -> np.ndarray:
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        look = Look("L" if params.channels == 1 else "RGB", params.background, grey_bits=16)
        return fitted(image, look, params.image_size, params.fit, None)

    return spool(mapped(fit, chain.from_iterable(parts), AHEAD), shape, scratch)
