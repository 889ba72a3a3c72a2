"""How segmentation is measured: overlap and boundaries of masks, by class, image and slice."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_ops.data import PreparedData, image_stats
from resnet_ops.evaluation.params import EvaluateParams
from resnet_ops.evaluation.slices import Slice, find_slices
from resnet_ops.files import write_json, write_text
from resnet_ops.measurement import Measurement, deciding_values, measurements_to_json
from resnet_ops.messages import Progress, say
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.measuring.boundary import boundary_scores, measure_boundaries
from resnet_ops.tasks.measuring.mask_page import masks_page
from resnet_ops.tasks.measuring.mask_tables import save_predictions
from resnet_ops.tasks.measuring.overlap import MEASURES, confusions, image_scores, measure, measure_overlap
from resnet_ops.tasks.measuring.tables import save_confusion, save_slices, save_without
from resnet_ops.tasks.task import images_at_once

__all__ = ["SegmentationMeasuring"]

AT_ONCE = 64
"""Images that are asked about together: their logits fill memory."""
SHOWN = {"miou": "mIoU", "dice": "Dice", "boundary_f1": "boundary F1", "pixel_accuracy": "right pixels"}
"""On the page of worst answers, where they were measured."""


@dataclass(frozen=True)
class SegmentationFindings:
    """See `resnet_ops.tasks.measuring.measuring.Findings`. Rows are those of the test split."""

    measured: dict[str, Measurement]
    data: PreparedData
    answers: np.ndarray
    """(N, H, W) uint8 class indices."""
    confusion: np.ndarray
    """(N, K, K) pixels."""
    boundaries: np.ndarray
    """(N, K) of `boundary_scores`."""
    slices: list[Slice]

    @property
    def scores(self) -> np.ndarray:
        """(N,) fractions."""
        return image_scores(self.confusion)

    def save(self, name: str, params: EvaluateParams, folder: Path) -> None:
        write_json(folder / "measurements.json", measurements_to_json(self.measured))
        write_json(folder / "metrics.json", deciding_values(self.measured))
        save_predictions(self.data, self.confusion, self.boundaries, self.scores, _digests(self.data), folder)
        save_confusion(self.confusion.sum(axis=0), self.data.classes, folder / "confusion.csv")
        save_slices(self.slices, self.measured, "miou", folder / "slices.csv")
        save_without(name, "masks", folder)
        shown = [
            (label, self.measured[f"test.{metric}"].shown)
            for metric, label in SHOWN.items()
            if f"test.{metric}" in self.measured
        ]
        page = masks_page(
            f"{name}: worst answers on test", self.data, self.answers, self.scores, params.gallery, shown
        )
        write_text(folder / "mistakes.html", page)


def _digests(data: PreparedData) -> list[str]:
    """Of each image's mask, with its side and which classes there are to find."""
    known = json.dumps([data.classes, data.asked.shape[1:]]).encode()
    return [hashlib.sha256(known + np.ascontiguousarray(mask).tobytes()).hexdigest() for mask in data.asked]


class SegmentationMeasuring:
    """See `resnet_ops.tasks.measuring.measuring.Measuring`."""

    shown: tuple[str, ...] = (*(f"test.{metric}" for metric in SHOWN), "test.worst_slice")

    def evaluate(
        self,
        model: DeployedModel,
        data: PreparedData,
        params: EvaluateParams,
        seed: int,
        progress: Progress,
        group: str | None,
    ) -> SegmentationFindings:
        if params.robustness.images:
            say(f"{model.name}: corrupted images are not tried in segmentation (evaluate.robustness)")
        level = params.confidence
        validation, test = data.split("validation"), data.split("test")
        slices = find_slices(test.columns(), image_stats(test.images), params.slices)
        _, learned = _answers(model, validation)
        answers, confusion = _answers(model, test)
        boundaries, bounded = boundary_scores(answers, test.asked, len(test.classes))
        measured = measure_overlap(confusion, test.classes, "test", level, seed)
        measured |= measure_boundaries(boundaries, bounded, test.classes, "test", level, seed)
        measured["validation.miou"] = measure(learned, MEASURES["iou"], level, seed)
        large = [each for each in slices if len(each.rows) >= params.slices.min_images]
        by_slice = {
            f"test.slice.{each.name}": measure(confusion[each.rows], MEASURES["iou"], level, seed)
            for each in large
        }
        if by_slice:
            worst = min(by_slice.values(), key=lambda found: found.value)
            measured["test.worst_slice"] = worst.bare()  # its own interval would forget that it was picked
        return SegmentationFindings(measured | by_slice, test, answers, confusion, boundaries, slices)


def _answers(model: DeployedModel, data: PreparedData) -> tuple[np.ndarray, np.ndarray]:
    """(N, H, W) uint8 answers and (N, K, K) confusions."""

    def parts() -> Iterator[np.ndarray]:
        count = images_at_once(model.task, model.image_size, AT_ONCE)
        for start in range(0, len(data), count):
            yield model.predict(np.asarray(data.images[start : start + count])).predicted.astype(np.uint8)

    answers = np.concatenate(list(parts()))
    return answers, confusions(answers, data.asked, len(data.classes))
