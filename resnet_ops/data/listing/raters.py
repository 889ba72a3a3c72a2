"""Labels that several people gave to the same images: columns label_1, label_2 and so on of a CSV file."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from resnet_ops.data.listing.listed import Listed
from resnet_ops.errors import DataError

__all__ = ["by_majority", "rating_columns", "ratings_of"]

_COLUMN = re.compile(r"label_[1-9][0-9]*")
_SHOWN = 20


def rating_columns(names: Iterable[str]) -> list[str]:
    """Those of these columns that hold ratings; none where fewer than two do."""
    found = [name for name in names if _COLUMN.fullmatch(name)]
    return found if len(found) > 1 else []


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
