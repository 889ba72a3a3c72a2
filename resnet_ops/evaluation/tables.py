"""What a model said, as tables: image by image, confusion by confusion, slice by slice, corruption by corruption."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.evaluation.corruptions import CORRUPTIONS
from resnet_ops.evaluation.metrics import confusion_matrix, proportion
from resnet_ops.evaluation.robustness import Robustness
from resnet_ops.evaluation.slices import Slice
from resnet_ops.files import write_csv, write_path
from resnet_ops.measurement import Measurement

__all__ = ["save_confusion", "save_predictions", "save_robustness", "save_slices"]


def save_predictions(
    data: PreparedData,
    probabilities: np.ndarray,
    losses: np.ndarray,
    folder: Path,
    more: Mapping[str, np.ndarray],
) -> None:
    """Write predictions.csv and predictions.parquet, a row an image in the order of the manifest.

    probabilities: (N, C). losses: (N,) in nats. more: (N,) columns of the CSV file beyond those of every model. The
    parquet file holds index, path, sha256 (of the pixels), label, predicted, loss and all C probabilities as a list,
    whose class names are in its metadata under `classes`.
    """
    import pyarrow
    from pyarrow import parquet

    predicted = probabilities.argmax(axis=1)
    names = np.array(data.classes, dtype=object)
    rows = [
        (row.index, row.path, truth, answer, f"{probability:.6f}", *others)
        for row, truth, answer, probability, *others in zip(
            data.rows,
            names[data.labels],
            names[predicted],
            probabilities.max(axis=1),
            *more.values(),
            strict=True,
        )
    ]
    write_csv(folder / "predictions.csv", ["index", "path", "actual", "predicted", "confidence", *more], rows)
    flat = pyarrow.array(probabilities.astype(np.float32).ravel())
    table = pyarrow.table(
        {
            "index": [row.index for row in data.rows],
            "path": [row.path for row in data.rows],
            "sha256": [row.sha256 for row in data.rows],
            "label": names[data.labels],
            "predicted": names[predicted],
            "loss": losses,
            "probabilities": pyarrow.FixedSizeListArray.from_arrays(flat, len(data.classes)),
        },
        metadata={"classes": json.dumps(data.classes)},
    )
    with write_path(folder / "predictions.parquet") as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def save_confusion(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Write how often each class was taken for which: actual, predicted, count; what never happened is left out."""
    confusion = confusion_matrix(labels, predicted, len(classes))
    happened = zip(*np.nonzero(confusion), strict=True)
    rows = [(classes[truth], classes[answer], int(confusion[truth, answer])) for truth, answer in happened]
    write_csv(path, ["actual", "predicted", "count"], rows)


def save_slices(
    slices: Sequence[Slice], right: np.ndarray, measured: dict[str, Measurement], split: str, path: Path
) -> None:
    """Write every slice, those too small to be measured without an accuracy. right: (N,) bool."""
    rows = []
    for each in slices:
        found = measured.get(f"{split}.slice.{each.name}")
        numbers = [
            "" if number is None else f"{number:.6f}"
            for number in ((found.value, found.low, found.high) if found else (None, None, None))
        ]
        rows.append(
            [each.column, each.value, each.within, len(each.rows), int(right[each.rows].sum()), *numbers]
        )
    write_csv(path, ["column", "value", "within", "n", "right", "top1", "low", "high"], rows)


def save_robustness(found: Robustness, confidence: float, path: Path) -> None:
    """Write the accuracy under each corruption at each severity, on the images that met it there."""
    rows = []
    for name, severity, right in zip(CORRUPTIONS, found.severity, found.right, strict=True):
        for level in np.unique(severity):
            hits = right[severity == level]
            share = proportion(int(hits.sum()), len(hits), confidence)
            numbers = [f"{number:.6f}" for number in (share.value, share.low, share.high)]
            rows.append([name, level, len(hits), int(hits.sum()), *numbers])
    write_csv(path, ["corruption", "severity", "n", "right", "top1", "low", "high"], rows)
