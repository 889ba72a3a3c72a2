"""Production sees a class an image as it is: its probabilities are the numbers."""

from typing import Any

import numpy as np

from resnet_ops.data.placement import Placement
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.watching.move import Move

__all__ = ["ClassificationWatching"]


class ClassificationWatching:
    """See `resnet_ops.tasks.watching.watching.Watching`. Scores are bits: right or wrong."""

    measured = "accuracy"
    at_once: int | None = None
    placed = False
    threshold: float | None = None

    def kinds(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        return classes

    def scalars(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        return ()

    def kept(self, said: Predictions) -> Predictions:
        return said

    def scores(self, said: Predictions, asked: np.ndarray) -> np.ndarray:
        return np.asarray(said.predicted == asked)

    def moved(self, asked: np.ndarray, move: Move) -> np.ndarray:
        return asked

    def answer(
        self, said: Predictions, row: int, classes: tuple[str, ...], placed: Placement | None = None
    ) -> dict[str, Any]:
        return {
            "class": classes[int(said.predicted[row])],
            "probabilities": dict(zip(classes, said.probabilities[row].tolist(), strict=True)),
        }

    def picture(self, said: Predictions, row: int, image: np.ndarray | None) -> bytes | None:
        return None
