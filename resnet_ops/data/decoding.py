"""One image file, or one array, at the size and with the channels that are wanted."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from resnet_ops.data.params import DataParams

__all__ = ["decode", "fit_arrays"]


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


def fit_arrays(images: np.ndarray, params: DataParams) -> np.ndarray:
    """(N, H, W, C) uint8 images, brought to the size and channels of the settings; as they are where they fit."""
    if images.shape[1:] == (params.image_size, params.image_size, params.channels):
        return images
    squeezed = images[..., 0] if images.shape[3] == 1 else images
    return np.stack([_fit(Image.fromarray(image), params) for image in squeezed])


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
