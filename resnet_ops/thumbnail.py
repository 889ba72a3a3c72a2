"""A small picture that an HTML page holds itself."""

import base64
import io

import numpy as np
from PIL import Image

__all__ = ["thumbnail"]


def thumbnail(pixels: np.ndarray, side: int) -> str:
    """(H, W, C) uint8 as the address of a PNG of at most side x side: `data:image/png;base64,...`."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
