"""What a model said of masks, as files of stage `evaluate_model`."""

from pathlib import Path

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.files import write_csv, write_path

__all__ = ["save_predictions"]


def save_predictions(
    data: PreparedData,
    confusion: np.ndarray,
    boundaries: np.ndarray,
    scores: np.ndarray,
    asked: list[str],
    folder: Path,
) -> None:
    """Write predictions.csv and predictions.parquet, a row an image in the order of the manifest.

    confusion: (N, K, K). boundaries: (N, K) boundary F1, not a number where there is none. scores: (N,) fractions.
    asked: digests of the masks. `actual` and `predicted` are the classes that cover most of an image beside the
    background, in its mask and in the answer.
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
            "boundary_f1": [each.tolist() for each in boundaries],
            "confusion": [each.ravel().tolist() for each in confusion],
        }
    )
    with write_path(folder / "predictions.parquet") as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def _main(pixels: np.ndarray) -> np.ndarray:
    """(N,) the class with most of (N, K) pixels beside the background; 0 where there is only that."""
    return np.where(pixels[:, 1:].any(axis=1), pixels[:, 1:].argmax(axis=1) + 1, 0)
