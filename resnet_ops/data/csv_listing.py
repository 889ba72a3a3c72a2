"""Images that a CSV file lists. Every wrong row is named by its line in the file."""

import csv
from collections.abc import Iterator
from pathlib import Path

from resnet_ops.data.listed import Listed
from resnet_ops.errors import DataError

__all__ = ["list_csv"]

_SEPARATORS = (",", ";", "\t")


def list_csv(file: Path, splits: set[str]) -> tuple[list[Listed], list[str]]:
    """The images, and what a person should know.

    Columns path, relative to the file's folder, and class; and perhaps split, which is kept where a row has one. The
    separator is that of the first line: comma, semicolon or tab. Blanks around a value do not count.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
        rows = list(_rows(text, separator))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"The CSV file {file} cannot be read ({error}). Set data.root in params.yaml to a CSV file in UTF-8."
        ) from error
    header = rows[0][1] if rows else []
    missing = {"path", "class"} - set(header)
    if missing or len(set(header)) < len(header):
        raise DataError(
            f"{file} has no column {', '.join(sorted(missing))}; it has {', '.join(header)}. "
            "Name its columns path, class, split, in small letters."
            if missing
            else f"{file} has two columns of one name: {', '.join(header)}."
        )
    wrong = [f"line {line}: {why}" for line, row in rows[1:] if (why := _wrong(header, row, file, splits))]
    if wrong:
        shown = "\n  ".join(wrong)
        raise DataError(
            f"{file}: {len(wrong)} of {len(rows) - 1} rows are wrong; correct or remove them:\n  {shown}"
        )
    read_with = {";": "semicolons", "\t": "tabs"}.get(separator)
    notes = [f"{file}: columns are separated by {read_with} instead of commas"] if read_with else []
    return [_listed(dict(zip(header, row, strict=True)), file) for _, row in rows[1:]], notes


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, with the line on which it begins."""
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True)
    before = 0
    try:
        for row in reader:
            if any(value.strip() for value in row):
                yield before + 1, [value.strip() for value in row]
            before = reader.line_num
    except csv.Error as error:
        raise csv.Error(f"line {before + 1}: {error}") from error


def _wrong(header: list[str], row: list[str], file: Path, splits: set[str]) -> str | None:
    if len(row) != len(header):
        return f"{len(row)} values for {len(header)} columns; put a value that holds the separator in quotes"
    named = dict(zip(header, row, strict=True))
    if not named["path"] or not named["class"]:
        return "path or class is empty"
    if named.get("split") and named["split"] not in splits:
        return f"split {named['split']} is none of {', '.join(sorted(splits))}"
    if "\\" in named["path"] and not (file.parent / named["path"]).exists():
        return f"{named['path']}: there is no such file; write its folders with / instead of \\"
    return None


def _listed(named: dict[str, str], file: Path) -> Listed:
    return Listed(
        file.parent / named["path"], named["class"], (named["split"],) if named.get("split") else None
    )
