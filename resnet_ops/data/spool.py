"""Images on their way: on disk, because there may be more of them than memory holds."""

import math
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from resnet_ops.data.depth import Depth, dtype_of
from resnet_ops.errors import StorageError

__all__ = ["spool"]


def spool(
    images: Iterable[np.ndarray], shape: tuple[int, ...], folder: Path | None, depth: Depth = 8
) -> np.ndarray:
    """(N, *shape) of this depth, read-only: the images one after the other in a file of `folder` that has no name.

    The file goes with the array, or with the process, however that ends. folder: that of temporary files where it is
    None. Raises StorageError when the disk is full or forbidden.
    """
    count = 0
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for image in images:
                file.write(image.data)
                count += 1
            file.flush()
            return np.memmap(file, dtype_of(depth), "r", shape=(count, *shape))
    except OSError as error:
        written = count * math.prod(shape) * depth // 8
        raise StorageError(
            f"Cannot keep images in {folder or tempfile.gettempdir()}: {error.strerror or error}, after {written:,} "
            "bytes. Free some space or make the folder writable, then run the same command again."
        ) from error
