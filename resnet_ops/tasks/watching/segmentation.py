"""Production sees a mask by the shares of its classes, how sure the model is of its pixels, and how many regions."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from resnet_ops.data.placement import Placement
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.measuring.mask_drawing import COLOURS, drawn
from resnet_ops.tasks.measuring.overlap import confusions, image_scores
from resnet_ops.tasks.task import CONFIDENCE, IGNORED
from resnet_ops.tasks.watching.move import Move

__all__ = ["AT_ONCE", "SegmentationWatching"]

AT_ONCE = 64
"""Images that are asked about together: their logits fill memory."""
UNSURE = 0.75
"""A pixel whose highest probability is below this is unsure."""


class SegmentationWatching:
    """See `resnet_ops.tasks.watching.watching.Watching`.

    The kind of an image is the class that covers most of it beside the background, as its label is. Its numbers are the
    share of each class beside the background, the mean over pixels of the highest probability, the share of unsure
    pixels, and the number of connected regions that are not background. Its score is `overlap.image_scores`.
    """

    measured = "mean IoU of an image"
    placed = True
    threshold: float | None = None

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self.at_once: int | None = at_once

    def kinds(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        return classes

    def scalars(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        return (*(f"share of {name}" for name in classes[1:]), CONFIDENCE, "unsure pixels", "regions")

    def kept(self, said: Predictions) -> Predictions:
        shares = _shares(said.predicted, said.probabilities.shape[1])
        highest = said.probabilities.max(axis=1)
        finite = np.isfinite(highest).all(axis=(1, 2))
        regions = [ndimage.label(mask > 0)[1] for mask in said.predicted]
        with np.errstate(invalid="ignore"):
            numbers = np.column_stack(
                [
                    shares[:, 1:],
                    highest.mean(axis=(1, 2), dtype=np.float64),
                    (highest < UNSURE).mean(axis=(1, 2)),
                    regions,
                ]
            ).astype(np.float32)
        numbers[~finite] = np.nan
        others = shares[:, 1:]
        kinds = np.where(others.any(axis=1), others.argmax(axis=1) + 1, 0).astype(np.int64)
        return Predictions(np.empty((len(kinds), 0), np.float32), numbers, said.embeddings, kinds)

    def scores(self, said: Predictions, asked: np.ndarray) -> np.ndarray:
        return image_scores(confusions(said.predicted, asked, said.probabilities.shape[1]))

    def moved(self, asked: np.ndarray, move: Move) -> np.ndarray:
        shifted = move.maps(
            (asked + np.uint8(1)).astype(np.uint8)
        )  # IGNORED becomes 0, which comes in from outside
        return (shifted - np.uint8(1)).astype(np.uint8)

    def answer(
        self, said: Predictions, row: int, classes: tuple[str, ...], placed: Placement | None = None
    ) -> dict[str, Any]:
        mask, chances = said.predicted[row], said.probabilities[row]
        if placed is not None:  # a client asks about its image, not about what is beside it
            mask, chances = mask[placed.pixels], chances[:, *placed.pixels]
        picture = self.picture(said, row, None)
        return {
            "mask": base64.b64encode(picture).decode("ascii"),
            "shares": dict(zip(classes, _shares(mask[None], len(classes))[0].tolist(), strict=True)),
            "confidence": float(chances.max(axis=0).mean(dtype=np.float64)),
        }

    def picture(self, said: Predictions, row: int, image: np.ndarray | None) -> bytes:
        """Without an image a PNG whose palette's indices are the classes, in the colours of the evaluation's pages."""
        mask = said.predicted[row].astype(np.uint8)
        content = BytesIO()
        if image is not None:
            Image.fromarray(drawn(image, mask)).save(content, "PNG")
            return content.getvalue()
        picture = Image.fromarray(mask, "P")
        rest = COLOURS[1 + np.arange(IGNORED) % (len(COLOURS) - 1)]
        picture.putpalette(np.concatenate([COLOURS[:1], rest]).astype(np.uint8).tobytes())
        picture.save(content, "PNG")
        return content.getvalue()


def _shares(masks: np.ndarray, classes: int) -> np.ndarray:
    """(N, K) shares of the pixels that each class was given."""
    counts = [np.bincount(mask.ravel(), minlength=classes) for mask in masks]
    return np.asarray(np.array(counts) / masks[0].size)
