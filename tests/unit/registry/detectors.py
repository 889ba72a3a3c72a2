"""Truth and answers of detectors that nobody trained: some objects missed, boxes a little off, some of them false."""

import json
from pathlib import Path

import numpy as np

__all__ = ["CLASSES", "detect", "write_truth"]

CLASSES = ("bolt", "nut")


def _objects(images: int) -> list[tuple[int, int, tuple[int, int, int, int]]]:
    rng = np.random.default_rng(0)
    found: list[tuple[int, int, tuple[int, int, int, int]]] = []
    for image in range(images):
        for place in range(int(rng.integers(0, 5))):
            left, top = 10 + 100 * place, int(rng.integers(0, 300))
            found.append((image, int(rng.integers(0, 2)), (left, top, 60, 80)))
    return found


def write_truth(file: Path, images: int = 150) -> Path:
    """A COCO file, the same each time."""
    content = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 512, "height": 512} for n in range(images)],
        "categories": [{"id": place + 1, "name": name} for place, name in enumerate(CLASSES)],
        "annotations": [
            {"id": n, "image_id": image, "category_id": kind + 1, "bbox": box, "area": 4800, "iscrowd": 0}
            for n, (image, kind, box) in enumerate(_objects(images), 1)
        ],
    }
    file.write_text(json.dumps(content))
    return file


def detect(file: Path, missed: float, images: int = 150, seed: int = 1) -> Path:
    """Answers to the same images; a share `missed` of the objects is not seen."""
    rng = np.random.default_rng(seed)
    answers = []
    for image, kind, (left, top, width, height) in _objects(images):
        moved = rng.uniform(-4, 4, 2)
        if rng.random() >= missed:
            box = [left + moved[0], top + moved[1], width, height]
            answers.append(
                {"image_id": image, "category_id": kind + 1, "bbox": box, "score": rng.uniform(0.6, 1)}
            )
        if rng.random() < 0.05:
            false = [400, 400, 50, 50]
            answers.append(
                {"image_id": image, "category_id": 1, "bbox": false, "score": rng.uniform(0.3, 0.9)}
            )
    file.write_text(json.dumps(answers))
    return file
