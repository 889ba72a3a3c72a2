"""Which images a model was trained on: kept beside it, and left out wherever the model is measured.

Images are known by the digest of their prepared pixels. A model that starts from another one takes over what that one
has seen. What it was only validated on is marked: a model is chosen by these images, and never tested on them.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from resnet_ops.data.prepared import PreparedData
from resnet_ops.errors import DataError
from resnet_ops.files import write_text

__all__ = ["NOTED_IN", "is_among", "leave_out", "read_trained_on", "save_trained_on", "seen_in_training"]

NOTED_IN = "trained_on.txt"
"""The file beside the model: a line for each image, sorted."""
_DIGITS = 16
"""Of each digest: among a million images, one in ten million sets has two that begin alike."""
_VALIDATED = "validation:"
_NOWHERE = ""


def seen_in_training(data: PreparedData) -> set[str]:
    """What a training with these data sees, as `save_trained_on` takes it."""
    trained = {row.sha256 for row in data.rows if row.split == "train"}
    return trained | {_VALIDATED + row.sha256 for row in data.rows if row.split == "validation"}


def save_trained_on(seen: Iterable[str], folder: Path) -> None:
    """Write which images the model in `folder` has seen: digests, of validation marked, or as they are read."""
    marks = (each.rpartition(":") for each in seen)
    lines = sorted({f"{mark}{colon}{digest[:_DIGITS]}" for mark, colon, digest in marks})
    write_text(folder / NOTED_IN, "".join(f"{line}\n" for line in lines))


def read_trained_on(folder: Path) -> frozenset[str] | None:
    """The images that the model in `folder` was trained on; None where nobody noted it."""
    try:
        text = (folder / NOTED_IN).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{folder / NOTED_IN} cannot be read ({error}). Delete {folder} and run: dvc repro"
        ) from error
    return frozenset(text.split())


def is_among(digest: str, known: Collection[str], split: str = "test") -> bool:
    """Whether an image of a split, by its digest, is one of those that `read_trained_on` gave.

    In validation those count that were trained on; anywhere else also those that a model was validated on.
    """
    short = digest[:_DIGITS]
    return short in known or (split != "validation" and _VALIDATED + short in known)


def leave_out(data: PreparedData, digests: Collection[str], *splits: str) -> tuple[PreparedData, int]:
    """The data without the images of these splits that are among `digests`, and how many these are.

    digests: as `read_trained_on` gives them. Raises DataError where a split has no other images.
    """
    seen = [row.split in splits and is_among(row.sha256, digests, row.split) for row in data.rows]
    count = sum(seen)
    if not count:
        return data, 0
    rows = [
        replace(row, split=_NOWHERE) if known else row for row, known in zip(data.rows, seen, strict=True)
    ]
    rest = replace(data, rows=rows)
    for split in splits:
        if not any(row.split == split for row in rows) and any(row.split == split for row in data.rows):
            raise DataError(
                f"The model was trained on every image of split {split}, so nothing is left to measure it with. "
                "Add images that it has not seen."
            )
    return rest, count
