"""A mask in colours, alone or over its image."""

import numpy as np

from resnet_ops.data.depth import shown
from resnet_ops.tasks.task import IGNORED

__all__ = ["COLOURS", "drawn"]

COLOURS = np.array(
    [
        *([0, 0, 0], [230, 60, 50], [40, 120, 220], [40, 170, 90], [240, 180, 30], [150, 80, 190]),
        *([30, 190, 190], [240, 120, 180], [130, 100, 50], [120, 130, 140]),
    ]
)
"""Of the classes in their order, the background first; more classes begin again after it."""
STRENGTH = 0.55
GREY = 128


def drawn(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: an image (H, W, C) under the colours of a mask (H, W); background plain, IGNORED grey."""
    pixels = np.broadcast_to(shown(image), (*image.shape[:2], 3)).astype(float)
    number = np.where(mask == 0, 0, 1 + (mask.astype(int) - 1) % (len(COLOURS) - 1))
    colours = np.where((mask == IGNORED)[..., None], GREY, COLOURS[number])
    strength = np.where(mask == 0, 0.0, STRENGTH)[..., None]
    return np.asarray((pixels * (1 - strength) + colours * strength).round(), np.uint8)
