"""The reference: a model's own labelled, held-out predictions, which windows are judged against."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from resnet_ops.errors import DataError
from resnet_ops.files import write_path
from resnet_ops_monitoring.frames import STATISTICS, check_columns, known, matrix
from resnet_ops_monitoring.identity import ModelIdentity

__all__ = ["Reference", "build_reference", "load_reference"]

_KEPT = ("request_id", *STATISTICS, "embedding", "probabilities", "predicted", "label")
_KEY = b"resnet_ops.reference"
_FORMAT = 1


@dataclass(frozen=True)
class Reference:
    """What a model does when all is well.

    rows: a frame with the columns request_id, image statistics, embedding, probabilities, predicted, label.
    classes: names in the order of the probabilities. seen: rows it was drawn from.
    """

    identity: ModelIdentity
    classes: tuple[str, ...]
    rows: pd.DataFrame
    seen: int

    def save(self, path: Path) -> None:
        """Write one parquet file with the identity inside, atomically; equal references give equal bytes."""
        about = {
            "format": _FORMAT,
            "identity": asdict(self.identity),
            "classes": list(self.classes),
            "seen": self.seen,
        }
        table = pa.Table.from_pandas(self.rows[list(_KEPT)], preserve_index=False)
        table = table.replace_schema_metadata({_KEY: json.dumps(about, sort_keys=True).encode()})
        with write_path(path) as temporary:
            pq.write_table(table, temporary)


def build_reference(
    frame: pd.DataFrame, identity: ModelIdentity, classes: tuple[str, ...], *, rows: int, seed: int
) -> Reference:
    """A reference from the labelled predictions of a split that the model was not trained on.

    frame: as made by `Scorer.score`, with labels. Keeps at most `rows` rows, drawn with `seed`, in their order.
    Raises DataError for rows of another model, without labels, of unknown classes or with values that are not
    finite.
    """
    check_columns(frame, (*_KEPT, "digest"), "The reference's frame")
    if len(frame) == 0:
        raise DataError(
            f"No predictions to build a reference of {identity} from; the held-out split is empty."
        )
    if set(frame["digest"]) != {identity.digest}:
        raise DataError(f"The predictions for the reference of {identity} were made by other model files.")
    if not known(frame["label"]).all():
        raise DataError(f"The reference of {identity} needs a label for every row, to know its accuracy.")
    strangers = sorted({*frame["label"], *frame["predicted"]} - set(classes))
    if strangers:
        raise DataError(f"The reference of {identity} holds classes that the model lacks: {strangers}.")
    if matrix(frame, "probabilities").shape[1] != len(classes):
        raise DataError(
            f"The reference of {identity} has not one probability for each of {len(classes)} classes."
        )
    if not all(np.isfinite(matrix(frame, name)).all() for name in ("probabilities", "embedding")):
        raise DataError(f"{identity} predicts values that are not finite on its held-out images.")
    chosen = np.arange(len(frame))
    if len(frame) > rows:
        chosen = np.sort(np.random.default_rng(seed).choice(len(frame), rows, replace=False))
    kept = frame.iloc[chosen][list(_KEPT)].reset_index(drop=True)
    return Reference(identity=identity, classes=classes, rows=kept, seen=len(frame))


def load_reference(path: Path) -> Reference:
    """Read a saved reference. Raises DataError when it is missing, damaged or something else."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; the stage that builds it has not run. Run: dvc repro") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} is not a readable reference ({error}). Delete it and run: dvc repro"
        ) from error
    try:
        return _from_table(table)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is not a reference of this program's version ({error}). Delete it and run: dvc repro"
        ) from error


def _from_table(table: pa.Table) -> Reference:
    about = json.loads((table.schema.metadata or {})[_KEY])
    if about["format"] != _FORMAT:
        raise ValueError(f"format {about['format']}, not {_FORMAT}")
    rows = table.to_pandas()
    check_columns(rows, _KEPT, "The reference")
    for name in ("embedding", "probabilities"):
        rows[name] = pd.Series([np.asarray(value, dtype=np.float32) for value in rows[name]], dtype=object)
    return Reference(
        identity=ModelIdentity(**about["identity"]),
        classes=tuple(about["classes"]),
        rows=rows,
        seen=int(about["seen"]),
    )
