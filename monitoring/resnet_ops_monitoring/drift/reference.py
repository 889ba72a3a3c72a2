"""The reference: what windows are judged against.

The first is made of the model's own labelled, held-out predictions. A reviewer may accept a window of production as the
new normal; its accuracy stays the labelled one's.
"""

import io
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from resnet_ops.errors import DataError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.files import write_path
from resnet_ops_monitoring.drift.accuracy_calibration import AccuracyCalibration
from resnet_ops_monitoring.inference_log.frames import (
    COLUMNS,
    STATISTICS,
    InvalidRows,
    check_columns,
    known,
    matrix,
)
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.statistics.accuracy import (
    ACCURACY,
    Accuracy,
    accuracy_threshold,
    certainty,
    counted_accuracy,
)
from resnet_ops_monitoring.statistics.bins import edges_of
from resnet_ops_monitoring.statistics.class_mix import MixSpace
from resnet_ops_monitoring.statistics.summary import (
    SummarySchema,
    WindowSummary,
    columns_of,
    load_summary,
    summarise,
)
from resnet_ops_monitoring.statistics.two_sample import Whitening

__all__ = ["Acceptance", "Reference", "Scored", "accept_window", "build_reference", "load_reference"]


_KEPT = ("request_id", *STATISTICS, "embedding", "probabilities", "predicted", "label")
_KEY, _ARRAYS, _SUMMARY = b"resnet_ops.reference", b"resnet_ops.arrays", b"resnet_ops.summary"
_FORMAT, _READABLE = 3, (2, 3)
_CALIBRATION = "rehearsal."
_LEAST = 4  # rows: half of them say how embeddings vary, the others are compared


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows of a task whose images are not just right or wrong. measured: what their scores are. scores: (n,) in [0, 1].
    scalars: names of the numbers that are in the place of probabilities. score_threshold: as in `SummarySchema`.
    """

    measured: str
    scores: NDArray[np.float64]
    scalars: tuple[str, ...]
    score_threshold: float | None = None


@dataclass(frozen=True)
class Acceptance:
    """Who took a window of production as the new normal, why and when. start, end: of its rows."""

    by: str
    why: str
    at: datetime
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Reference:
    """What a model does when all is well.

    rows: at most `schema.rows` of the rows it was made of, with the columns request_id, image statistics, embedding,
    probabilities, predicted, label (known in a labelled reference). classes: names in the order of the probabilities,
    or what an image can be predicted as where `schema.scalars` are in their place.
    seen: rows it was made of, all of them in `summary`. confusion: (K, K) labelled held-out rows, [predicted class,
    true class]. accepted: None for the labelled reference. rehearsal: what the model made of perturbed images, where it
    was calibrated. worth: how many independent rows a labelled one is worth, in (0, 1], where they are of groups.
    measured: what accuracies are. scores: the sum of all labelled rows' scores, where an image is not just right or
    wrong.
    """

    identity: ModelIdentity
    classes: tuple[str, ...]
    rows: pd.DataFrame
    seen: int
    schema: SummarySchema
    summary: WindowSummary
    confusion: NDArray[np.int64]
    accepted: Acceptance | None = None
    accuracy_calibration: AccuracyCalibration | None = None
    worth: float = 1.0
    measured: str = ACCURACY
    scores: float | None = None

    @property
    def right(self) -> float:
        """Labelled held-out rows that were right, or the sum of their scores."""
        return int(np.trace(self.confusion)) if self.scores is None else self.scores

    @cached_property
    def mix_space(self) -> MixSpace | None:
        """Where another mix of classes shifts the embeddings; None where the version was not calibrated for it."""
        if self.accuracy_calibration is None:
            return None
        return self.accuracy_calibration.mix_space(Whitening.of(self.summary.reservoir.embedding))

    def accuracy(self, confidence: float) -> Accuracy:
        """When it was tested, on labelled held-out rows."""
        counted = counted_accuracy(self.right, int(self.confusion.sum()), confidence, self.worth)
        if counted is None:
            raise DataError(f"The reference of {self.identity} is empty. Build it again: dvc repro")
        return counted

    def save(self, path: Path) -> None:
        """Write one parquet file with all of it inside, atomically; equal references give equal bytes."""
        about = {
            "format": _FORMAT,
            "identity": asdict(self.identity),
            "classes": list(self.classes),
            "seen": self.seen,
            "basis": {name: getattr(self.schema, name) for name in ("features", "threshold", "rows", "seed")},
            "operating": None if self.schema.operating is None else asdict(self.schema.operating),
            "accepted": None if self.accepted is None else _written(self.accepted),
            **({} if self.worth == 1 else {"worth": self.worth}),
            **({} if self.scores is None else {"measured": self.measured, "scores": self.scores}),
            **({"scalars": list(self.schema.scalars)} if self.schema.scalars else {}),
            **(
                {}
                if self.schema.score_threshold is None
                else {"score_threshold": self.schema.score_threshold}
            ),
        }
        arrays = io.BytesIO()
        calibrated_accuracy = (
            {} if self.accuracy_calibration is None else self.accuracy_calibration.to_arrays()
        )
        content = {"edges": self.schema.edges, "confusion": self.confusion}
        content |= {f"{_CALIBRATION}{name}": array for name, array in calibrated_accuracy.items()}
        np.savez_compressed(arrays, allow_pickle=False, **content)
        metadata = {
            _KEY: json.dumps(about, sort_keys=True).encode(),
            _ARRAYS: arrays.getvalue(),
            _SUMMARY: self.summary.to_bytes(),
        }
        table = pa.Table.from_pandas(self.rows[list(_KEPT)], preserve_index=False)
        with write_path(path) as temporary:
            pq.write_table(table.replace_schema_metadata(metadata), temporary)


def build_reference(
    frame: pd.DataFrame,
    identity: ModelIdentity,
    classes: tuple[str, ...],
    *,
    rows: int,
    seed: int,
    operating: OperatingPoint | None = None,
    scored: Scored | None = None,
) -> Reference:
    """A reference from the labelled predictions of a split that the model was not trained on.

    frame: as made by `Scorer.score`, with labels. All rows are counted; at most `rows` are kept, drawn with `seed`, in
    their order; windows' reservoirs have the same size. operating: where the version decides. scored: where an image
    has a score and numbers instead. Raises DataError for rows of another model, without labels, of unknown classes or
    with values that are not finite.
    """
    check_columns(frame, COLUMNS, "The reference's frame")
    if len(frame) < _LEAST:
        raise DataError(
            f"{len(frame)} predictions are too few to build a reference of {identity} from; it needs {_LEAST} at the "
            "very least. Give the held-out split more images."
        )
    if set(frame["digest"]) != {identity.digest}:
        raise DataError(f"The predictions for the reference of {identity} were made by other model files.")
    if not known(frame["label"]).all():
        raise DataError(f"The reference of {identity} needs a label for every row, to know its accuracy.")
    if operating is not None and (unknown := set(operating.positive) - set(classes)):
        raise DataError(
            f"The operating point of {identity} looks for {', '.join(sorted(unknown))}, which the model does not know. "
            "Measure the version again: resnet-ops attest evaluation"
        )
    strangers = sorted({*frame["label"], *frame["predicted"]} - set(classes))
    if strangers:
        raise DataError(f"The reference of {identity} holds classes that the model lacks: {strangers}.")
    probabilities = matrix(frame, "probabilities")
    scalars = () if scored is None else scored.scalars
    if probabilities.shape[1] != len(scalars or classes):
        raise DataError(
            f"The reference of {identity} has rows of {probabilities.shape[1]} numbers, not one for each of "
            f"{', '.join(scalars or classes)[:200]}."
        )
    if not all(np.isfinite(values).all() for values in (probabilities, matrix(frame, "embedding"))):
        raise DataError(f"{identity} predicts values that are not finite on its held-out images.")
    right = np.asarray(frame["predicted"] == frame["label"], dtype=bool)
    threshold = accuracy_threshold(
        certainty(probabilities, scalars), right if scored is None else scored.scores
    )
    counted = None if scored is None else scored.score_threshold
    schema = _schema(frame, identity, classes, threshold, rows, seed, operating, scalars, counted)
    names = pd.Index(classes)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(
        confusion, tuple(names.get_indexer(pd.Index(frame[name])) for name in ("predicted", "label")), 1
    )
    made = _reference(frame, schema, confusion)
    if len(made.rows) < _LEAST:
        raise DataError(
            f"The {len(frame)} predictions for the reference of {identity} are of {len(made.rows)} groups; it needs "
            f"{_LEAST} at the very least. Give the held-out split more groups."
        )
    made = replace(made, worth=made.summary.worth)
    if scored is None:
        return made
    return replace(made, measured=scored.measured, scores=float(scored.scores.sum()))


def accept_window(reference: Reference, frame: pd.DataFrame, *, by: str, why: str, at: datetime) -> Reference:
    """The reference that takes a window's rows as the new normal, with who said so, why and when.

    frame: the window's rows, as they were judged; those that are not finite are left out. Labels may be missing, since
    accuracy and its estimate stay those of the labelled reference. Raises DataError when `by` or `why` is empty or the
    rows cannot be used.
    """
    if not by.strip() or not why.strip():
        raise DataError("Who accepts a window as the new normal must give a name and a reason.")
    check_columns(frame, COLUMNS, "The window to accept")
    old = reference.schema
    before = summarise(frame, old)
    if before.start is None or before.end is None or before.independent < _LEAST:
        raise InvalidRows(
            f"The window has {before.rows} rows, of which {before.unusable} are not finite; a reference needs "
            f"{_LEAST} usable rows at the very least, of as many groups. Accept another window."
        )
    schema = _schema(
        frame,
        old.identity,
        old.classes,
        old.threshold,
        old.rows,
        old.seed,
        old.operating,
        old.scalars,
        old.score_threshold,
    )
    accepted = Acceptance(by=by, why=why, at=at, start=before.start, end=before.end)
    made = _reference(frame, schema, reference.confusion)
    return replace(
        made,
        accepted=accepted,
        accuracy_calibration=reference.accuracy_calibration,
        worth=reference.worth,
        measured=reference.measured,
        scores=reference.scores,
    )


def _schema(
    frame: pd.DataFrame,
    identity: ModelIdentity,
    classes: tuple[str, ...],
    threshold: float,
    rows: int,
    seed: int,
    operating: OperatingPoint | None,
    scalars: tuple[str, ...],
    score_threshold: float | None,
) -> SummarySchema:
    columns = columns_of(frame, matrix(frame, "probabilities"), scalars)
    return SummarySchema(
        identity=identity,
        classes=classes,
        edges=np.stack([edges_of(values) for values in columns]),
        features=matrix(frame, "embedding").shape[1],
        threshold=threshold,
        rows=rows,
        seed=seed,
        operating=operating,
        scalars=scalars,
        score_threshold=score_threshold,
    )


def _reference(frame: pd.DataFrame, schema: SummarySchema, confusion: NDArray[np.int64]) -> Reference:
    summary = summarise(frame, schema)
    kept = frame[frame["request_id"].isin(set(summary.reservoir.ids.tolist()))]
    rows = kept[list(_KEPT)].reset_index(drop=True)
    for name in ("embedding", "probabilities"):  # as they are read back, whatever held them
        rows[name] = pd.Series(list(matrix(rows, name)), dtype=object)
    return Reference(
        identity=schema.identity,
        classes=schema.classes,
        rows=rows,
        seen=len(frame),
        schema=schema,
        summary=summary,
        confusion=confusion,
    )


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
    except (LookupError, TypeError, ValueError, AttributeError, EOFError) as error:
        raise DataError(
            f"{path} is not a reference of this program's version ({error}). Delete it and run: dvc repro"
        ) from error


def _from_table(table: pa.Table) -> Reference:
    metadata = table.schema.metadata or {}
    about = json.loads(metadata[_KEY])
    if about["format"] not in _READABLE:
        raise ValueError(f"format {about['format']}, not {_FORMAT}")
    rows = table.to_pandas()
    check_columns(rows, _KEPT, "The reference")
    for name in ("embedding", "probabilities"):
        rows[name] = pd.Series([np.asarray(value, dtype=np.float32) for value in rows[name]], dtype=object)
    identity, classes = ModelIdentity(**about["identity"]), tuple(about["classes"])
    with np.load(io.BytesIO(metadata[_ARRAYS]), allow_pickle=False) as arrays:
        point = about.get("operating")  # references of before there were operating points lack it
        schema = SummarySchema(
            identity=identity,
            classes=classes,
            edges=arrays["edges"],
            operating=point and OperatingPoint(tuple(point["positive"]), float(point["threshold"])),
            scalars=tuple(about.get("scalars", ())),
            score_threshold=about.get("score_threshold"),
            **about["basis"],
        )
        confusion = arrays["confusion"]
        calibrated_accuracy = {
            name.removeprefix(_CALIBRATION): arrays[name] for name in arrays if name.startswith(_CALIBRATION)
        }
    summary = load_summary(metadata[_SUMMARY])
    if summary.schema != schema.digest:
        raise ValueError("its numbers do not belong together")
    return Reference(
        identity=identity,
        classes=classes,
        rows=rows,
        seen=int(about["seen"]),
        schema=schema,
        summary=summary,
        confusion=confusion,
        accepted=None if about["accepted"] is None else _read(about["accepted"]),
        accuracy_calibration=AccuracyCalibration.from_arrays(calibrated_accuracy)
        if calibrated_accuracy
        else None,
        worth=float(about.get("worth", 1)),
        measured=about.get("measured", ACCURACY),
        scores=about.get("scores"),
    )


_MOMENTS = ("at", "start", "end")


def _written(accepted: Acceptance) -> dict[str, str]:
    return {**asdict(accepted), **{name: getattr(accepted, name).isoformat() for name in _MOMENTS}}


def _read(content: dict[str, Any]) -> Acceptance:
    return Acceptance(
        by=str(content["by"]),
        why=str(content["why"]),
        **{name: datetime.fromisoformat(content[name]) for name in _MOMENTS},
    )
