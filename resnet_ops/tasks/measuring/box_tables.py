"""What a model said of objects, as files of stage `evaluate_model`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.files import write_csv, write_path
from resnet_ops.tasks.detection.pairing import inside, overlaps, pair

__all__ = ["confusion", "save_predictions"]


def save_predictions(
    data: PreparedData,
    answers: np.ndarray,
    counted: Sequence[np.ndarray],
    scores: np.ndarray,
    asked: Sequence[str],
    folder: Path,
) -> None:
    """Write predictions.csv and predictions.parquet, a row an image in the order of the manifest.

    answers: (N, D, 6) rows. counted: of each image those from the threshold on. scores: (N,) fractions. asked: digests
    of what is true. `actual` is the class of the manifest; `predicted` of those in the answer the one that the
    fewest of these images show.
    """
    import pyarrow
    from pyarrow import parquet

    names = np.array(data.classes, dtype=object)
    truth = [rows[(rows[:, 4] > 0) & (rows[:, 5] == 0), 4] for rows in np.asarray(data.asked)]
    counts = np.sum([_shown(each, len(names)) for each in truth], axis=0)
    predicted = [_rarest(rows[:, 5], counts) for rows in counted]
    rows = [
        (row.index, row.path, row.class_name, names[now], f"{score:.6f}", digest)
        for row, now, score, digest in zip(data.rows, predicted, scores, asked, strict=True)
    ]
    write_csv(folder / "predictions.csv", ["index", "path", "actual", "predicted", "score", "asked"], rows)
    table = pyarrow.table(
        {
            "index": [row.index for row in data.rows],
            "path": [row.path for row in data.rows],
            "sha256": [row.sha256 for row in data.rows],
            "asked": asked,
            "score": scores,
            "boxes": [each[each[:, 5] > 0].ravel().tolist() for each in answers],
        }
    )
    with write_path(folder / "predictions.parquet") as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def _shown(kinds: np.ndarray, classes: int) -> np.ndarray:
    """(K,) whether each class is among them."""
    return np.bincount(kinds.astype(int), minlength=classes) > 0


def _rarest(kinds: np.ndarray, counts: np.ndarray) -> int:
    """Of classes the one that the fewest images show; 0 where there is none."""
    return int(min(set(kinds.astype(int)), key=lambda kind: (counts[kind], kind), default=0))


def confusion(data: PreparedData, counted: Sequence[np.ndarray]) -> np.ndarray:
    """(K, K) how many objects of each class were taken for which, by the boxes that lie on them, whatever their class.

    Class 0 stands for objects without a box, and for boxes on no object. What does not count is left out.
    """
    found = np.zeros((len(data.classes),) * 2, np.int64)
    for boxes, target in zip(counted, np.asarray(data.asked), strict=True):
        objects, crowd = (target[(target[:, 4] > 0) & (target[:, 5] == kind)] for kind in (0, 1))
        places = pair(overlaps(boxes[:, :4], objects[:, :4]))
        truth = np.where(places >= 0, objects[places, 4] if len(objects) else 0, 0).astype(int)
        kept = (places >= 0) | ~inside(boxes[:, :4], crowd[:, :4])
        np.add.at(found, (truth[kept], boxes[kept, 5].astype(int)), 1)
        missed = np.setdiff1d(np.arange(len(objects)), places)
        np.add.at(found, (objects[missed, 4].astype(int), 0), 1)
    return found
