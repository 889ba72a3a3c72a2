"""Boxes in colours over their image."""

import numpy as np
from PIL import Image, ImageDraw

from resnet_ops.data.depth import shown

__all__ = ["colour", "drawn"]

COLOURS = ("#e63c32", "#2878dc", "#28aa5a", "#d08a00", "#9650be", "#1ea0a0", "#d8509a", "#82642a", "#5a6472")
"""Of the classes in their order; more classes begin again."""


def colour(kind: int) -> str:
    """Of a class, from 1, as in HTML."""
    return COLOURS[(kind - 1) % len(COLOURS)]


def drawn(image: np.ndarray, rows: np.ndarray) -> Image.Image:
    """An image (H, W, C) with the outlines of boxes, (D, 6) rows as a detector answers."""
    pixels = np.broadcast_to(shown(image), (*image.shape[:2], 3))
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    pen = ImageDraw.Draw(picture)
    for *corners, _, kind in rows.tolist():
        pen.rectangle(corners, outline=colour(int(kind)))
    return picture
