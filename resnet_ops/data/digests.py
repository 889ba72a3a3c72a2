"""The sha256 of each image's pixels."""

import hashlib
from itertools import chain

import numpy as np

from resnet_ops.threads import mapped

__all__ = ["pixel_digests"]

ROWS, AHEAD = 256, 64


def pixel_digests(images: np.ndarray) -> list[str]:
    """Of N images (N, H, W, C), 64 hexadecimal digits each; in threads, so that a disk is read at its speed."""

    def digests(start: int) -> list[str]:
        part = np.ascontiguousarray(images[start : start + ROWS])
        return [hashlib.sha256(image.data).hexdigest() for image in part]

    return list(chain.from_iterable(mapped(digests, range(0, len(images), ROWS), AHEAD)))
