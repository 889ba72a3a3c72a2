"""COCO files beside the images of each split, as Roboflow exports them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["PARTS", "write_coco_folders"]

PARTS = {"train": 12, "valid": 6, "test": 8}
SQUARE = [[2, 2, 8, 2, 8, 6, 2, 6]]


def write_coco_folders(root: Path, counts: Mapping[str, int] = PARTS) -> Path:
    """A file beside the images of each folder, with ids from 0 on, as Roboflow writes it."""
    for part, count in counts.items():
        images: list[dict[str, Any]] = []
        objects: list[dict[str, Any]] = []
        (root / part).mkdir(parents=True)
        for place in range(count):
            pixels = np.random.default_rng([*part.encode(), place]).integers(0, 99, (16, 16), np.uint8)
            Image.fromarray(pixels).save(root / part / f"{place}.png")
            images.append({"id": place, "file_name": f"{place}.png", "width": 16, "height": 16})
            objects.append(
                {"id": place, "image_id": place, "category_id": 1 + place % 2, "bbox": [2, 2, 6, 4 + len(part)],
                 "area": 24, "segmentation": SQUARE, "iscrowd": 0}
            )  # fmt: skip
        names = ("parts", "pipe", "crack")
        content = {
            "images": images,
            "annotations": objects,
            "categories": [{"id": key, "name": name} for key, name in enumerate(names)],
        }
        (root / part / "_annotations.coco.json").write_text(json.dumps(content))
    return root
