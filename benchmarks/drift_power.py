"""How often the drift alarm fires: without drift, under harmful shifts, under harmless ones; and how well it guesses.

    python benchmarks/drift_power.py --data DATA

DATA holds `fashion-mnist` (the four idx files) and `cifar10` (the binary version, or `cifar10_jpeg.npz`). Trains a small
ResNet of our own on each data set, without its last class; scores images that it never saw, as they are and shifted,
once, and keeps the scores in CACHE; then deals windows and judges each by `resnet_ops_monitoring.detector.judge`, the
same that judges production. Beside it, on the same windows: Kolmogorov-Smirnov on the softmax columns (BBSD, Rabanser et
al. 2019), and Evidently's default, the share of drifted columns, on image statistics. Writes the tables in docs/drift.md.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "pipelines"))

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.shifted_images import CASES, CLEAN, SHIFTS, UNSEEN, Case, Scores, scores_of
from resnet_ops.files import write_text
from resnet_ops.provenance import environment, git_state, hardware
from resnet_ops_monitoring.accuracy import accuracy_threshold, estimated_accuracy, negative_entropy
from resnet_ops_monitoring.budget import remember, shared_luck, window_alpha
from resnet_ops_monitoring.detector import judge
from resnet_ops_monitoring.frames import COLUMNS, STATISTICS
from resnet_ops_monitoring.identity import ModelIdentity
from resnet_ops_monitoring.params import DriftParams, read_drift_params
from resnet_ops_monitoring.reference import Reference, build_reference
from resnet_ops_monitoring.two_sample import kolmogorov_smirnov

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "drift.md"
START, END = "<!-- drift power: begin -->", "<!-- drift power: end -->"
IDENTITY = ModelIdentity("benchmark", "1", "0" * 64)
SIZES = (50, 100, 500, 1000, 10_000)
REFERENCE = 2000
SHARED = 10
"""Windows that are judged against one reference before another is dealt."""
MIXES = ("one class gone", "30 % unseen class")
HARMFUL = ("JPEG q40", "channels swapped", "blur", *MIXES)
LEVEL = 0.05
Rows = NDArray[np.int64]


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
        """Shifts of images that cost at most a point."""
        return [name for name in SHIFTS if self.accuracy(name) >= self.scores[CLEAN].right.mean() - 0.01]

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


@dataclass(frozen=True)
class Rates:
    """Shares of windows that alarm, by each method; Evidently's over fewer windows."""

    ours: float
    input_drift: float
    softmax: float
    evidently: float | None


@dataclass(frozen=True)
class Judges:
    """The methods that are compared. each, evidently: windows for them."""

    params: DriftParams
    each: int
    evidently: int

    def rates(self, pool: Pool, shift: str, n: int, windows: int) -> Rates:
        """windows: at least `each`; more where there is no drift."""
        rng = np.random.default_rng(0)
        ours, image, plain, theirs = [], [], [], []
        reference, base = None, None
        for number in range(windows):
            if shift == "none":
                fresh, window = pool.calm(n, rng)
            else:
                fresh, window = pool.reference(rng), pool.shifted(shift, n, rng)
            if shift == "none" or number % SHARED == 0 or reference is None:
                base = fresh
                reference = reference_of(base, pool.classes, self.params.seed)
            verdict = judge(
                frame_of(window, pool.classes), reference, replace(self.params, seed=number), window="w"
            )
            ours.append(verdict.status == "alarm")
            image.append(verdict.input_drift)
            plain.append(bbsd(base, window))
            if len(theirs) < self.evidently:
                theirs.append(evidently(base, window))
        share = float(np.mean(theirs)) if theirs else None
        return Rates(float(np.mean(ours)), float(np.mean(image)), float(np.mean(plain)), share)


def reference_of(scores: Scores, classes: tuple[str, ...], seed: int) -> Reference:
    return build_reference(frame_of(scores, classes), IDENTITY, classes, rows=REFERENCE, seed=seed)


def bbsd(reference: Scores, window: Scores) -> bool:
    """Kolmogorov-Smirnov on each softmax column, Bonferroni."""
    before, now = reference.probabilities, window.probabilities
    columns = range(before.shape[1])
    return min(kolmogorov_smirnov(before[:, k], now[:, k])[1] for k in columns) <= LEVEL / len(columns)


def evidently(reference: Scores, window: Scores) -> bool:
    """The dataset drift of `DataDriftPreset` on image statistics, all as it comes."""
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import Report
        from evidently.presets import DataDriftPreset

        frames = [pd.DataFrame(each.statistics, columns=list(STATISTICS)) for each in (window, reference)]
        found = Report([DataDriftPreset()]).run(frames[0], frames[1]).dict()
    share = next(each["value"]["share"] for each in found["metrics"] if "DriftedColumnsCount" in str(each))
    return bool(share >= 0.5)
