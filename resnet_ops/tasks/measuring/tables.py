"""Files of stage `evaluate_model` that tasks have in common."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resnet_ops.evaluation.slices import Slice
from resnet_ops.evaluation.square import sheet
from resnet_ops.files import write_csv, write_json, write_text
from resnet_ops.measurement import Measurement

__all__ = ["save_confusion", "save_slices", "save_without"]


def save_confusion(confusion: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Write how many pixels, or objects, of each class were taken for which; what never happened is left out."""
    rows = [
        (classes[t], classes[a], int(confusion[t, a])) for t, a in zip(*np.nonzero(confusion), strict=True)
    ]
    write_csv(path, ["actual", "predicted", "count"], rows)


def save_slices(slices: Sequence[Slice], measured: dict[str, Measurement], metric: str, path: Path) -> None:
    """Write every slice, those too small to be measured without a number. metric: what was measured of them."""
    rows = []
    for each in slices:
        found = measured.get(f"test.slice.{each.name}")
        numbers = (found.value, found.low, found.high) if found else (None, None, None)
        shown = ["" if number is None else f"{number:.6f}" for number in numbers]
        rows.append([each.column, each.value, each.within, len(each.rows), *shown])
    write_csv(path, ["column", "value", "within", "n", metric, "low", "high"], rows)


def save_without(name: str, what: str, folder: Path) -> None:
    """Write the files of the stage for which `what` has nothing, so that the pipeline is one for every task."""
    for file in ("calibration.json", "operating_point.json"):
        write_json(folder / file, None)
    write_csv(folder / "robustness.csv", ["corruption", "severity", "n"], [])
    write_text(folder / "reliability.svg", sheet(f"{name}: no reliability diagram for {what}", []))
