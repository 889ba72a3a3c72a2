"""Writing labels as people keep them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["coco_content", "voc_object", "write_coco", "write_images", "write_voc", "write_yolo"]

CLASSES = ("cat", "dog")


def write_images(folder: Path, *names: str, size: tuple[int, int] = (40, 30)) -> Path:
    """Noise of 40x30 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def coco_content() -> dict[str, Any]:
    """Two images, the second without an object; categories with a gap."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 9, "file_name": "b.png", "width": 40, "height": 30},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20], "area": 150, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [5, 5, 30.5, 20], "area": 610, "iscrowd": 1},
        ],
        "categories": [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}],
    }


def write_coco(file: Path, content: Any) -> Path:
    file.write_text(json.dumps(content))
    return file


def voc_object(name: str, *corners: float, difficult: int = 0) -> str:
    """One <object> on three lines."""
    sides = "".join(
        f"<{side}>{corner}</{side}>"
        for side, corner in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return (
        f"<object>\n<name>{name}</name><difficult>{difficult}</difficult>\n"
        f"<bndbox>{sides}</bndbox><part><name>head</name><bndbox><xmin>0</xmin></bndbox></part></object>\n"
    )


def write_voc(folder: Path, stem: str, *objects: str, size: tuple[int, int] = (40, 30)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    text = f"<annotation>\n<filename>{stem}.png</filename>{sides}\n{''.join(objects)}</annotation>"
    (folder / f"{stem}.xml").write_text(text)
    return folder


def write_yolo(folder: Path, **lines: str) -> Path:
    """Labels of images that lie in folder/images."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    (folder / "data.yaml").write_text("names: [cat, dog]\n")
    for stem, text in lines.items():
        (folder / "labels" / f"{stem}.txt").write_text(text)
    return folder
