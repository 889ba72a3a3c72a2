"""A model that answers when it is told to, and tells what it was asked."""

from threading import Event

import numpy as np

from resnet_ops.data.depth import Depth
from resnet_ops.predictions import Predictions, softmax
from resnet_ops.tasks.task import CLASSIFICATION, Task

__all__ = ["FakeModel", "image"]


def image(brightness: int, count: int = 1) -> np.ndarray:
    """(count, 8, 8, 1) grey images, by whose brightness the fake model knows them."""
    return np.full((count, 8, 8, 1), brightness, np.uint8)


class FakeModel:
    """Takes 8x8 grey images; the class of an image is its brightness modulo ten.

    go: set while it answers. begun: set since it was asked. asked: the brightness of the images of each batch.
    """

    name, classes, image_size, channels = "fake", tuple("0123456789"), 8, 1
    task: Task = CLASSIFICATION
    depth: Depth = 8

    def __init__(self, answering: bool = True) -> None:
        self.go, self.begun, self.asked = Event(), Event(), list[list[int]]()
        self.fault: Exception | None = None
        if answering:
            self.go.set()

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        levels = images[:, 0, 0, 0].astype(int)
        self.asked.append(levels.tolist())
        self.begun.set()
        assert self.go.wait(60)
        if self.fault is not None:
            raise self.fault
        logits = np.eye(10, dtype=np.float32)[levels % 10] * 5
        embeddings = np.stack([levels, levels + 1], axis=1).astype(np.float32)
        return Predictions(logits, softmax(logits), embeddings, logits.argmax(axis=1))
