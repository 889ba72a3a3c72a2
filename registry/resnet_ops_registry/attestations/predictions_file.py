"""What a classifier answered, as a team hands it in: a CSV or parquet file with a row for each image or table row."""

import csv
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resnet_ops.errors import DataError
from resnet_ops_registry.attestations.evidence import MAX_OUTCOMES

__all__ = ["PredictionsFile", "read_predictions"]

ACTUAL, PREDICTED, ID, GROUP = "actual", "predicted", "id", "group"
PROBABILITY = "p."
"""How a column of probabilities begins; the rest of its name is the class."""
MAX_BYTES = 1_000_000_000
MAX_DECODED = 4_000_000_000
MAX_CLASSES = 1_000
LONGEST_CLASS = 200
LONGEST_HEADER = 1_000_000
SUM_WITHIN = 1e-3
"""How far the probabilities of a row may be from 1 in all: a text holds some digits of each."""
_SEPARATORS = ",;\t"
_Texts = tuple[list[str], np.ndarray]
"""The different texts of a column, and (N,) which of them each row has."""


class _Table(NamedTuple):
    """The columns that are known, as a pyarrow table, and the names of the others."""

    file: Path
    columns: Any
    unread: tuple[str, ...]
    header: int
    """Rows above the first one."""

    def row(self, place: int) -> str:
        """A row as people count them, and as pyarrow does."""
        return f"row {place + 1 + self.header}"


@dataclass(frozen=True)
class PredictionsFile:
    """N rows, in the order of their ids where there are any, else as they stand in the file."""

    classes: tuple[str, ...]
    labels: np.ndarray
    """(N,) true classes, as indices."""
    predicted: np.ndarray
    """(N,) answers, as indices."""
    ids: tuple[str, ...] | None
    """What each row is; no two are equal."""
    groups: np.ndarray | None
    """(N,) which group each row is of, as numbers; a row without one is its own."""
    probabilities: np.ndarray | None
    """(N, C), rows that sum to 1."""
    unread: tuple[str, ...]
    """Columns that mean nothing here."""


def read_predictions(file: Path) -> PredictionsFile:
    """Columns `actual` and `predicted`, and where they are there `id`, `group` and a `p.CLASS` for every class.

    Raises DataError that names the file, what is wrong in which row (the header of a CSV file is one), and what to
    write.
    """
    import pyarrow

    try:
        return _predictions(_read(file))
    except (pyarrow.ArrowException, OSError, csv.Error, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())[:300]
        raise DataError(
            f"{file} cannot be read ({why}). Name a CSV file in UTF-8, or a parquet file."
        ) from error


def _read(file: Path) -> _Table:
    if not file.is_file():
        raise DataError(f"There is no file {file}. Name a CSV or parquet file of predictions.")
    if file.stat().st_size > MAX_BYTES:
        raise DataError(f"{file} has more than {MAX_BYTES:,} bytes. Measure on fewer rows.")
    with file.open("rb") as opened:
        start = opened.read(LONGEST_HEADER)
    return _read_parquet(file) if start.startswith(b"PAR1") else _read_csv(file, start)


def _read_parquet(file: Path) -> _Table:
    from pyarrow import parquet, types

    with parquet.ParquetFile(file) as opened:
        about, schema = opened.metadata, opened.schema_arrow
    if sum(about.row_group(each).total_byte_size for each in range(about.num_row_groups)) > MAX_DECODED:
        raise DataError(f"{file} has more than {MAX_DECODED:,} bytes uncompressed. Measure on fewer rows.")
    _check_rows(file, about.num_rows)
    wanted, unread = _wanted(file, schema.names)
    # equal numbers take next to nothing in the file, and eight bytes each when they are read
    if 8 * about.num_rows * sum(map(_is_probability, wanted)) > MAX_DECODED:
        raise DataError(
            f"{file} has more than {MAX_DECODED:,} bytes of probabilities. Measure on fewer rows."
        )
    kinds = {name: schema.field(name).type for name in wanted if not _is_probability(name)}
    # a long text that stands in many rows is kept once
    texts = [name for name, kind in kinds.items() if types.is_string(kind) or types.is_large_string(kind)]
    return _Table(file, parquet.read_table(file, columns=wanted, read_dictionary=texts), unread, 0)


def _read_csv(file: Path, start: bytes) -> _Table:
    import pyarrow
    from pyarrow import csv as arrow

    first = start.partition(b"\n")[0].decode("utf-8-sig")
    separator = max(_SEPARATORS, key=first.count)
    header = csv.reader([first], delimiter=separator, skipinitialspace=True, strict=True)
    names = [name.strip() for name in next(header, [])]
    wanted, unread = _wanted(file, names)
    kinds = {name: pyarrow.float64() if _is_probability(name) else pyarrow.string() for name in wanted}
    table = arrow.read_csv(
        file,
        arrow.ReadOptions(column_names=names, skip_rows=1, use_threads=False),  # errors name their row so
        arrow.ParseOptions(delimiter=separator),
        arrow.ConvertOptions(column_types=kinds, include_columns=wanted, strings_can_be_null=False),
    )
    with file.open("rb") as opened:
        lines = sum(1 for line in opened if line.strip())
    if lines != len(table) + 1:
        raise DataError(
            f"{file} has {lines:,} lines with its header, but {len(table):,} rows: a quote is not closed, or a value "
            "holds a line break. Write each row on one line."
        )
    _check_rows(file, len(table))
    return _Table(file, table, unread, 1)


def _is_probability(name: str) -> bool:
    return name.startswith(PROBABILITY)


def _check_rows(file: Path, count: int) -> None:
    if not 0 < count <= MAX_OUTCOMES:
        raise DataError(
            f"{file} has {count:,} rows, but must have 1 to {MAX_OUTCOMES:,}, one for each image."
        )


def _wanted(file: Path, names: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The columns that are known, and the others."""
    if missing := [name for name in (ACTUAL, PREDICTED) if name not in names]:
        raise DataError(
            f"{file} has no column {', '.join(missing)}; it has {', '.join(names)[:300] or 'none'}. Name the true "
            f"class {ACTUAL} and the model's answer {PREDICTED}."
        )
    known = [name for name in names if name in (ACTUAL, PREDICTED, ID, GROUP) or _is_probability(name)]
    seen: set[str] = set()
    for name in known:
        if name in seen:
            raise DataError(f"{file} has two columns {name!r}. Rename or remove one.")
        seen.add(name)
    _check_class_count(file, sum(map(_is_probability, known)))
    return known, tuple(name for name in names if name not in seen)


def _check_class_count(file: Path, count: int) -> None:
    if count > MAX_CLASSES:
        raise DataError(
            f"{file} has {count:,} classes, and a signed statement holds the numbers of {MAX_CLASSES:,}. What is no "
            "classification is signed as metrics: --metrics FILE"
        )


def _predictions(table: _Table) -> PredictionsFile:
    names = table.columns.column_names
    texts = {name: _texts(table, name) for name in names if not _is_probability(name)}
    stated = [name.removeprefix(PROBABILITY) for name in names if _is_probability(name)]
    classes = _classes(table.file, texts[ACTUAL][0], texts[PREDICTED][0], stated)
    place = {name: number for number, name in enumerate(classes)}

    def indices(column: _Texts) -> np.ndarray:
        return np.array([place[text] for text in column[0]])[column[1]]

    ids, order = _ids(table, *texts[ID]) if ID in texts else (None, np.arange(len(table.columns)))
    return PredictionsFile(
        classes=classes,
        labels=indices(texts[ACTUAL])[order],
        predicted=indices(texts[PREDICTED])[order],
        ids=ids,
        groups=_groups(*texts[GROUP])[order] if GROUP in texts else None,
        probabilities=_probabilities(table, stated)[order] if stated else None,
        unread=table.unread,
    )


def _texts(table: _Table, name: str) -> _Texts:
    import pyarrow
    from pyarrow import types

    column = table.columns[name]
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    tests = (types.is_string, types.is_large_string, types.is_integer, types.is_boolean)
    if not any(test(kind) for test in tests):
        raise DataError(
            f"{table.file}: column {name} is of type {kind}, but must hold texts or whole numbers. What is no "
            "classification is signed as metrics: --metrics FILE"
        )
    encoded = column if types.is_dictionary(column.type) else column.dictionary_encode()
    array = encoded.unify_dictionaries().combine_chunks()
    kept = [
        "",
        *(
            "" if text is None else text.strip()
            for text in array.dictionary.cast(pyarrow.string()).to_pylist()
        ),
    ]
    place = {text: number for number, text in enumerate(dict.fromkeys(kept))}
    held = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    # a category that no row has is none of the classes
    used, rows = np.unique(np.array([place[text] for text in kept])[held], return_inverse=True)
    if name != GROUP and used[0] == 0:
        row = table.row(int(np.flatnonzero(rows == 0)[0]))
        raise DataError(f"{table.file}: {row} has no {name}. Write one, or leave the row out.")
    names = list(place)
    return [names[number] for number in used], rows


def _classes(file: Path, actual: list[str], predicted: list[str], stated: list[str]) -> tuple[str, ...]:
    """In the order of the columns of probabilities, where there are any, else sorted."""
    found = sorted({*actual, *predicted})
    _check_class_count(file, len(found))
    for name in stated or found:
        if not (0 < len(name) <= LONGEST_CLASS and name.isprintable()):
            raise DataError(
                f"{file}: {name[:LONGEST_CLASS]!r} is no name for a class. Use 1 to {LONGEST_CLASS} printable signs."
            )
    if stated and (lacking := [name for name in found if name not in stated]):
        raise DataError(
            f"{file} has no column {PROBABILITY}{lacking[0]} for the class {lacking[0]!r}. Write a column of "
            f"probabilities for every class ({PROBABILITY}CLASS), or for none."
        )
    _check_spelling(file, stated or found)
    if not {*actual} & {*predicted}:
        raise DataError(
            f"{file}: no answer is one of the true classes ({ACTUAL} has {', '.join(sorted(actual)[:5])}; {PREDICTED} "
            f"has {', '.join(sorted(predicted)[:5])}). Write the same class the same way."
        )
    return tuple(stated or found)


def _check_spelling(file: Path, classes: Sequence[str]) -> None:
    """Raise DataError for an accent in its letter and one behind it: of two classes, either is wrong as the other."""
    known: dict[str, str] = {}
    for name in classes:
        other = known.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise DataError(
                f"{file}: the class {name!r} is spelled in two ways that look alike, {other!a} and {name!a}. "
                "Write the same class the same way."
            )


def _ids(table: _Table, texts: list[str], rows: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """The ids in order, and (N,) the rows in that order: two files of the same rows are alike then."""
    if len(texts) < len(rows):
        first, second = np.flatnonzero(rows == np.bincount(rows).argmax())[:2]
        raise DataError(
            f"{table.file}: {table.row(first)} and {table.row(second)} have the same id {texts[rows[first]][:100]!r}. "
            "An id tells one row from all others."
        )
    named = [texts[number] for number in rows]
    order = np.array(sorted(range(len(named)), key=named.__getitem__))
    return tuple(named[row] for row in order), order


def _groups(texts: list[str], rows: np.ndarray) -> np.ndarray:
    alone = np.array([text == "" for text in texts])[rows]
    return np.where(alone, len(texts) + np.arange(len(rows)), rows)


def _probabilities(table: _Table, stated: list[str]) -> np.ndarray:
    from pyarrow import float64, types

    columns = []
    for name in stated:
        column = table.columns[PROBABILITY + name]
        if not (types.is_floating(column.type) or types.is_integer(column.type)):
            raise DataError(
                f"{table.file}: column {PROBABILITY}{name} is of type {column.type}, but must hold numbers. Write "
                "probabilities of 0 to 1."
            )
        columns.append(column.cast(float64()).to_numpy())
    rows = np.stack(columns, axis=1)
    in_range = ((rows >= -SUM_WITHIN) & (rows <= 1 + SUM_WITHIN)).all(
        axis=1
    )  # what is no number is in no range
    with np.errstate(invalid="ignore"):  # infinities that cancel
        sums = rows.sum(axis=1)
    wrong = np.flatnonzero(~(in_range & (np.abs(sums - 1) <= SUM_WITHIN)))
    if len(wrong):
        raise DataError(
            f"{table.file}: the probabilities of {table.row(wrong[0])} are not 0 to 1 with a sum of 1 ({len(wrong):,} "
            "such rows). Write what the model says of every class, after softmax."
        )
    return np.asarray(np.clip(rows, 0.0, 1.0))
