"""One image file, or one array, at the size and with the channels that are wanted."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from resnet_ops.data.params import DataParams
from resnet_ops.data.spool import spool
from resnet_ops.threads import mapped

__all__ = ["AHEAD", "decode", "fit_arrays"]

AHEAD = 64
"""Images made ready before they are written, at most."""


def decode(path: Path, params: DataParams) -> tuple[np.ndarray, tuple[int, int]] | str:
    """The image at its size and its original (width, height), or why it cannot be read."""
    try:
        str(path).encode()  # the manifest is UTF-8
        with Image.open(path) as image:
            ImageOps.exif_transpose(image, in_place=True)  # upright, as people see it
            size = image.size
            return _fit(_as_8_bit(image), params), size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{type(error).__name__}: {error}".replace(str(path), path.name)


def fit_arrays(parts: Sequence[np.ndarray], params: DataParams, scratch: Path | None) -> np.ndarray:
    """(N, H, W, C) uint8 images of several arrays in one, brought to the size and channels of the settings."""
    shape = (params.image_size, params.image_size, params.channels)
    if all(images.shape[1:] == shape for images in parts):
        return np.concatenate(parts)

    def fit(image: np.ndarray) -> np.ndarray:
        return _fit(Image.fromarray(image[..., 0] if image.shape[2] == 1 else image), params)

    return spool(mapped(fit, chain.from_iterable(parts), AHEAD), shape, scratch)


def _fit(image: Image.Image, params: DataParams) -> np.ndarray:
    """The shorter side resized, then the centre cut out."""
    scale = params.image_size / min(image.size)
    width, height = (max(params.image_size, round(side * scale)) for side in image.size)
    pixels = image.convert("L" if params.channels == 1 else "RGB")
    scaled = pixels.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (scaled.width - params.image_size) // 2, (scaled.height - params.image_size) // 2
    crop = scaled.crop((left, top, left + params.image_size, top + params.image_size))
    return np.asarray(crop, np.uint8).reshape(params.image_size, params.image_size, params.channels)


def _as_8_bit(image: Image.Image) -> Image.Image:
    """The upper 8 bits of a 16-bit grey image, any other as it is; Pillow would cut all values off at 255."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels have no agreed range; save it with 8 or 16 bits")
    return image
