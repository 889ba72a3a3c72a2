"""Labels that several people gave to the same images: columns label_1, label_2 ... of a CSV file, or a row each."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Literal

from resnet_ops.csv_table import CsvTable
from resnet_ops.data.listing.listed import Listed
from resnet_ops.errors import DataError

__all__ = ["by_majority", "has_a_row_each", "one_row_an_image", "rating_columns", "ratings_of"]

_COLUMN = re.compile(r"label_[1-9][0-9]*")
_SHOWN = 20


def rating_columns(names: Iterable[str]) -> list[str]:
    """Those of these columns that hold ratings; none where fewer than two do."""
    found = [name for name in names if _COLUMN.fullmatch(name)]
    return found if len(found) > 1 else []


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


def ratings_of(image: Listed) -> list[str]:
    """What people said that it shows, in the order of the columns; who did not say is left out."""
    return [image.extra[name] for name in rating_columns(image.extra) if image.extra[name]]


def by_majority(
    images: list[Listed], ties: Literal["stop", "drop", "first"]
) -> tuple[list[Listed], list[str]]:
    """The images, those without a class with the one that most of their ratings name, and what a person should know.

    ties: what becomes of images of which two classes have most ratings: `drop` leaves them out, `first` takes the
    class of the first column that names one of these. Raises DataError that names them where it is `stop`.
    """
    tied: list[str] = []
    settled = []
    for image in images:
        if image.class_name:
            settled.append(image)
            continue
        ratings = ratings_of(image)
        votes = Counter(ratings)
        leading = [name for name in ratings if votes[name] == max(votes.values())]
        if len({*leading}) > 1:
            tied.append(
                f"{image.path.name} ({', '.join(f'{name} {count}' for name, count in votes.items())})"
            )
            if ties == "drop":
                continue
        settled.append(replace(image, class_name=leading[0]))
    if not tied:
        return settled, []
    shown = f"{'; '.join(tied[:_SHOWN])}{' and others' if len(tied) > _SHOWN else ''}"
    if ties == "stop":
        raise DataError(
            f"Of {len(tied)} images two classes have most ratings. Have somebody decide, in a column class of all "
            "images; or say in params.yaml what becomes of them: data.conflicts: drop (they are left out) or first "
            f"(the column that comes first counts): {shown}"
        )
    how = "are left out" if ties == "drop" else "have the class of the first column that names one"
    return settled, [f"{len(tied)} images of which two classes have most ratings {how}: {shown}"]
