"""The images of a window from which a person's labels teach most: what the model doubts, and what is new to it."""

from pathlib import Path

import numpy as np
import pandas as pd

from resnet_ops.files import write_text
from resnet_ops_monitoring.frames import known, matrix
from resnet_ops_monitoring.reference import Reference
from resnet_ops_monitoring.two_sample import embedding_distances

__all__ = ["labelling_list", "write_labelling_list"]

_COLUMNS = ("request_id", "path", "predicted", "confidence", "why", "label")


def labelling_list(
    frame: pd.DataFrame, reference: Reference, images: int, folder: Path | None
) -> pd.DataFrame:
    """At most `images` unlabelled rows: half those of least confidence, half those farthest from the reference.

    Columns request_id, path (where `folder` holds a file of the request's id), predicted, confidence, why and an empty
    label: filled in, the file goes to `resnet-ops log label`.
    """
    finite = np.isfinite(matrix(frame, "probabilities")).all(axis=1) if len(frame) else np.zeros(0, bool)
    rows = frame[finite & ~known(frame["label"])] if len(frame) else frame
    if not len(rows):
        return pd.DataFrame(columns=pd.Index(_COLUMNS))
    confidence = matrix(rows, "probabilities").max(axis=1)
    distance = embedding_distances(matrix(reference.rows, "embedding"), matrix(rows, "embedding"))
    doubted = np.argsort(confidence, kind="stable")
    newest = np.argsort(-distance, kind="stable")
    why = {int(row): "least confident" for row in doubted[: (images + 1) // 2]}
    for row in newest:
        if len(why) >= min(images, len(rows)):
            break
        why.setdefault(int(row), "farthest from what it was tested on")
    chosen = rows.iloc[list(why)]
    return pd.DataFrame(
        {
            "request_id": chosen["request_id"].tolist(),
            "path": [_path(folder, name) for name in chosen["request_id"]],
            "predicted": chosen["predicted"].tolist(),
            "confidence": confidence[list(why)].round(4),
            "why": list(why.values()),
            "label": "",
        }
    )


def write_labelling_list(path: Path, table: pd.DataFrame) -> None:
    """Write it as CSV, atomically."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def _path(folder: Path | None, request_id: str) -> str:
    """The request's image, if its id is a path to a file inside the folder."""
    if folder is None or "\0" in request_id:
        return ""
    path = (folder / request_id).resolve()
    inside = path.is_relative_to(folder.resolve()) and path.is_file()
    return str(folder / request_id) if inside else ""
