"""Robustness: how much is left of a model's accuracy on corrupted images?"""

from dataclasses import dataclass

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from resnet_ops.evaluation.metrics import lowest, mean_of, proportion
from resnet_ops.measurement import Measurement
from resnet_ops.messages import Progress
from resnet_ops.predictions import DeployedModel

__all__ = ["Robustness", "measure_robustness", "try_corruptions"]

BLOCK, BYTES = 640, 1 << 31
"""Images that are corrupted at once, and their bytes, at most."""


@dataclass(frozen=True)
class Robustness:
    """What M images were taken for, clean and under each of the 15 corruptions."""

    rows: np.ndarray
    """(M,) places of the images in their split."""
    severity: np.ndarray
    """(15, M) severities, 1 to 5."""
    right: np.ndarray
    """(15, M) bool."""
    clean: np.ndarray
    """(M,) bool."""


def try_corruptions(
    model: DeployedModel, data: PreparedData, right: np.ndarray, images: int, seed: int, progress: Progress
) -> Robustness:
    """Predict at most `images` images, drawn by the seed, under every corruption.

    right: (N,) bool, whether the clean images are classified right. Each image meets each corruption once, at a
    severity that goes round from image to image and from corruption to corruption. So every pair of corruption and
    severity is tried on a fifth of the images, every image counts in every mean, and the cost is that of 15 clean
    predictions, where trying all pairs on all images costs 75. progress: takes predictions done and in all.
    """
    rows = np.random.default_rng(seed).permutation(len(data))[:images]
    turn = np.arange(len(CORRUPTIONS))[:, None] + np.arange(len(rows))
    severity, hits = turn % len(SEVERITIES) + 1, np.zeros(turn.shape, bool)
    count = max(1, min(BLOCK, BYTES // data.images[0].nbytes))
    for start in range(0, len(rows), count):
        block = slice(start, start + count)
        clean, labels = data.images[rows[block]], data.labels[rows[block]]
        for number, name in enumerate(CORRUPTIONS):
            corrupted = np.empty_like(clean)
            for level in SEVERITIES:
                chosen = severity[number, block] == level
                corrupted[chosen] = corrupt(clean[chosen], name, level, (seed, start, number, level))
            hits[number, block] = model.predict(corrupted).predicted == labels
            progress(start * len(CORRUPTIONS) + (number + 1) * len(clean), hits.size)
    return Robustness(rows, severity, hits, right[rows])


def measure_robustness(found: Robustness, confidence: float) -> dict[str, Measurement]:
    """Accuracy under each corruption, at each severity and in the mean, named `robustness.<...>`.

    `drop` is the clean accuracy on the same images less the mean one, as the paper relates the two. What rests on no
    image, such as the higher severities of too few images, is left out.
    """
    n = len(found.rows)
    if n == 0:
        return {}
    counts = {name: (int(hits.sum()), n) for name, hits in zip(CORRUPTIONS, found.right, strict=True)}
    by_image = found.right.mean(axis=0)
    measured = {
        "mean_accuracy": mean_of(by_image, confidence),
        "worst_accuracy": lowest(counts, confidence),
        "clean_accuracy": proportion(int(found.clean.sum()), n, confidence),
        "drop": mean_of(found.clean - by_image, confidence, (-1, 1)),
    }
    measured |= {f"accuracy.{name}": proportion(*count, confidence) for name, count in counts.items()}
    for level in np.unique(found.severity):
        tried = found.severity == level
        measured[f"severity.{level}"] = mean_of((found.right & tried).sum(0) / tried.sum(0), confidence)
    return {f"robustness.{name}": measurement for name, measurement in measured.items()}
