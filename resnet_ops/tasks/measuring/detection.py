"""How detection is measured: average precision, and what holds from a score on that validation images choose."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_ops.data import PreparedData, image_stats
from resnet_ops.errors import DataError
from resnet_ops.evaluation.metrics import mean_of
from resnet_ops.evaluation.params import EvaluateParams, ScoreThresholdParams
from resnet_ops.evaluation.slices import Slice, find_slices
from resnet_ops.files import write_json, write_text
from resnet_ops.measurement import Measurement, deciding_values, measurements_to_json
from resnet_ops.messages import Progress, say
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.detection.boxes import Labels
from resnet_ops.tasks.detection.matching import ClassMatches, match
from resnet_ops.tasks.detection.measured import answered, as_detections, as_labels
from resnet_ops.tasks.detection.measures import measure_detections
from resnet_ops.tasks.detection.score_threshold import choose_threshold, image_scores
from resnet_ops.tasks.measuring.box_page import boxes_page
from resnet_ops.tasks.measuring.box_tables import confusion, save_predictions
from resnet_ops.tasks.measuring.tables import save_confusion, save_slices, save_without

__all__ = ["DetectionMeasuring"]

RESAMPLES = 1000
BEST = ScoreThresholdParams(aim="f1", at_least=None)
NONE_COUNTS = 1.0
"""The score from which boxes count where validation shows no reason for any."""


@dataclass(frozen=True)
class DetectionFindings:
    """See `resnet_ops.tasks.measuring.measuring.Findings`. Rows are those of the test split."""

    measured: dict[str, Measurement]
    data: PreparedData
    labels: Labels
    answers: np.ndarray
    """(N, D, 6) rows, as a detector answers."""
    threshold: float
    aim: ScoreThresholdParams
    scores: np.ndarray
    """(N,) each image's F1 from the threshold on."""
    slices: list[Slice]

    def save(self, name: str, params: EvaluateParams, folder: Path) -> None:
        write_json(folder / "measurements.json", measurements_to_json(self.measured))
        write_json(folder / "metrics.json", deciding_values(self.measured))
        counted = [rows[(rows[:, 5] > 0) & (rows[:, 4] >= self.threshold)] for rows in self.answers]
        asked = [
            hashlib.sha256(self.labels.described(place).encode()).hexdigest()
            for place in range(len(self.data))
        ]
        save_predictions(self.data, self.answers, counted, self.scores, asked, folder)
        save_confusion(confusion(self.data, counted), self.data.classes, folder / "confusion.csv")
        save_slices(self.slices, self.measured, "image_f1", folder / "slices.csv")
        save_without(name, "boxes", folder)
        point = {
            "positive": [],
            "threshold": self.threshold,
            "aim": self.aim.aim,
            "at_least": self.aim.at_least,
        }
        write_json(folder / "operating_point.json", point)
        shown = [
            (label, self.measured[f"test.{metric}"].shown)
            for metric, label in (
                ("ap", "AP"),
                ("ap50", "AP50"),
                ("recall", "found"),
                ("precision", "boxes that are right"),
            )
            if f"test.{metric}" in self.measured
        ]
        page = boxes_page(
            f"{name}: worst answers on test",
            self.data,
            counted,
            self.scores,
            params.gallery,
            shown,
            self.threshold,
        )
        write_text(folder / "mistakes.html", page)


class DetectionMeasuring:
    """See `resnet_ops.tasks.measuring.measuring.Measuring`."""

    shown: tuple[str, ...] = ("test.ap", "test.ap50", "test.recall", "test.precision", "test.worst_slice")

    def evaluate(
        self,
        model: DeployedModel,
        data: PreparedData,
        params: EvaluateParams,
        seed: int,
        progress: Progress,
        group: str | None,
    ) -> DetectionFindings:
        level, aim = params.confidence, params.score_threshold or BEST
        test = data.split("test")
        slices = find_slices(test.columns(), image_stats(test.images), params.slices)
        _, known, learned = _matched(model, data.split("validation"))
        threshold = _threshold(model.name, learned["all"], aim)
        answers, labels, found = _matched(model, test)
        by_split = (("validation", known, learned), ("test", labels, found))
        measured: dict[str, Measurement] = {}
        for split, of, matches in by_split:
            measured |= measure_detections(
                matches, of.classes, len(of.images), threshold, split, level, RESAMPLES, seed
            )
        kept = {
            name: each
            for name, each in measured.items()
            if name.startswith("test.") or name == "validation.ap"
        }
        scores = image_scores(found["all"], threshold, len(test))
        by_slice = {
            f"test.slice.{each.name}": mean_of(scores[each.rows], level)
            for each in slices
            if len(each.rows) >= params.slices.min_images
        }
        if by_slice:
            worst = min(by_slice.values(), key=lambda each: each.value)
            kept["test.worst_slice"] = worst.bare()  # its own interval would forget that it was picked
        return DetectionFindings(kept | by_slice, test, labels, answers, threshold, aim, scores, slices)


def _matched(
    model: DeployedModel, data: PreparedData
) -> tuple[np.ndarray, Labels, dict[str, list[ClassMatches]]]:
    """(N, D, 6) answers, what is true, and which box found which object."""
    rows, labels = answered(model, data), as_labels(data)
    return rows, labels, match(labels, as_detections(rows))


def _threshold(name: str, matches: list[ClassMatches], aim: ScoreThresholdParams) -> float:
    try:
        return choose_threshold(matches, aim.aim, aim.at_least)
    except DataError as error:
        say(f"{name}: {error} On validation, that is; so no box counts (test.threshold is {NONE_COUNTS:g}).")
        return NONE_COUNTS
