"""Prepared boxes and a detector's answers to them, in the form in which both are measured."""

from collections.abc import Sequence

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.detection.boxes import BoxedImage, Labels
from resnet_ops.tasks.detection.detections import Detections

__all__ = ["answered", "as_detections", "as_labels", "labels_of"]

AT_ONCE = 8
"""Images that are asked about together."""


def answered(model: DeployedModel, data: PreparedData) -> np.ndarray:
    """(N, D, 6) rows, what a detector answers of prepared images."""
    starts = range(0, len(data), AT_ONCE)
    images = (np.asarray(data.images[start : start + AT_ONCE]) for start in starts)
    return np.concatenate([model.predict(each).logits for each in images])


def as_labels(data: PreparedData) -> Labels:
    """What is true of prepared images, as it is measured; class indices are one lower, without the background."""
    files = [row.path for row in data.rows]
    return labels_of(files, np.asarray(data.asked), data.classes[1:], data.images.shape[1])


def labels_of(files: Sequence[str], targets: np.ndarray, names: tuple[str, ...], side: int) -> Labels:
    """Likewise, of (N, M, 6) targets alone. names: of the classes without the background. side: of the images."""
    images = []
    for file, target in zip(files, targets, strict=True):
        boxes = target[target[:, 4] > 0].astype(float)
        images.append(
            BoxedImage(
                id=file,
                file=file,
                width=side,
                height=side,
                boxes=boxes[:, :4],
                classes=boxes[:, 4].astype(np.int64) - 1,
                crowd=boxes[:, 5] > 0,
                areas=(boxes[:, 2:4] - boxes[:, :2]).prod(axis=1),
            )
        )
    return Labels(names, {name: place for place, name in enumerate(names)}, tuple(images), ())


def as_detections(rows: np.ndarray) -> Detections:
    """What a detector answers of N images, (N, D, 6) rows, as it is measured."""
    image, place = np.nonzero(rows[..., 5] > 0)
    found = rows[image, place].astype(float)
    return Detections(image, found[:, 5].astype(np.int64) - 1, found[:, :4], found[:, 4])
