"""Images as they were read, before they are split."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from resnet_ops.tasks.task import CLASSIFICATION, Task

__all__ = ["RawData"]


@dataclass(frozen=True)
class RawData:
    """N images (N, H, W, C), uint8 or uint16, with labels (N,), stable names, original sizes and the class names."""

    images: np.ndarray
    labels: np.ndarray
    paths: list[str]
    sizes: list[tuple[int, int]]
    classes: tuple[str, ...]
    allowed: list[tuple[str, ...]] | None = None
    """The splits that each image may go to, where the data set says so; None where all may go anywhere."""
    notes: tuple[str, ...] = ()
    """What was passed over or is odd, one line for each kind."""
    digests: list[str] | None = None
    """The sha256 of each image's pixels, where they are known."""
    left_out: frozenset[str] = frozenset()
    """Digests of images that go to no split."""
    extra: Mapping[str, list[str]] = field(default_factory=dict)
    """More columns of the manifest, by name."""
    grey_bits: int | None = None
    """As which grey levels of more than 8 bits were read; None where no image has any."""
    targets: np.ndarray | None = None
    """(N, ...) what the task asks of each image; None where that is the label."""
    task: Task = CLASSIFICATION
    """What is asked of the images."""
    padded: bool = False
    """Whether a training learns background beside images that are not square, where masks ask nothing."""
