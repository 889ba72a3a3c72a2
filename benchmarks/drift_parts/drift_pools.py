"""Scores dealt out as references and windows: without drift, under a shift, and with classes that go or come."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from benchmarks.drift_parts.shifted_images import CLEAN, REHEARSED, SHIFTS, UNSEEN, Case, Scores
from resnet_ops.predictions import Predictions
from resnet_ops_monitoring.drift.perturbations import PERTURBATIONS
from resnet_ops_monitoring.drift.reference import Reference, build_reference
from resnet_ops_monitoring.drift.trials import Tried, calibrated_accuracy
from resnet_ops_monitoring.inference_log.frames import COLUMNS, STATISTICS
from resnet_ops_monitoring.inference_log.identity import ModelIdentity

__all__ = ["IDENTITY", "MIXES", "OWN", "REFERENCE", "Pool", "frame_of", "predictions_of"]

IDENTITY = ModelIdentity("benchmark", "1", "0" * 64)
REFERENCE = 2000
"""Rows of a reference."""
MIXES = ("one class gone", "30 % unseen class")
OWN = {
    **dict.fromkeys(("JPEG q95", "JPEG q40", "JPEG q15"), ("jpeg_compression",)),
    **dict.fromkeys(("blur", "slight blur"), ("defocus_blur", "motion_blur", "zoom_blur", "glass_blur")),
    **dict.fromkeys(("noise 2", "noise 12", "noise 25"), ("gaussian_noise", "shot_noise", "impulse_noise")),
    **dict.fromkeys(("contrast x 0.9", "contrast x 0.5", "contrast x 0.3"), ("contrast", "fog")),
    **dict.fromkeys(("brightness x 0.9", "brightness x 0.5", "gamma 2"), ("darkened",)),
    **dict.fromkeys(("brightness x 1.1", "brightness x 1.5"), ("brightness",)),
    **dict.fromkeys(("rotated 15", "rotated 30"), ("turned",)),
    "moved 1/8": ("moved",),
    "one class gone": ("class gone",),
    "channels swapped": ("inverted",),  # grey images, which have no channels to swap, come as negatives
}
"""The kinds of perturbation that are of a shift's own kind; the others have none."""


@dataclass(frozen=True)
class Pool:
    """One data set's scores, and how windows are dealt from them."""

    case: Case
    scores: dict[str, Scores]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.scores[CLEAN].probabilities.shape[1])))

    @cached_property
    def half(self) -> int:
        """Of the clean images, the first half is for references; the shifted ones are those of the second."""
        return len(self.scores[CLEAN]) // 2

    def accuracy(self, shift: str) -> float:
        """Of the model under a shift of images, less that of the same images as they were, plus that of all."""
        clean, shifted = self.scores[CLEAN], self.scores[shift]
        same = clean[slice(self.half, self.half + len(shifted))]
        return float(clean.right.mean() + shifted.right.mean() - same.right.mean())

    @cached_property
    def harmless(self) -> list[str]:
        """Shifts of images that cost at most half a point of accuracy."""
        return self._costing(-1, 0.005)

    @cached_property
    def slight(self) -> list[str]:
        """Shifts of images that cost more than that, and at most a point."""
        return self._costing(0.005, 0.01)

    def _costing(self, more: float, most: float) -> list[str]:
        clean = float(self.scores[CLEAN].right.mean())
        return [name for name in SHIFTS if more < clean - self.accuracy(name) <= most]

    def calibrated_accuracy(self, base: Scores, seed: int, without: tuple[str, ...] = ()) -> Reference:
        """The reference of these rows, rehearsed without some kinds of perturbation."""
        frame = frame_of(base, self.classes)
        reference = build_reference(frame, IDENTITY, self.classes, rows=REFERENCE, seed=seed)
        tried = [each for each in self._tried if each.kind not in without]
        accuracy_calibration = calibrated_accuracy(
            reference.schema, predictions_of(base), base.labels, tried, seed
        )
        return replace(reference, accuracy_calibration=accuracy_calibration)

    @cached_property
    def _tried(self) -> list[Tried]:
        """Each spoiling beside the same images as they were, which `scores_of` drew in this order."""
        rng, found = np.random.default_rng(0), []
        for kind, severity in PERTURBATIONS:
            scores = self.scores[f"{REHEARSED}{kind} {severity}"]
            before = self.scores[CLEAN][rng.permutation(self.half)[: len(scores)]]
            found.append(Tried(kind, predictions_of(scores), predictions_of(before), scores.labels))
        return found

    def calm(self, n: int, rng: np.random.Generator) -> tuple[Scores, Scores]:
        """A reference and a window without drift.

        From one deal of all clean images where there are enough of them; else both are drawn from them with
        replacement, as if they were the population.
        """
        clean, size = self.scores[CLEAN], min(REFERENCE, self.half)
        if n + size <= len(clean):
            order = rng.permutation(len(clean))[: n + size]
            return clean[order[:size]], clean[order[size:]]
        return clean[rng.integers(0, len(clean), size)], clean[rng.integers(0, len(clean), n)]

    def reference(self, rng: np.random.Generator) -> Scores:
        """From the first half, so that no image is in it as it was and in a window as it became."""
        return self.scores[CLEAN][rng.permutation(self.half)[:REFERENCE]]

    def shifted(self, shift: str, n: int, rng: np.random.Generator) -> Scores:
        """A window of n rows under a shift; with replacement where there are not so many images."""
        rest = self.scores[CLEAN][slice(self.half, None)]
        if shift == MIXES[0]:
            gone = rng.integers(0, len(self.classes))
            return _draw(rest[rest.labels != gone], n, rng)
        if shift == MIXES[1]:
            strangers = round(0.3 * n)
            return _draw(rest, n - strangers, rng) + _draw(self.scores[UNSEEN], strangers, rng)
        return _draw(self.scores[shift], n, rng)


def predictions_of(scores: Scores) -> Predictions:
    logits = np.log(np.maximum(scores.probabilities, 1e-30))
    return Predictions(logits, scores.probabilities, scores.embeddings, scores.predicted)


def _draw(scores: Scores, n: int, rng: np.random.Generator) -> Scores:
    return scores[rng.choice(len(scores), n, replace=n > len(scores))]


def frame_of(scores: Scores, classes: tuple[str, ...]) -> pd.DataFrame:
    """The inference log's rows for these scores."""
    n = len(scores)
    columns: dict[str, object] = {
        "request_id": [str(row) for row in range(n)],
        "time": pd.date_range("2026-01-05T08:00Z", periods=n, freq="s"),
        "model": IDENTITY.name,
        "version": IDENTITY.version,
        "digest": IDENTITY.digest,
        "source": None,
        "window": None,
        **{name: scores.statistics[:, place] for place, name in enumerate(STATISTICS)},
        "embedding": list(scores.embeddings),
        "probabilities": list(scores.probabilities),
        "predicted": [classes[label] for label in scores.predicted],
        "latency_ms": 1.0,
        "label": [classes[label] if label >= 0 else "unseen" for label in scores.labels],
    }
    return pd.DataFrame(columns)[list(COLUMNS)]
