"""CSV files with a row for each rating, as tables with a row for each image."""

from collections.abc import Collection
from dataclasses import replace

from resnet_ops.csv_table import CsvTable
from resnet_ops.data.listing.raters import rating_columns

__all__ = ["has_a_row_each", "one_row_an_image"]


def has_a_row_each(columns: Collection[str]) -> bool:
    """Whether a row of a CSV file with these columns is what one person, its `rater`, said of an image: its `label`."""
    return {"label", "rater"} <= {*columns} and "class" not in columns and not rating_columns(columns)


def one_row_an_image(table: CsvTable) -> CsvTable:
    """A table of ratings as one of images: with columns label_1, label_2 ..., or class where each image has one rating.

    An image's ratings are in the order of their raters' names; a column is of no one person. What is wrong is added to
    the table's: a rating without its label or rater, a second one by the same rater, and an image whose other columns
    differ from row to row.
    """
    first: dict[str, tuple[int, dict[str, str]]] = {}
    ratings: dict[str, dict[str, tuple[int, str]]] = {}
    wrong = list(table.wrong)
    for line, row in table.rows:
        path, rater, label = row["path"], row.pop("rater"), row.pop("label")
        began, known = first.setdefault(path, (line, row))
        given = ratings.setdefault(path, {})
        if not label or not rater:
            wrong.append(f"line {line}: label or rater is empty")
        elif rater in given:
            wrong.append(f"line {line}: {rater} rated {path} on line {given[rater][0]} already")
        elif odd := [name for name, value in row.items() if known[name] != value]:
            wrong.append(f"line {line}: {odd[0]} of {path} is another one on line {began}")
        else:
            given[rater] = line, label
    most = max(map(len, ratings.values()), default=1)
    names = ["class"] if most < 2 else [f"label_{number}" for number in range(1, most + 1)]
    rows = []
    for path, (line, row) in first.items():
        said = [ratings[path][rater][1] for rater in sorted(ratings[path])]
        rows.append((line, row | dict(zip(names, said + [""] * (len(names) - len(said)), strict=True))))
    columns = [name for name in table.columns if name not in ("label", "rater")]
    return replace(table, columns=[*columns, *names], rows=rows, wrong=wrong)
