"""Data that say nothing, by which it is measured how long a task's training takes."""

import numpy as np

from resnet_ops.data.digests import pixel_digests
from resnet_ops.data.prepared import ManifestRow, PreparedData
from resnet_ops.tasks.detection.boxes import BoxedImage
from resnet_ops.tasks.detection.prepared import as_targets
from resnet_ops.tasks.task import Detection, Segmentation, Task

__all__ = ["noise"]

OBJECTS = 8
"""In boxes, an image."""


def noise(images: int, size: int, classes: int, task: Task) -> PreparedData:
    """Colour images, at least one of each class, with what the task asks of them: masks with pixels of each, or boxes.

    size: side in pixels. classes: with the background, where the task has one.
    """
    count = max(images, classes)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, size, size, 3), np.uint8)
    names = tuple(map(str, range(classes)))
    labels = np.arange(count) % classes
    rows = [
        ManifestRow(
            index=index, path="", label=int(labels[index]), class_name=names[labels[index]], split="train",
            sha256=digest, width=size, height=size,
        )
        for index, digest in enumerate(pixel_digests(pixels))
    ]  # fmt: skip
    targets = _targets(task, count, size, classes, generator)
    return PreparedData(pixels, labels, rows, names, targets=targets, task=task)


def _targets(
    task: Task, count: int, size: int, classes: int, generator: np.random.Generator
) -> np.ndarray | None:
    if isinstance(task, Segmentation):
        return generator.integers(0, classes, (count, size, size), np.uint8)
    if isinstance(task, Detection):
        return as_targets([_boxed(size, classes - 1, generator) for _ in range(count)])
    return None


def _boxed(size: int, classes: int, generator: np.random.Generator) -> BoxedImage:
    corners = generator.uniform(0, size / 2, (OBJECTS, 2))
    boxes = np.hstack([corners, corners + generator.uniform(size / 8, size / 2, (OBJECTS, 2))])
    kinds, none = generator.integers(0, classes, OBJECTS), np.zeros(OBJECTS, bool)
    return BoxedImage("", "", size, size, boxes, kinds, none, np.zeros(OBJECTS))
