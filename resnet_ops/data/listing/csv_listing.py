"""Images that a CSV file lists. Every wrong row is named by its line in the file."""

from dataclasses import fields
from pathlib import Path

from resnet_ops.csv_table import read_header, read_table
from resnet_ops.data.listing.listed import Listed
from resnet_ops.data.listing.named_images import named_columns, with_paths
from resnet_ops.data.listing.raters import rating_columns
from resnet_ops.data.listing.rating_rows import has_a_row_each, one_row_an_image
from resnet_ops.data.prepared import ManifestRow
from resnet_ops.errors import DataError

__all__ = ["extra_columns", "list_csv"]

_READ = ("path", "class", "split")
_TAKEN = frozenset(each.name for each in fields(ManifestRow)) - set(_READ)


def extra_columns(file: Path) -> list[str]:
    """Columns of a CSV file that are kept in the manifest beside those that every data set has."""
    header = read_header(file)
    rating = ("rater",) if has_a_row_each(header) else ()
    if not rating and (named := named_columns(header, file)):
        header = named.renamed(header)
    return [name for name in header if name and name not in (*_READ, *_TAKEN, *rating)]


def list_csv(file: Path, splits: set[str]) -> tuple[list[Listed], list[str]]:
    """The images, and what a person should know. Raises DataError that names every wrong row.

    Columns path, relative to the file's folder, and class; and perhaps split, which is kept where a row has one. Other
    columns go into the manifest, under their names, where slices can be made of them. Without class, two or more
    columns of ratings (`raters`) say it, or label and rater with a row for each rating, and images have none yet.
    Without path, an id may name the image (`named_images`).
    """
    header, notes = read_header(file), list[str]()
    if has_a_row_each(header):
        table = one_row_an_image(read_table(file, ("path",)))
    elif named := named_columns(header, file):
        table, notes = with_paths(read_table(file, ()), named, file)
    else:
        rated = "class" not in header and bool(rating_columns(header))
        table = read_table(file, ("path",) if rated else ("path", "class"))
    wrong = [f"line {line}: {why}" for line, row in table.rows if (why := _wrong(row, file, splits))]
    if wrong or table.wrong:
        shown = "\n  ".join([*table.wrong, *wrong])
        raise DataError(
            f"{file}: {len(wrong) + len(table.wrong)} of {len(table.rows) + len(table.wrong)} rows are wrong; correct "
            f"or remove them:\n  {shown}"
        )
    if table.separator != "commas":
        notes.append(f"Columns are separated by {table.separator}")
    unread = [name for name in table.columns if name in _TAKEN or not name]
    if unread:
        names = ", ".join(repr(name) for name in unread)
        notes.append(f"Columns that are not kept, because the manifest has its own of these names: {names}")
    kept = [name for name in table.columns if name not in (*_READ, *unread)]
    return [
        Listed(
            file.parent / row["path"],
            row.get("class", ""),
            (row["split"],) if row.get("split") else None,
            {name: row[name] for name in kept},
        )
        for _, row in table.rows
    ], notes


def _wrong(row: dict[str, str], file: Path, splits: set[str]) -> str | None:
    if not row["path"] or not row.get("class", "rated"):
        return "path or class is empty"
    if "class" not in row and not any(row[name] for name in rating_columns(row)):
        return "nobody rated it"
    if row.get("split") and row["split"] not in splits:
        return f"split {row['split']} is none of {', '.join(sorted(splits))}"
    if "\\" in row["path"] and not (file.parent / row["path"]).exists():
        return f"{row['path']}: there is no such file; write its folders with / instead of \\"
    return None
