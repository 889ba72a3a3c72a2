"""COCO's average precision and recall from matches, of the images as they are or of many resamples of them at once.

Equal to pycocotools' own accumulation, which takes one set of images at a time. Lin et al. 2014; the protocol is that
of cocodataset.org/#detection-eval: precision made to fall, read at 101 recalls.
"""

import numpy as np

from resnet_ops.tasks.detection.matching import IOUS, MOST_DETECTIONS, ClassMatches

__all__ = ["RECALLS", "average_precision", "recall"]

RECALLS = np.linspace(0, 1, 101)
BLOCK = 4_000_000
"""Values that are held at once, to bound the memory."""


def average_precision(
    matches: ClassMatches, weights: np.ndarray, ious: np.ndarray | None = None
) -> np.ndarray:
    """(B, T) of one class, by resample and overlap; not a number where a resample has no object of the class.

    weights: (B, N) whole numbers, how often each image is in a resample. ious: (T,) places in IOUS; None: all ten.
    """
    chosen = np.arange(len(IOUS)) if ious is None else ious
    order = np.argsort(-matches.score, kind="stable")
    found = np.full((len(weights), len(chosen)), np.nan)
    per_block = max(1, BLOCK // max(1, len(order)))
    for start in range(0, len(weights), per_block):
        block = weights[start : start + per_block].astype(np.int64)
        objects = block[:, matches.object_image].sum(axis=1)
        rows = np.flatnonzero(objects)
        times = block[rows][:, matches.image[order]]
        for column, iou in enumerate(chosen):
            counted = ~matches.ignored[iou, order]
            hits = np.cumsum(times * (matches.hit[iou, order] & counted), axis=1)
            wrong = np.cumsum(times * (~matches.hit[iou, order] & counted), axis=1)
            found[start + rows, column] = _interpolated(hits, wrong, objects[rows])
    return found


def _interpolated(hits: np.ndarray, wrong: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """(B,) means over RECALLS. hits, wrong: (B, D) so many by falling score; objects: (B,) above 0."""
    rows, detections = hits.shape
    if not (rows and detections):
        return np.zeros(rows)
    precision = hits / np.maximum(hits + wrong, 1)
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([falling, np.zeros((rows, 1))], axis=1)
    needed = _fewest(objects)
    # each row's counts set apart from those of the others, so that one search finds the places of all
    apart = np.arange(rows)[:, None] * (int(objects.max()) + 2)
    places = np.searchsorted((hits + apart).ravel(), (needed + apart).ravel(), side="left").reshape(
        needed.shape
    )
    within = np.minimum(places - np.arange(rows)[:, None] * detections, detections)
    return np.asarray(np.take_along_axis(padded, within, axis=1).mean(axis=1))


def _fewest(objects: np.ndarray) -> np.ndarray:
    """(B, 101) the fewest hits whose share of (B,) objects reaches each of RECALLS, as floats divide."""
    tried = np.floor(RECALLS * objects[:, None]) - 1
    for _ in range(2):
        tried += tried / objects[:, None] < RECALLS
    return np.asarray(np.maximum(tried, 0)).astype(np.int64)


def recall(matches: ClassMatches, weights: np.ndarray, most: int = MOST_DETECTIONS) -> np.ndarray:
    """(B,) mean over the ten overlaps of the share of objects that are found; not a number where there are none.

    weights: as in `average_precision`. most: detections of an image that count, those of the highest scores.
    """
    objects = weights[:, matches.object_image].sum(axis=1)
    counted = matches.hit & ~matches.ignored & (matches.rank < most)
    per_image = np.zeros(weights.shape[1])
    np.add.at(per_image, matches.image, counted.mean(axis=0))
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ per_image / np.where(objects, objects, np.nan))
