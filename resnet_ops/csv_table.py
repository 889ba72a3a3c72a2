"""CSV files as people write them: any of three separators, a byte order mark, blanks, and lines that are known."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_ops.errors import DataError

__all__ = ["CsvTable", "read_header", "read_table"]

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class CsvTable:
    """Rows by column, each with the line of the file on which it begins; without blanks around values."""

    separator: str
    """In words, such as semicolons."""
    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]
    wrong: list[str]
    """Rows with too many or too few values, one line each."""


def read_table(file: Path, wanted: Sequence[str]) -> CsvTable:
    """Read a file whose first line names its columns. The separator is what that line has most of.

    Raises DataError when it cannot be read or lacks one of the `wanted` columns.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        first = next((line for line in text.splitlines() if line.strip()), "")
        separator = max(_SEPARATORS, key=first.count)
        rows = list(_rows(text, separator))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The CSV file {file} cannot be read ({error}). Name a CSV file in UTF-8.") from error
    header = rows[0][1] if rows else []
    missing = [name for name in wanted if name not in header]
    if missing:
        raise DataError(
            f"{file} has no column {', '.join(missing)}; its first line has {', '.join(header) or 'nothing'}. "
            f"Name its columns {', '.join(wanted)}, in small letters."
        )
    if len(set(header)) < len(header):
        raise DataError(f"{file} has two columns of one name: {', '.join(header)}. Rename or remove one.")
    wrong = [
        f"line {line}: {len(row)} values for {len(header)} columns; put a value that holds the separator in quotes"
        for line, row in rows[1:]
        if len(row) != len(header)
    ]
    named = [(line, dict(zip(header, row, strict=True))) for line, row in rows[1:] if len(row) == len(header)]
    return CsvTable(_SEPARATORS[separator], header, named, wrong)


def read_header(file: Path) -> list[str]:
    """The columns that a file names, without reading the rest. Raises DataError as `read_table` does."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            first = next((line for line in lines if line.strip()), "")
        return next((row for _, row in _rows(first, max(_SEPARATORS, key=first.count))), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The CSV file {file} cannot be read ({error}). Name a CSV file in UTF-8.") from error


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, with the line on which it begins."""
    reader = csv.reader(
        text.splitlines(keepends=True), delimiter=separator, skipinitialspace=True, strict=True
    )
    before = 0
    try:
        for row in reader:
            if any(value.strip() for value in row):
                yield before + 1, [value.strip() for value in row]
            before = reader.line_num
    except csv.Error as error:
        raise csv.Error(f"line {before + 1}: {error}") from error
