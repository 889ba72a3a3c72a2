"""The images of a window to label: some drawn at random, which tell how right the model is, and the hard ones."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops.files import write_text
from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.inference_log.frames import known, matrix
from resnet_ops_monitoring.statistics.accuracy import confidence as confidence_of
from resnet_ops_monitoring.statistics.reservoir import hash_priority
from resnet_ops_monitoring.statistics.two_sample import embedding_distances

__all__ = ["HARD", "labelling_list", "write_labelling_list"]

HARD = ("least confident", "farthest from what it was tested on")
"""Why an image is listed because its label teaches much: such are wrong more often than others."""

_COLUMNS = ("request_id", "path", "predicted", "confidence", "why", "label")


def labelling_list(
    frame: pd.DataFrame,
    uniform: NDArray[np.bool_],
    reference: Reference,
    images: int,
    folder: Path | None,
) -> pd.DataFrame:
    """At most `images` unlabelled rows: half of them drawn at random, the others hard.

    uniform: (rows,) those that the log kept whatever is in them; only these can be drawn at random. The half is the
    random sample: the rows of the lowest hash priority by request id, whatever the model made of them, so that a second
    list of the same window draws the same. Of the hard ones half are those of least confidence, half those farthest
    from the reference. Columns request_id, path (where `folder` holds a file of the request's id), predicted,
    confidence, why and an empty label: filled in, the file goes to `resnet-ops log label`.
    """
    finite = np.isfinite(matrix(frame, "probabilities")).all(axis=1) if len(frame) else np.zeros(0, bool)
    rows, uniform = frame.iloc[np.flatnonzero(finite)], uniform[finite]
    unlabelled = ~known(rows["label"]) if len(rows) else np.zeros(0, bool)
    if not unlabelled.any():
        return pd.DataFrame(columns=pd.Index(_COLUMNS))
    confidence = confidence_of(matrix(rows, "probabilities"), reference.schema.scalars)
    distance = embedding_distances(matrix(reference.rows, "embedding"), matrix(rows, "embedding"))
    priorities = hash_priority(rows["request_id"], reference.schema.seed)
    in_order = np.argsort(priorities, kind="stable")
    drawn = in_order[uniform[in_order]][: (images + 1) // 2]
    why = {int(row): "drawn at random" for row in drawn if unlabelled[row]}
    hard = images - len(why)
    for row in np.argsort(confidence, kind="stable"):
        if sum(each == HARD[0] for each in why.values()) >= (hard + 1) // 2:
            break
        if unlabelled[row]:
            why.setdefault(int(row), HARD[0])
    for row in np.argsort(-distance, kind="stable"):
        if len(why) >= images:
            break
        if unlabelled[row]:
            why.setdefault(int(row), HARD[1])
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
