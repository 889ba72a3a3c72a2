"""Evaluate a model on the test split: every number with its interval, and the files that show where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resnet_ops.data import PreparedData, image_stats
from resnet_ops.evaluation.agreement import measure_agreement
from resnet_ops.evaluation.calibration import Reliability, log_losses, measure_calibration, reliability
from resnet_ops.evaluation.curves import curve_panels
from resnet_ops.evaluation.diagram import reliability_panel
from resnet_ops.evaluation.gallery import mistakes_page
from resnet_ops.evaluation.metrics import measure_predictions, share_right
from resnet_ops.evaluation.operating_point import curve, measure_operating_point, score
from resnet_ops.evaluation.params import EvaluateParams
from resnet_ops.evaluation.reject import confidence_of, measure_reject, reject_panel
from resnet_ops.evaluation.retrieval import measure_retrieval
from resnet_ops.evaluation.robustness import Robustness, measure_robustness, try_corruptions
from resnet_ops.evaluation.slices import Slice, find_slices, measure_slices
from resnet_ops.evaluation.square import sheet
from resnet_ops.evaluation.tables import (
    save_confusion,
    save_predictions,
    save_robustness,
    save_slices,
)
from resnet_ops.evaluation.temperature import fit_temperature, log_softmax
from resnet_ops.files import write_json, write_text
from resnet_ops.measurement import Measurement, deciding_values, measurements_to_json
from resnet_ops.messages import Progress
from resnet_ops.predictions import DeployedModel

__all__ = ["THRESHOLDS", "Evaluation", "evaluate", "save_evaluation"]

SPLIT = "test"
OPERATING, REJECT = THRESHOLDS = "operating.threshold", "reject.threshold"
"""Chosen on validation; they belong to a model as its weights do."""


@dataclass(frozen=True)
class Evaluation:
    """What was found about one model. Rows are those of the test split, (N, ...)."""

    measured: dict[str, Measurement]
    data: PreparedData
    log_probabilities: np.ndarray
    slices: list[Slice]
    reliability: dict[str, Reliability]
    """Without and with temperature scaling."""
    robustness: Robustness
    decided: tuple[np.ndarray, np.ndarray] | None = None
    """Which images are positive, and their scores, where there is an operating point."""
    groups: np.ndarray | None = None
    """Which group each image is of, where they come in groups."""

    @property
    def called(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(N,) bool each: which images are positive, and which are called so; None without a threshold."""
        threshold = self.measured.get(OPERATING)
        if self.decided is None or threshold is None:
            return None
        positive, scores = self.decided
        return positive, scores >= threshold.value

    @property
    def predicted(self) -> np.ndarray:
        return np.asarray(self.log_probabilities.argmax(axis=1))

    @property
    def right(self) -> np.ndarray:
        return np.asarray(self.predicted == self.data.labels)


def evaluate(
    model: DeployedModel,
    data: PreparedData,
    params: EvaluateParams,
    seed: int,
    progress: Progress = lambda done, total: None,
    group: str | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> Evaluation:
    """Measure a model on the test split of `data`; its validation split sets the temperature.

    Top-1 on the validation split is measured too: models are chosen by it, so that their numbers on the test split are
    not those of the luckiest. The same seed gives the same numbers. group: the column of the manifest whose images
    belong together; docs/evaluation.md says which intervals know it. thresholds: those of `THRESHOLDS` that the model
    has already, and keeps. progress: takes predictions of corrupted images, done and in all.
    """
    validation, test = data.split("validation"), data.split(SPLIT)
    slices = find_slices(test.columns(), image_stats(test.images), params.slices)
    groups = test.groups(group)
    level, bins = params.confidence, params.calibration_bins
    of_validation, of_test = model.predict(validation.images), model.predict(test.images)
    learned, logits = of_validation.logits, of_test.logits
    temperature = fit_temperature(learned, validation.labels, level)
    plain, calibrated = log_softmax(logits), log_softmax(logits, temperature.value)
    right = plain.argmax(axis=1) == test.labels
    measured = measure_predictions(np.exp(plain), test.labels, test.classes, SPLIT, level, groups)
    measured |= measure_calibration(plain, test.labels, SPLIT, bins, level, seed)
    measured |= measure_calibration(calibrated, test.labels, "calibrated", bins, level, seed)
    measured["calibrated.temperature"] = temperature
    chosen_by = learned.argmax(axis=1) == validation.labels
    measured["validation.top1"] = share_right(chosen_by, level, validation.groups(group))
    before = np.exp(log_softmax(learned)), validation
    after = np.exp(plain), test
    decisions, decided = _measure_decisions(before, after, params, seed, groups, thresholds or {})
    measured |= decisions
    if params.retrieval is not None:
        gallery, queries = (of_validation.embeddings, validation.labels), (of_test.embeddings, test.labels)
        measured |= measure_retrieval(gallery, queries, params.retrieval, level, groups)
    measured |= measure_agreement(test.columns(), SPLIT, level, groups)
    measured |= measure_slices(right, slices, params.slices.min_images, SPLIT, level, groups)
    robustness = try_corruptions(model, test, right, params.robustness.images, seed, progress)
    measured |= measure_robustness(robustness, level)
    shown = {"as it is": plain, f"temperature {temperature.value:.3f}": calibrated}
    tables = {name: reliability(np.exp(each), test.labels, bins) for name, each in shown.items()}
    return Evaluation(measured, test, plain, slices, tables, robustness, decided, groups)


def _measure_decisions(
    validation: tuple[np.ndarray, PreparedData],
    test: tuple[np.ndarray, PreparedData],
    params: EvaluateParams,
    seed: int,
    groups: np.ndarray | None,
    thresholds: Mapping[str, float],
) -> tuple[dict[str, Measurement], tuple[np.ndarray, np.ndarray] | None]:
    """What holds at the operating point and with the reject option, and `Evaluation.decided`.

    validation, test: (N, C) probabilities, and the images that they are of.
    """
    found: dict[str, Measurement] = {}
    decided, splits = None, (validation, test)
    if (point := params.operating_point) is not None:
        tuned, decided = (score(each, of.labels, of.classes, point.positive) for each, of in splits)
        at = thresholds.get(OPERATING)
        found |= measure_operating_point(tuned, decided, point, params.confidence, seed, groups, at)
    if params.reject is not None:
        tuned, sure = ((confidence_of(each), each.argmax(axis=1) == of.labels) for each, of in splits)
        found |= measure_reject(tuned, sure, params.reject, params.confidence, groups, thresholds.get(REJECT))
    return found, decided


def save_evaluation(found: Evaluation, name: str, params: EvaluateParams, folder: Path) -> None:
    """Write what was found about the model `name`: docs/evaluation.md says what is in each file."""
    write_json(folder / "measurements.json", measurements_to_json(found.measured))
    write_json(folder / "metrics.json", deciding_values(found.measured))
    losses = log_losses(found.log_probabilities, found.data.labels)
    save_predictions(found.data, np.exp(found.log_probabilities), losses, folder, _more_columns(found))
    save_confusion(found.data.labels, found.predicted, found.data.classes, folder / "confusion.csv")
    save_slices(found.slices, found.right, found.measured, SPLIT, folder / "slices.csv")
    save_robustness(found.robustness, params.confidence, folder / "robustness.csv")
    title = f"{name}: worst mistakes on {SPLIT}"
    agreement = found.measured.get(f"{SPLIT}.rater_alpha")
    page = mistakes_page(title, found.data, found.log_probabilities, params.gallery, agreement)
    write_text(folder / "mistakes.html", page)
    write_json(folder / "calibration.json", _calibration(found))
    threshold = found.measured.get(OPERATING)
    at = threshold.value if threshold else None
    drawn = curve(found.decided, at) if found.decided else None
    looked_for = params.operating_point.positive if params.operating_point else ()
    write_json(folder / "operating_point.json", drawn and {"positive": looked_for, **drawn})
    panels = [reliability_panel(way, bins, params.confidence) for way, bins in found.reliability.items()]
    panels += curve_panels(drawn, found.measured) if drawn else []
    if params.reject is not None:
        chosen = found.measured.get(REJECT)
        sure = confidence_of(np.exp(found.log_probabilities))
        panels.append(reject_panel(sure, found.right, chosen.value if chosen else None))
    write_text(folder / "reliability.svg", sheet(f"{name} on {SPLIT}", panels))


def _more_columns(found: Evaluation) -> dict[str, np.ndarray]:
    """Of predictions.csv: which images belong together, by number, and the decisions at the operating point."""
    columns = {}
    if found.groups is not None:
        columns["group"] = np.unique(found.groups, return_inverse=True)[1]
    if found.called is not None:
        for name, each in zip(("positive", "called"), found.called, strict=True):
            columns[name] = np.where(each, "yes", "no")
    return columns


def _calibration(found: Evaluation) -> dict[str, Any]:
    temperature = found.measured["calibrated.temperature"]
    return {
        "temperature": temperature.value,
        "fitted_on": "validation",
        "n": temperature.n,
        "bins": {
            name: [
                {"count": int(count), "confidence": float(stated), "accuracy": float(true)}
                for count, stated, true in zip(bins.count, bins.confidence, bins.accuracy, strict=True)
            ]
            for name, bins in found.reliability.items()
        },
    }
