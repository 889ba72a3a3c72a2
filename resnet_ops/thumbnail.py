"""A small picture that an HTML page holds itself."""

import base64
import io

import numpy as np
from PIL import Image

from resnet_ops.data.depth import shown

__all__ = ["thumbnail"]


def thumbnail(pixels: np.ndarray, side: int) -> str:
    """(H, W, C), uint8 or uint16, as the address of a PNG of at most side x side: `data:image/png;base64,...`."""
    seen = shown(pixels)
    image = Image.fromarray(seen[..., 0] if seen.shape[2] == 1 else seen)
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
