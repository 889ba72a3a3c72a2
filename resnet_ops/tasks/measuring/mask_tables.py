"""What a model said of masks, as the files of stage `evaluate_model`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.evaluation.slices import Slice
from resnet_ops.evaluation.square import sheet
from resnet_ops.files import write_csv, write_json, write_path, write_text
from resnet_ops.measurement import Measurement

__all__ = ["save_confusion", "save_predictions", "save_slices", "save_without"]


def save_predictions(
    data: PreparedData, confusion: np.ndarray, scores: np.ndarray, asked: list[str], folder: Path
) -> None:
    """Write predictions.csv and predictions.parquet, a row an image in the order of the manifest.

    confusion: (N, K, K). scores: (N,) fractions. asked: digests of the masks. `actual` and `predicted` are the classes
    that cover most of an image beside the background, in its mask and in the answer.
    """
    import pyarrow
    from pyarrow import parquet

    names = np.array(data.classes, dtype=object)
    actual, predicted = (names[_main(confusion.sum(axis=axis))] for axis in (2, 1))
    rows = [
        (row.index, row.path, truth, answer, f"{score:.6f}", digest)
        for row, truth, answer, score, digest in zip(data.rows, actual, predicted, scores, asked, strict=True)
    ]
    write_csv(folder / "predictions.csv", ["index", "path", "actual", "predicted", "score", "asked"], rows)
    table = pyarrow.table(
        {
            "index": [row.index for row in data.rows],
            "path": [row.path for row in data.rows],
            "sha256": [row.sha256 for row in data.rows],
            "asked": asked,
            "score": scores,
            "confusion": [each.ravel().tolist() for each in confusion],
        }
    )
    with write_path(folder / "predictions.parquet") as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def _main(pixels: np.ndarray) -> np.ndarray:
    """(N,) the class with most of (N, K) pixels beside the background; 0 where there is only that."""
    return np.where(pixels[:, 1:].any(axis=1), pixels[:, 1:].argmax(axis=1) + 1, 0)


def save_confusion(confusion: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Write how many pixels of each class were taken for which; what never happened is left out."""
    rows = [
        (classes[t], classes[a], int(confusion[t, a])) for t, a in zip(*np.nonzero(confusion), strict=True)
    ]
    write_csv(path, ["actual", "predicted", "count"], rows)


def save_slices(slices: Sequence[Slice], measured: dict[str, Measurement], path: Path) -> None:
    """Write every slice, those too small to be measured without an mIoU."""
    rows = []
    for each in slices:
        found = measured.get(f"test.slice.{each.name}")
        numbers = (found.value, found.low, found.high) if found else (None, None, None)
        shown = ["" if number is None else f"{number:.6f}" for number in numbers]
        rows.append([each.column, each.value, each.within, len(each.rows), *shown])
    write_csv(path, ["column", "value", "within", "n", "miou", "low", "high"], rows)


def save_without(name: str, folder: Path) -> None:
    """Write the files of the stage for which masks have nothing, so that the pipeline is one for every task."""
    for file in ("calibration.json", "operating_point.json"):
        write_json(folder / file, None)
    write_csv(folder / "robustness.csv", ["corruption", "severity", "n"], [])
    write_text(folder / "reliability.svg", sheet(f"{name}: no reliability diagram for masks", []))
