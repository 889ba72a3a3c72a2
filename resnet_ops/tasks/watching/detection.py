"""Production sees boxes from the version's own score on: their numbers, its F1 of an image, and what a client gets."""

from io import BytesIO
from typing import Any

import numpy as np

from resnet_ops.data.placement import Placement
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.detection.matching import match
from resnet_ops.tasks.detection.measured import as_detections, labels_of
from resnet_ops.tasks.detection.prepared import THINNEST, VISIBLE
from resnet_ops.tasks.detection.score_threshold import image_scores
from resnet_ops.tasks.measuring.box_drawing import drawn
from resnet_ops.tasks.watching.boxes import box_numbers, box_scalars
from resnet_ops.tasks.watching.move import Move

__all__ = ["DetectionWatching"]


class DetectionWatching:
    """See `resnet_ops.tasks.watching.watching.Watching`.

    The kind of an image is the class of most boxes that count; its numbers are those of `boxes.box_scalars`. Its score
    is that of the evidence, `score_threshold.image_scores`. Boxes are in pixels of the prepared image.
    """

    measured = "F1 of an image"
    at_once: int | None = 8
    placed = True

    def __init__(self, side: int, classes: tuple[str, ...], threshold: float) -> None:
        """side: of the prepared images in pixels. classes: the first is the background."""
        self.side, self.classes, self.threshold = side, classes, threshold

    def kinds(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        return classes

    def scalars(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        return box_scalars(classes)

    def kept(self, said: Predictions) -> Predictions:
        seen = box_numbers(said.logits, self.side, len(self.classes), self.threshold)
        return Predictions(
            np.empty((len(seen.kinds), 0), np.float32), seen.numbers, said.embeddings, seen.kinds
        )

    def scores(self, said: Predictions, asked: np.ndarray) -> np.ndarray:
        names = [str(place) for place in range(len(asked))]
        labels = labels_of(names, asked, self.classes[1:], self.side)
        rows = np.nan_to_num(said.logits)
        # no match depends on boxes of lower scores
        counted = np.where(rows[..., 4:5] >= self.threshold, rows, 0)
        found = match(labels, as_detections(counted))
        return image_scores(found["all"], self.threshold, len(asked))

    def moved(self, asked: np.ndarray, move: Move) -> np.ndarray | None:
        """None for a turned camera: the box of a turned box is larger than its object."""
        if move.shift is None:
            return None
        down, right = move.shift
        before = asked[..., :4].astype(float)
        boxes = (before + np.array([right, down, right, down])).clip(0, self.side)
        (old, new) = (each[..., 2:] - each[..., :2] for each in (before, boxes))
        kinds = np.where(new.min(axis=-1) >= THINNEST, asked[..., 4], 0)
        unasked = (asked[..., 5] > 0) | (new.prod(axis=-1) < VISIBLE * old.prod(axis=-1))
        return np.concatenate([boxes, kinds[..., None], unasked[..., None]], axis=-1).astype(asked.dtype)

    def answer(
        self, said: Predictions, row: int, classes: tuple[str, ...], placed: Placement | None = None
    ) -> dict[str, Any]:
        rows = self._counted(said, row)
        objects = [
            {"class": classes[int(kind)], "score": score, "box": corners}
            for *corners, score, kind in rows.tolist()
        ]
        if placed is not None:
            for found, corners in zip(objects, placed.to_image(rows[:, :4]).tolist(), strict=True):
                found["image_box"] = corners
        return {
            "objects": objects,
            "threshold": self.threshold,
            "side": self.side,
        }

    def picture(self, said: Predictions, row: int, image: np.ndarray | None) -> bytes:
        """Boxes in the colours of the evaluation's pages; without an image on black."""
        ground = np.zeros((self.side, self.side, 1), np.uint8) if image is None else image
        content = BytesIO()
        drawn(ground, self._counted(said, row)).save(content, "PNG")
        return content.getvalue()

    def _counted(self, said: Predictions, row: int) -> np.ndarray:
        """(D, 6) rows of the boxes that count."""
        rows = said.logits[row].astype(float)
        return np.asarray(rows[(rows[:, 5] > 0) & (rows[:, 4] >= self.threshold)])
