"""What a detector answered, in COCO's format of results: a JSON list of image_id, category_id, bbox and score."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from resnet_ops.errors import DataError
from resnet_ops.tasks.detection.boxes import Labels
from resnet_ops.tasks.detection.labels.coco import read_json
from resnet_ops.tasks.detection.labels.listing import number

__all__ = ["Detections", "read_detections"]

MAX_DETECTIONS = 20_000_000
FARTHEST = 1e7
"""Pixels from an image's corner, beyond any image: areas stay numbers."""
_FORM = '{"image_id": 7, "category_id": 1, "bbox": [left, top, width, height], "score": 0.9}'


@dataclass(frozen=True)
class Detections:
    """D boxes in N images, in the order in which they were given."""

    images: np.ndarray
    """(D,) indices of images."""
    classes: np.ndarray
    """(D,) class indices."""
    boxes: np.ndarray
    """(D, 4) float64, left, top, right and bottom in pixels."""
    scores: np.ndarray
    """(D,) in [0, 1]."""


def read_detections(file: Path, labels: Labels) -> Detections:
    """Detections in the images of `labels`; an image without one is one where the detector saw nothing.

    `image_id` is the image's COCO id, its file's name, or that name without its ending; `category_id` the class's
    number where the labels have numbers, or its name. Raises DataError that names the entry and what to write.
    """
    content = read_json(file)
    if not isinstance(content, list):
        raise DataError(f"{file} is no list of detections. Write [{_FORM}, ...].")
    if len(content) > MAX_DETECTIONS:
        raise DataError(
            f"{file} has more than {MAX_DETECTIONS:,} detections. Leave out those of the lowest scores."
        )
    places = _image_places(labels)
    rows = [_row(file, place, entry, places, labels) for place, entry in enumerate(content)]
    table = np.array([row[2:] for row in rows], float).reshape(-1, 5)
    return Detections(
        images=np.array([row[0] for row in rows], np.int64),
        classes=np.array([row[1] for row in rows], np.int64),
        boxes=np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1),
        scores=table[:, 4],
    )


def _image_places(labels: Labels) -> dict[str, int]:
    """An image's place by all that it may be called; a stem that two images have names neither."""
    stems: dict[str, list[int]] = {}
    for place, image in enumerate(labels.images):
        stems.setdefault(str(PurePosixPath(image.file).with_suffix("")), []).append(place)
    known = {stem: places[0] for stem, places in stems.items() if len(places) == 1}
    known |= {image.file: place for place, image in enumerate(labels.images)}
    return known | {image.id: place for place, image in enumerate(labels.images)}


def _row(
    file: Path, place: int, entry: Any, images: dict[str, int], labels: Labels
) -> tuple[int, int, float, float, float, float, float]:
    where = f"{file}, detection {place}"
    if not isinstance(entry, dict):
        raise DataError(f"{where} is no object. Write {_FORM}.")
    image, kind = images.get(str(entry.get("image_id"))), labels.class_ids.get(str(entry.get("category_id")))
    if image is None:
        raise DataError(
            f"{where} is of the image {str(entry.get('image_id'))[:100]!r}, which the labels do not have. Write as "
            "image_id the image's id in a COCO file, or its file's name."
        )
    if kind is None:
        known = ", ".join(labels.class_ids)[:300]
        raise DataError(
            f"{where} is of the class {str(entry.get('category_id'))[:100]!r}, which the labels do not have. Write as "
            f"category_id one of {known}."
        )
    box = entry.get("bbox")
    left, top, width, height = map(number, box if isinstance(box, list) and len(box) == 4 else [None] * 4)
    if min(width, height) < 0 or not all(abs(each) <= FARTHEST for each in (left, top, width, height)):
        raise DataError(f"{where} has no bbox of left, top, width and height in pixels. Write {_FORM}.")
    score = number(entry.get("score"))
    if not 0 <= score <= 1:
        raise DataError(
            f"{where} has no score of 0 to 1. Write what the detector says of the box, after softmax or sigmoid."
        )
    return image, kind, left, top, width, height, score
