"""A detector without training: what is much brighter or darker than grey is an object, and it is as sure as it is so.

It also answers with a box of a low score in each image, which counts only where no threshold leaves it out.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from resnet_ops.data import PreparedData
from resnet_ops.data.depth import Depth
from resnet_ops.data.raw import RawData
from resnet_ops.data.splits import split_images
from resnet_ops.predictions import Predictions, check_images
from resnet_ops.tasks.answers import boxes_of
from resnet_ops.tasks.task import BACKGROUND, Detection
from tests.unit.core.makers import SHARES
from tests.unit.core.tasks.drawn_boxes import make_detection

pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")

CLASSES = (BACKGROUND, "bright", "dark")
SIDE, MOST, LOW = 32, 8, 0.2


@dataclass(frozen=True)
class BoxModel:
    """See `resnet_ops.predictions.DeployedModel`."""

    name: str = "boxes"
    classes: tuple[str, ...] = CLASSES
    image_size: int = SIDE
    channels: int = 1
    depth: Depth = 8

    @property
    def task(self) -> Detection:
        return make_detection()

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        check_images(self, images)
        levels = images[..., 0].astype(np.float32)
        rows = np.zeros((len(levels), MOST, 6), np.float32)
        for row, level in zip(rows, levels, strict=True):
            found = [*_objects(level, 1, level > 180), *_objects(level, 2, level < 70)]
            found = sorted(found, key=lambda box: -box[4])[: MOST - 1]
            found.append((0, 0, 5, 5, LOW, 1))
            row[: len(found)] = found
        means = levels.reshape(len(levels), 4, 8, 4, 8).mean(axis=(2, 4)).reshape(len(levels), 16)
        return boxes_of(rows, means.astype(np.float32))


def _objects(level: np.ndarray, kind: int, where: np.ndarray) -> list[tuple[float, ...]]:
    found: list[tuple[float, ...]] = []
    for down, across in ndimage.find_objects(ndimage.label(where)[0]):
        if min(down.stop - down.start, across.stop - across.start) >= 4:
            sure = min(abs(float(level[down, across].mean()) - 125) / 110, 1.0)
            found.append((across.start, down.start, across.stop, down.stop, sure, kind))
    return found


def drawn(count: int, seed: int = 0, faintest: int = 215) -> PreparedData:
    """Noisy grey images with up to two rectangles, bright or dark; every eighth has none. Split.

    faintest: level of the faintest bright ones; the model does not see those below 180.
    """
    rng = np.random.default_rng(seed)
    images = rng.integers(110, 140, (count, SIDE, SIDE), dtype=np.uint8)
    targets = np.zeros((count, 2, 6), np.float32)
    for place in range(count):
        for half in range(0 if place % 8 == 0 else 1 + place % 2):
            width, height = rng.integers(7, 13, 2).tolist()
            left, top = half * 16 + int(rng.integers(1, 16 - width)), int(rng.integers(0, SIDE - height))
            kind = 1 + int(rng.integers(0, 2))
            level = int(rng.integers(faintest, 240))
            images[place, top : top + height, left : left + width] = (level, 250 - level)[kind - 1]
            targets[place, half] = left, top, left + width, top + height, kind, 0
    raw = RawData(
        images=images[..., None],
        labels=targets[:, 0, 4].astype(np.int64),
        paths=[f"{place}.png" for place in range(count)],
        sizes=[(SIDE, SIDE)] * count,
        classes=CLASSES,
        targets=targets,
        task=make_detection(),
    )
    return split_images(raw, SHARES, seed=0)
