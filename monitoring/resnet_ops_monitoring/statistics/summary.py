"""The summary of a window: all that judging needs, of bounded size, and additive.

Windows are merged and not read again: the summary of a day is the sum of its hours', the summary of a fleet the sum of
its machines', to the last bit, since all that is added are whole numbers and the reservoir is a bottom-k sample by hash
priority.
"""

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.frames import (
    COLUMNS,
    GROUP,
    STATISTICS,
    InvalidRows,
    check_columns,
    known,
    matrix,
)
from resnet_ops_monitoring.inference_log.rows import microseconds
from resnet_ops_monitoring.statistics.accuracy import certainty
from resnet_ops_monitoring.statistics.bins import BINS, column_names, count, mean_of
from resnet_ops_monitoring.statistics.reservoir import Reservoir, draw, hash_priority, join
from resnet_ops_monitoring.statistics.summary_schema import SummarySchema

__all__ = [
    "SCORE_UNIT",
    "SummarySchema",
    "WindowSummary",
    "by_source",
    "columns_of",
    "empty",
    "load_summary",
    "merge",
    "summarise",
]

_PLAIN_FORMAT, _FORMAT, _GROUPED_FORMAT = 2, 3, 4
_BLOCK = 2**21  # numbers in the vectors of so many rows at once: what summarising needs beside the frame
SCORE_UNIT = 2**20
"""Scores are added up as whole numbers of one part of so many."""
_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = np.iinfo(np.int64).min
_COUNTED = ("counts", "sums", "predicted")
_PLAIN = ("rows", "unusable", "confident", "labelled", "right")
_DECIDED = ("called", "scores", "positives", "caught", "cleared")
_NUMBERS = _PLAIN + _DECIDED
_NUMBERS_OF = {_PLAIN_FORMAT: _PLAIN, _FORMAT: _NUMBERS, _GROUPED_FORMAT: _NUMBERS}
"""By format; what the plain one lacks is 0. It is written where that is so, as releases before wrote it. The last one
holds groups, which they would take for independent rows.
"""
_DRAWN = ("priorities", "ids", "embedding", "probabilities")  # and groups, where there are any
_KINDS = "kinds"
"""Predicted classes of the drawn rows, where they are not the most probable ones."""


@dataclass(frozen=True, eq=False)
class WindowSummary:
    """What a window's rows come to. Two are equal when their bytes are.

    schema: digest of the `SummarySchema`. unusable: rows with a value that is not finite in embedding or probabilities;
    those are in no number below but those of labelled rows. counts: (C, 256). sums: (C,) by `bins.count`. predicted:
    (K,). confident: rows at or above the schema's threshold. called: rows that are positive at the operating point;
    scores: the sum of all rows' scores, in parts of `SCORE_UNIT`. Of labelled rows, positives: those that truly are,
    caught: of them, those called so, cleared: of the others, those not called so. All of these are 0 where the schema
    has no operating point. start, end: of all rows.
    """

    schema: str
    rows: int
    unusable: int
    start: datetime | None
    end: datetime | None
    counts: NDArray[np.int64]
    sums: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confident: int
    labelled: int
    right: int
    called: int
    scores: int
    positives: int
    caught: int
    cleared: int
    reservoir: Reservoir

    @property
    def usable(self) -> int:
        """Rows that can be judged."""
        return self.rows - self.unusable

    @property
    def independent(self) -> int:
        """Usable rows; of those that are of groups, the groups: at most as many as a reservoir holds."""
        return len(self.reservoir) if self.reservoir.grouped else self.usable

    @property
    def worth(self) -> float:
        """How many independent rows a usable one is worth, in (0, 1]: the least that it can be, if groups are alike."""
        return self.independent / self.usable if self.reservoir.grouped else 1.0

    def mean(self, column: int) -> float | None:
        """The mean of a column of `bins.column_names`; None when it has no finite value."""
        n = int(self.counts[column].sum())
        return mean_of(int(self.sums[column]), n) if n else None

    def to_bytes(self) -> bytes:
        """A zip of numpy arrays; equal summaries give equal bytes. No pickle."""
        moments = [_NEVER if moment is None else microseconds(moment) for moment in (self.start, self.end)]
        kind = _FORMAT if any(getattr(self, name) for name in _DECIDED) else _PLAIN_FORMAT
        kind = _GROUPED_FORMAT if self.reservoir.grouped else kind
        head = np.array(
            [kind, *(getattr(self, name) for name in _NUMBERS_OF[kind]), *moments], dtype=np.int64
        )
        arrays = {"head": head, "schema": np.array(self.schema)}
        arrays |= {name: getattr(self, name) for name in _COUNTED}
        arrays |= {name: getattr(self.reservoir, name) for name in _DRAWN}
        arrays |= {"groups": self.reservoir.groups} if self.reservoir.grouped else {}
        kinds = self.reservoir.predicted
        arrays |= {} if (kinds == _most_probable(self.reservoir.probabilities)).all() else {_KINDS: kinds}
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **arrays)
        return content.getvalue()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WindowSummary) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


def load_summary(content: bytes) -> WindowSummary:
    """The summary with these bytes. Raises DataError when they are none."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            head = [int(value) for value in arrays["head"]]
            if head[0] not in _NUMBERS_OF:
                raise ValueError(f"format {head[0]}, not {_FORMAT}")
            moments = [
                None if micros == _NEVER else _ORIGIN + timedelta(microseconds=micros) for micros in head[-2:]
            ]
            added: dict[str, Any] = dict.fromkeys(_NUMBERS, 0)
            added |= zip(_NUMBERS_OF[head[0]], head[1:-2], strict=True)
            added |= {name: arrays[name] for name in _COUNTED}
            groups = arrays["groups"] if head[0] == _GROUPED_FORMAT else arrays["priorities"]
            kinds = arrays[_KINDS] if _KINDS in arrays else _most_probable(arrays["probabilities"])
            return WindowSummary(
                schema=str(arrays["schema"]),
                start=moments[0],
                end=moments[1],
                **added,
                reservoir=Reservoir(
                    groups=groups, predicted=kinds, **{name: arrays[name] for name in _DRAWN}
                ),
            )
    except (OSError, EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"These bytes are not a summary of a window ({error}). Summarise the window again."
        ) from error


def empty(schema: SummarySchema) -> WindowSummary:
    """The summary of no rows."""
    columns, classes = len(column_names(schema.classes, schema.scalars)), len(schema.classes)
    return WindowSummary(
        schema=schema.digest,
        rows=0,
        unusable=0,
        start=None,
        end=None,
        counts=np.zeros((columns, BINS), dtype=np.int64),
        sums=np.zeros(columns, dtype=np.int64),
        predicted=np.zeros(classes, dtype=np.int64),
        **dict.fromkeys(_NUMBERS[2:], 0),
        reservoir=Reservoir(
            np.zeros(0, dtype=np.uint64),
            np.zeros(0, dtype=np.uint64),
            np.zeros(0, dtype=np.str_),
            np.zeros((0, schema.features), dtype=np.float32),
            np.zeros((0, schema.numbers), dtype=np.float32),
            np.zeros(0, dtype=np.int64),
        ),
    )


def summarise(
    frame: pd.DataFrame, schema: SummarySchema, priorities: NDArray[np.uint64] | None = None
) -> WindowSummary:
    """Summarise rows (columns of `resnet_ops_monitoring.inference_log.frames`), in memory that does not grow with them.

    priorities: (rows,) of their ids by `reservoir.hash_priority` with the schema's seed, where they are known already.
    Raises InvalidRows for rows of other files than the schema's, of classes that it lacks, or with vectors of another
    length: their numbers cannot be compared.
    """
    check_columns(frame, COLUMNS, "The window")
    rows = max(1000, _BLOCK // (schema.features + schema.numbers))
    blocks = (slice(i, i + rows) for i in range(0, len(frame), rows))
    return merge(
        schema,
        (
            _block(frame.iloc[each], schema, None if priorities is None else priorities[each])
            for each in blocks
        ),
    )


def by_source(frame: pd.DataFrame, schema: SummarySchema, most: int) -> dict[str, WindowSummary]:
    """A summary for each source (camera, line, site); empty unless there are 2 to `most` of them."""
    if len(pd.unique(frame["source"])) < 2:
        return {}
    names = frame["source"].fillna("").astype(str)
    if not 2 <= names.nunique() <= most:
        return {}
    return {str(name): summarise(rows, schema) for name, rows in frame.groupby(names, sort=True)}


def merge(schema: SummarySchema, summaries: Iterable[WindowSummary]) -> WindowSummary:
    """The summary of all rows behind `summaries`, in whatever order. Raises DataError when one has another schema."""
    total = empty(schema)
    for each in summaries:
        if each.schema != schema.digest:
            raise DataError("These summaries were made by another reference. Summarise the windows again.")
        total = _add(total, each, schema.rows)
    return total


def _add(a: WindowSummary, b: WindowSummary, most: int) -> WindowSummary:
    return WindowSummary(
        schema=a.schema,
        start=min((moment for moment in (a.start, b.start) if moment), default=None),
        end=max((moment for moment in (a.end, b.end) if moment), default=None),
        **{name: getattr(a, name) + getattr(b, name) for name in (*_NUMBERS, *_COUNTED)},
        reservoir=join(a.reservoir, b.reservoir, most),
    )


def _block(
    frame: pd.DataFrame, schema: SummarySchema, priorities: NDArray[np.uint64] | None
) -> WindowSummary:
    probabilities, embedding, predicted = _checked(frame, schema)
    priorities = hash_priority(frame["request_id"], schema.seed) if priorities is None else priorities
    groups = _groups(frame, priorities, schema.seed)
    usable, labelled = frame, known(frame["label"])
    if not (np.isfinite(probabilities).all() and np.isfinite(embedding).all()):
        finite = np.isfinite(probabilities).all(axis=1) & np.isfinite(embedding).all(axis=1)
        usable, priorities, groups = frame.iloc[np.flatnonzero(finite)], priorities[finite], groups[finite]
        probabilities, embedding, predicted = probabilities[finite], embedding[finite], predicted[finite]
    columns = list(columns_of(usable, probabilities, schema.scalars))
    counted = [count(values, edges) for values, edges in zip(columns, schema.edges, strict=True)]
    ids = usable["request_id"].to_numpy(dtype=object)
    drawn = draw(priorities, groups, ids, schema.rows)
    agreed = frame["predicted"].to_numpy(dtype=object) == frame["label"].to_numpy(dtype=object)
    return WindowSummary(
        schema=schema.digest,
        rows=len(frame),
        unusable=len(frame) - len(usable),
        start=_moment(frame["time"].min()),
        end=_moment(frame["time"].max()),
        counts=np.stack([counts for counts, _ in counted]),
        sums=np.array([total for _, total in counted], dtype=np.int64),
        predicted=np.bincount(predicted, minlength=len(schema.classes)).astype(np.int64),
        confident=int((columns[-1] >= schema.threshold).sum()),
        labelled=int(labelled.sum()),
        right=int(agreed[labelled].sum()),
        **_decided(frame, usable, probabilities, schema),
        reservoir=Reservoir(
            priorities[drawn],
            groups[drawn],
            ids[drawn].astype(np.str_),
            embedding[drawn],
            probabilities[drawn],
            (predicted if schema.scalars else _most_probable(probabilities))[drawn],
        ),
    )


def _most_probable(probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def _groups(frame: pd.DataFrame, priorities: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """(rows,) a hash of each row's group; its priority where it is of none. No request id looks like a group's name."""
    if GROUP not in frame.columns or not (named := known(frame[GROUP])).any():
        return priorities
    groups = priorities.copy()
    groups[named] = hash_priority("\0" + frame.loc[named, GROUP].astype(str), seed)
    return groups


def _decided(
    frame: pd.DataFrame, usable: pd.DataFrame, probabilities: NDArray[np.float32], schema: SummarySchema
) -> dict[str, int]:
    """The numbers at the operating point; labelled rows that are not usable are mistakes. probabilities: of
    `usable`.
    """
    point = schema.operating
    if point is None:
        return dict.fromkeys(_DECIDED, 0)
    scores = point.scores(probabilities, schema.classes)
    called, positive = scores >= point.threshold, usable["label"].isin(point.positive).to_numpy(dtype=bool)
    return {
        "called": int(called.sum()),
        "scores": int(np.rint(scores * SCORE_UNIT).astype(np.int64).sum()),
        "positives": int(frame["label"].isin(point.positive).sum()),
        "caught": int((positive & called).sum()),
        "cleared": int((known(usable["label"]) & ~positive & ~called).sum()),
    }


def columns_of(
    usable: pd.DataFrame, probabilities: NDArray[np.float32], scalars: tuple[str, ...] = ()
) -> Iterator[NDArray[np.float64] | NDArray[np.float32]]:
    """The values of `bins.column_names`, in its order."""
    for name in STATISTICS:
        yield usable[name].to_numpy(dtype=np.float64)
    yield from np.ascontiguousarray(probabilities.T)
    yield certainty(probabilities, scalars)


def _checked(
    frame: pd.DataFrame, schema: SummarySchema
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Probabilities, embeddings and the places of the predicted classes."""
    strange = frame["digest"].to_numpy(dtype=object) != schema.identity.digest
    if strange.any():
        foreign = frame[strange]
        versions = ", ".join(
            f"{row.model} v{row.version}" for row in foreign.drop_duplicates("digest").itertuples()
        )
        raise InvalidRows(
            f"{len(foreign)} of {len(frame)} rows of {versions}, but the reference is of {schema.identity} (other "
            "files). Read one version at a time, or build the reference of that version."
        )
    predicted = pd.Index(schema.classes).get_indexer(pd.Index(frame["predicted"]))
    if (predicted < 0).any():
        strangers = sorted({str(name) for name in frame["predicted"][predicted < 0]})
        raise InvalidRows(
            f"Predictions of classes that {schema.identity} lacks: {', '.join(strangers[:10])}."
        )
    found = []
    for name, length in (("probabilities", schema.numbers), ("embedding", schema.features)):
        values = matrix(frame, name)
        if values.shape[1] != length:
            raise InvalidRows(
                f"The rows' {name} hold {values.shape[1]} numbers, those of {schema.identity} hold {length}."
            )
        found.append(values)
    return found[0], found[1], predicted


def _moment(time: pd.Timestamp) -> datetime | None:
    return None if pd.isna(time) else time.floor("us").to_pydatetime().astimezone(UTC)
