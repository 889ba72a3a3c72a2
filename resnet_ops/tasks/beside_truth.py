"""A team's own answers, measured beside a file or folder of what is true: boxes that a detector drew."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_ops.measurement import Measurement
from resnet_ops.tasks.task import Headline, Remedy

__all__ = ["MeasuredAnswers", "Remedy", "Truth", "measure_beside_truth"]

RESAMPLES = 1000


@dataclass(frozen=True)
class Truth:
    """What is true of images, and how answers are held against it."""

    source: Path
    """Labels as `resnet_ops.tasks.detection.labels.reading.read_labels` takes them."""
    images: Path | None
    """Their folder; None to take the labels' word for names and sizes."""
    faults: Remedy
    threshold: float
    """The score from which an answer counts, chosen on other images."""


@dataclass(frozen=True)
class MeasuredAnswers:
    """What was measured on N images."""

    measurements: dict[str, Measurement]
    images: tuple[tuple[str, str], ...]
    """By name in order: an image's name, and all that is true of it."""
    scores: np.ndarray
    """(N,) in [0, 1], in the same order."""
    first: tuple[str, ...]
    """The measurements that a person looks at first."""
    notes: tuple[str, ...]
    task: str
    headline: Headline


def measure_beside_truth(
    predictions: Path, truth: Truth, split: str, confidence: float, seed: int
) -> MeasuredAnswers:
    """Measure a file of detections. Raises DataError that names what is wrong, before anything is measured."""
    from resnet_ops.tasks.detection.detections import read_detections
    from resnet_ops.tasks.detection.labels.reading import read_labels
    from resnet_ops.tasks.detection.matching import match
    from resnet_ops.tasks.detection.measures import measure_detections
    from resnet_ops.tasks.detection.score_threshold import image_scores

    labels = read_labels(truth.source, truth.faults, images=truth.images)
    matches, n = match(labels, read_detections(predictions, labels)), len(labels.images)
    measured = measure_detections(
        matches, labels.classes, n, truth.threshold, split, confidence, RESAMPLES, seed
    )
    order = sorted(range(n), key=lambda place: labels.images[place].file)
    scores = image_scores(matches["all"], truth.threshold, n)
    return MeasuredAnswers(
        measured,
        tuple((labels.images[place].file, labels.described(place)) for place in order),
        scores[order],
        tuple(f"{split}.{name}" for name in ("ap", "ap50", "recall", "precision")),
        labels.notes,
        "detection",
        Headline("ap", "AP"),
    )
