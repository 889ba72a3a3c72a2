"""Images of a folder, read a batch at a time, so that a folder of any size fits into memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from resnet_ops.data.decoding import AHEAD, Facts, decode
from resnet_ops.data.opening import quiet_decoders
from resnet_ops.data.params import ReadParams
from resnet_ops.errors import DataError
from resnet_ops.messages import Progress
from resnet_ops.threads import mapped

__all__ = ["Batch", "images_in_memory", "stream_images"]

BYTES = 1 << 30
"""Of images in memory."""


@dataclass
class Batch:
    """Some images that were read one after another, and what could not be read among them."""

    paths: list[Path] = field(default_factory=list)
    pixels: list[np.ndarray] = field(default_factory=list)
    broken: dict[Path, str] = field(default_factory=dict)
    """Why each of these files cannot be read."""

    @property
    def images(self) -> np.ndarray:
        """(N, H, W, C), uint8 or uint16, of the settings' size, N at least 1."""
        return np.stack(self.pixels)


def images_in_memory(params: ReadParams, most: int) -> int:
    """How many images of these settings' size are held at once: `most`, or as many as fit into BYTES."""
    return max(1, min(most, BYTES // (params.image_size**2 * params.channels * params.depth // 8)))


def stream_images(
    paths: Sequence[Path], params: ReadParams, size: int, progress: Progress
) -> Iterator[Batch]:
    """Batches of at most `size` images, in the order of the paths; the last one may hold broken files alone.

    params: those of the training, or the model sees other pixels than it knows. Raises DataError for grey images of
    more than 8 bits where `grey_bits` is auto: how they are read would hang on which images come together.
    """
    bits = 16 if params.grey_bits == "auto" else params.grey_bits
    batch = Batch()
    with quiet_decoders():
        decoded = mapped(lambda path: decode(path, params, bits), paths, AHEAD)
        for done, (path, result) in enumerate(zip(paths, decoded, strict=True), 1):
            if isinstance(result, str):
                batch.broken[path] = result
            else:
                pixels, facts = result
                _require_known_bits(path, facts, params)
                batch.paths.append(path)
                batch.pixels.append(pixels)
            progress(done, len(paths))
            if len(batch.pixels) == size or done == len(paths):
                yield batch
                batch = Batch()


def _require_known_bits(path: Path, facts: Facts, params: ReadParams) -> None:
    if params.grey_bits == "auto" and facts.highest_grey is not None and facts.shown_by is None:
        raise DataError(
            f"{path} has grey levels of more than 8 bits, and grey_bits is auto. Set data.grey_bits to the bits "
            "that were used for the training."
        )
