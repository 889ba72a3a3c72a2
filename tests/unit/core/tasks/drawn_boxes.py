"""Small images with rectangles, in Pascal VOC or CSV, that the tests of detection share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data import PreparedData
from resnet_ops.data.params import DataParams
from resnet_ops.data.splits import split_images
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import Detection
from tests.unit.core.makers import SHARES, make_data_params

pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")

SIDE = 32
CLASSES = ("bright", "dark")


def make_detection(**changes: Any) -> Detection:
    """A narrow FCOS that reads boxes from a CSV file, with `changes`."""
    base: dict[str, Any] = {
        "labels": "boxes.csv",
        "images": "images",
        "classes": CLASSES,
        "faults": "refuse",
        "head": "fcos",
        "width": 32,
        "frozen_norms": False,
    }
    return Detection(**{**base, **changes})


def make_params(root: Path, settings: Detection | None = None, **changes: Any) -> DataParams:
    """Of a folder of images and labels, prepared at SIDE pixels."""
    base: dict[str, Any] = {
        "source": "imagefolder",
        "root": str(root),
        "image_size": SIDE,
        "task": "detection",
        "detection": settings or make_detection(),
    }
    return make_data_params(**{**base, **changes})


def write_boxes(root: Path, count: int = 40, seed: int = 0) -> Path:
    """Noisy grey images with up to two rectangles, bright or dark; every eighth has none. Boxes in a CSV file."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True, exist_ok=True)
    lines = ["image,class,xmin,ymin,xmax,ymax"]
    for place in range(count):
        pixels = rng.integers(100, 140, (SIDE, SIDE), dtype=np.uint8)
        name, objects = f"{place:03d}.png", 0 if place % 8 == 0 else 1 + place % 2
        lines += [f"{name},,,,,"] if not objects else []
        for start in range(0, objects * SIDE // 2, SIDE // 2):  # one in each half
            width, height = (int(each) for each in rng.integers(8, 14, 2))
            left, top = start + int(rng.integers(0, 16 - width)), int(rng.integers(0, SIDE - height))
            kind = int(rng.integers(0, 2))
            pixels[top : top + height, left : left + width] = (230, 20)[kind]
            lines.append(f"{name},{CLASSES[kind]},{left},{top},{left + width},{top + height}")
        Image.fromarray(pixels).save(root / "images" / name)
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    return root


def prepared_boxes(root: Path, settings: Detection | None = None, count: int = 40) -> PreparedData:
    """The rectangles, read and split."""
    params = make_params(write_boxes(root, count), settings)
    raw = reading_of(params.chosen_task).read(params, lambda done, total: None, None)
    return split_images(raw, SHARES, seed=0)
