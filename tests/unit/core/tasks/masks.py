"""Small images with masks that the tests of segmentation share."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resnet_ops.data import PreparedData
from resnet_ops.data.params import DataParams
from resnet_ops.data.splits import split_images
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import Segmentation
from tests.unit.core.makers import SHARES, make_data_params


def make_segmentation(**changes: Any) -> Segmentation:
    """Two grey classes and an FCN head, with `changes`."""
    base: dict[str, Any] = {
        "masks": "_mask.png",
        "classes": {"background": 0, "spot": 255},
        "threshold": None,
        "ignore": None,
        "head": "fcn",
        "dilated": 1,
        "auxiliary": True,
    }
    return Segmentation(**{**base, **changes})


def make_params(root: Path, settings: Segmentation | None = None, **changes: Any) -> DataParams:
    """Of a folder of images with masks, prepared at 16 pixels."""
    base: dict[str, Any] = {
        "source": "imagefolder",
        "root": str(root),
        "image_size": 16,
        "task": "segmentation",
        "segmentation": settings or make_segmentation(),
    }
    return make_data_params(**{**base, **changes})


def spots(count: int = 60, side: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, side, side) uint8 each: noisy images with a bright square, of which every fifth has none, and masks."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 80, (count, side, side), dtype=np.uint8)
    masks = np.zeros((count, side, side), np.uint8)
    for place in range(count):
        if place % 5:
            top, left = rng.integers(0, side - 6, 2)
            masks[place, top : top + 6, left : left + 6] = 255
    return np.where(masks > 0, images + 150, images), masks


def write_spots(folder: Path, count: int = 60) -> Path:
    """The spots as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, (image, mask) in enumerate(zip(*spots(count), strict=True)):
        Image.fromarray(image).save(folder / f"{place:03d}.png")
        Image.fromarray(mask).save(folder / f"{place:03d}_mask.png")
    return folder


def prepared_spots(folder: Path, settings: Segmentation | None = None, count: int = 60) -> PreparedData:
    """The spots, read and split."""
    params = make_params(write_spots(folder, count), settings)
    raw = reading_of(params.chosen_task).read(params, lambda done, total: None, None)
    return split_images(raw, SHARES, seed=0)
