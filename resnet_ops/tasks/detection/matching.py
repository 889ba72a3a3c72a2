"""Which detection found which object: COCO's matching, by pycocotools."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from resnet_ops.extras import require
from resnet_ops.tasks.detection.boxes import Labels
from resnet_ops.tasks.detection.detections import Detections

__all__ = ["IOUS", "SIZES", "ClassMatches", "match"]

IOUS = np.linspace(0.5, 0.95, 10)
"""The overlaps (intersection over union) from which on a box counts as found: COCO's ten."""
SIZES = ("all", "small", "medium", "large")
"""Objects of any area; below 32², up to 96² and from there on, in square pixels."""
MOST_DETECTIONS = 100
"""Of an image and class; COCO counts those of the highest scores."""


@dataclass(frozen=True)
class ClassMatches:
    """The D detections and G objects of one class in N images, by image; objects that do not count are left out."""

    image: np.ndarray
    """(D,) of which image each detection is."""
    score: np.ndarray
    """(D,)."""
    rank: np.ndarray
    """(D,) its place by score within its image, from 0."""
    hit: np.ndarray
    """(10, D) bool, whether it found an object, by the overlaps of IOUS."""
    ignored: np.ndarray
    """(10, D) bool, whether it does not count: it lies on a crowd, or is of another size."""
    object_image: np.ndarray
    """(G,) of which image each object is."""
    found_from: np.ndarray
    """(G,) the score of the detection that found it at an overlap of 0.5; negative infinity where none did."""


def match(labels: Labels, detections: Detections) -> dict[str, list[ClassMatches]]:
    """By size of SIZES, the matches of each class. Raises ConfigError where pycocotools is not installed."""
    require("Measuring detections", "pycocotools")
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        judge = COCOeval(*map(_indexed, _truth_and_answers(labels, detections)), iouType="bbox")
        judge.params.imgIds = list(range(len(labels.images)))
        judge.params.catIds = list(range(len(labels.classes)))
        judge.evaluate()
    n, found = len(labels.images), iter(judge.evalImgs)
    scores = dict(enumerate(detections.scores.tolist(), 1)) | {0: -np.inf}
    matches: dict[str, list[ClassMatches]] = {size: [] for size in SIZES}
    for _ in labels.classes:
        for size in SIZES:
            matches[size].append(_joined([next(found) for _ in range(n)], scores))
    return matches


def _truth_and_answers(labels: Labels, detections: Detections) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two COCO data sets; ids of boxes begin with 1, because 0 means that nothing was found."""
    about = {
        "images": [{"id": place} for place in range(len(labels.images))],
        "categories": [{"id": place} for place in range(len(labels.classes))],
    }
    return (
        about | {"annotations": list(_numbered(_objects(labels)))},
        about | {"annotations": list(_numbered(_answers(detections)))},
    )


def _numbered(boxes: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, box in enumerate(boxes, 1):
        left, top, right, bottom = box.pop("corners")
        yield box | {"id": number, "bbox": [left, top, right - left, bottom - top]}


def _objects(labels: Labels) -> Iterator[dict[str, Any]]:
    for place, image in enumerate(labels.images):
        columns = (image.boxes, image.classes, image.crowd, image.areas)
        for corners, kind, crowd, area in zip(*(column.tolist() for column in columns), strict=True):
            yield {
                "image_id": place,
                "category_id": kind,
                "corners": corners,
                "area": area,
                "iscrowd": int(crowd),
            }


def _answers(detections: Detections) -> Iterator[dict[str, Any]]:
    areas = (detections.boxes[:, 2:] - detections.boxes[:, :2]).prod(axis=1)
    columns = (detections.images, detections.classes, detections.boxes, detections.scores, areas)
    for image, kind, corners, score, area in zip(*(column.tolist() for column in columns), strict=True):
        yield {
            "image_id": image,
            "category_id": kind,
            "corners": corners,
            "score": score,
            "area": area,
            "iscrowd": 0,
        }


def _indexed(content: dict[str, Any]) -> Any:
    from pycocotools.coco import COCO

    made = COCO()
    made.dataset = content
    made.createIndex()
    return made


def _joined(images: list[dict[str, Any] | None], scores: dict[int, float]) -> ClassMatches:
    """images: what pycocotools says of each image, None where there is neither an object nor a detection."""
    parts = [(place, each) for place, each in enumerate(images) if each is not None]
    counted = [np.asarray(each["gtIgnore"]) == 0 for _, each in parts]

    def joined(arrays: list[Any], shape: tuple[int, ...] = (0,)) -> np.ndarray:
        return np.concatenate([np.zeros(shape), *arrays], axis=-1)

    found = [each["gtMatches"][0][kept] for (_, each), kept in zip(parts, counted, strict=True)]
    wide = (len(IOUS), 0)
    return ClassMatches(
        image=joined([np.full(len(each["dtIds"]), place) for place, each in parts]).astype(np.int64),
        score=joined([each["dtScores"] for _, each in parts]),
        rank=joined([np.arange(len(each["dtIds"])) for _, each in parts]).astype(np.int64),
        hit=joined([each["dtMatches"] for _, each in parts], wide) > 0,
        ignored=joined([each["dtIgnore"] for _, each in parts], wide) > 0,
        object_image=joined(
            [np.full(kept.sum(), place) for (place, _), kept in zip(parts, counted, strict=True)]
        ).astype(np.int64),
        found_from=np.array([scores[int(number)] for number in joined(found)], float),
    )
