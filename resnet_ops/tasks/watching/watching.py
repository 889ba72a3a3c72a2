"""What production keeps of a model's answers, whatever the task: few numbers an image, a kind, and a score."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from resnet_ops.data.placement import Placement
from resnet_ops.predictions import DeployedModel, Predictions
from resnet_ops.tasks.task import Detection, Segmentation, images_at_once
from resnet_ops.tasks.watching.at_threshold import AtThreshold
from resnet_ops.tasks.watching.boxes import COUNTED
from resnet_ops.tasks.watching.classification import ClassificationWatching
from resnet_ops.tasks.watching.detection import DetectionWatching
from resnet_ops.tasks.watching.move import Move
from resnet_ops.tasks.watching.segmentation import AT_ONCE, SegmentationWatching

__all__ = ["Watched", "Watching", "watched", "watching_of"]


class Watching(Protocol):
    """A task as scorer, inference log and drift see it."""

    measured: str
    """What an image's score is, for people."""
    at_once: int | None
    """Images that are asked about together, since answers fill memory; None where they are small."""
    placed: bool
    """Whether an answer says where in the image, so that the truth moves with the image."""

    @property
    def threshold(self) -> float | None:
        """The score from which what was found counts; None where there are no scores of single things."""

    def kinds(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """What an image as a whole can be predicted as."""

    def scalars(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """Names of an image's numbers, `task.CONFIDENCE` among them; none where they are the kinds' probabilities."""

    def kept(self, said: Predictions) -> Predictions:
        """What the log keeps: (N, M) numbers in the place of probabilities, (N,) kinds in that of classes.

        A number is not finite where the answer is not.
        """

    def scores(self, said: Predictions, asked: np.ndarray) -> np.ndarray:
        """(N,) of each image: whether it is right, or a score in [0, 1]. asked: (N, ...) of `PreparedData.asked`."""

    def moved(self, asked: np.ndarray, move: Move) -> np.ndarray | None:
        """What is asked of images that were turned or moved, None where it cannot follow; only where `placed`."""

    def answer(
        self, said: Predictions, row: int, classes: tuple[str, ...], placed: Placement | None = None
    ) -> dict[str, Any]:
        """What a client is told of an image, ready for JSON. placed: where its file lies in what was asked about."""

    def picture(self, said: Predictions, row: int, image: np.ndarray | None) -> bytes | None:
        """A PNG of the answer for one image, drawn on it where it is given, (H, W, C); None where none is drawn."""


def watching_of(model: DeployedModel) -> Watching:
    """Whatever the model's task is. Boxes count from COUNTED on where the model is not `at_threshold`."""
    match model.task:
        case Segmentation():
            return SegmentationWatching(images_at_once(model.task, model.image_size, AT_ONCE))
        case Detection():
            counted = model.threshold if isinstance(model, AtThreshold) else COUNTED
            return DetectionWatching(model.image_size, model.classes, counted)
        case _:
            return ClassificationWatching()


@dataclass(frozen=True, eq=False)
class Watched:
    """kept: as `Watching.kept`. scores: (N,) of `Watching.scores`, bool where they are right or wrong."""

    kept: Predictions
    scores: np.ndarray


def watched(model: DeployedModel, images: np.ndarray, asked: np.ndarray) -> Watched:
    """What a model says of labelled images, in memory that its full answers do not fill.

    images: (N, H, W, C) uint8, N at least 1. asked: (N, ...) of `PreparedData.asked`.
    """
    watching = watching_of(model)
    step = watching.at_once or len(images)
    kept, scores = [], []
    for start in range(0, len(images), step):
        said = model.predict(np.asarray(images[start : start + step]))
        kept.append(watching.kept(said))
        scores.append(watching.scores(said, np.asarray(asked[start : start + step])))
    parts = ("logits", "probabilities", "embeddings", "predicted")
    whole = [np.concatenate([getattr(each, name) for each in kept]) for name in parts]
    return Watched(Predictions(*whole), np.concatenate(scores))
