"""The files of a cross-validation: every number, and a page that says what they are of."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from resnet_ops.cross_validation.answers import FoldAnswers
from resnet_ops.cross_validation.words import CROSS, WHAT
from resnet_ops.data import PreparedData
from resnet_ops.files import write_json, write_text
from resnet_ops.measurement import Measurement, measurements_to_json
from resnet_ops.page import document, facts, table

__all__ = ["save_folds"]


def save_folds(
    name: str,
    folds: Sequence[FoldAnswers],
    thresholds: Sequence[float | None],
    data: PreparedData,
    measured: Mapping[str, Measurement],
    folder: Path,
) -> None:
    """Write measurements.json and index.html of the member `name`."""
    write_json(folder / "measurements.json", measurements_to_json(measured))
    top1 = measured[f"{CROSS}.top1"]
    numbers = [
        (each.removeprefix(f"{CROSS}."), f"{found.value:.4f}", _interval(found), f"{found.n:,}")
        for each, found in measured.items()
        if found.unit == "fraction"
    ]
    rows = [
        _row(number, each, data, at)
        for number, (each, at) in enumerate(zip(folds, thresholds, strict=True), 1)
    ]
    columns = ("fold", "trained on", "validated on", "held out", "top-1 on these", "threshold")
    body = (
        f"<h1>{name}: {len(folds)} folds</h1><p>{WHAT}</p>"
        + facts([("top-1 over all folds", f"{top1.value:.4f}", f"{_interval(top1)}, n={top1.n:,}")])
        + "<h2>All folds together</h2>"
        + table(
            [("", False), ("measured", True), ("interval", True), ("n", True)],
            [("", [*row]) for row in numbers],
        )
        + "<h2>Each fold</h2>"
        + table([(column, True) for column in columns], [("", row) for row in rows])
    )
    write_text(folder / "index.html", document(f"{name}: cross-validation", body))


def _row(number: int, fold: FoldAnswers, data: PreparedData, threshold: float | None) -> list[str]:
    right = fold.of_held_out.argmax(axis=1) == data.labels[fold.held_out]
    at = "–" if threshold is None else f"{threshold:.4f}"
    counts = (fold.trained_on, len(fold.watched), len(fold.held_out))
    return [str(number), *(f"{count:,}" for count in counts), f"{np.mean(right):.4f}", at]


def _interval(found: Measurement) -> str:
    return "–" if found.low is None or found.high is None else f"{found.low:.4f} to {found.high:.4f}"
