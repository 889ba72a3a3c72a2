"""Which images a model was trained on: kept beside it, and left out wherever the model is measured.

Images are known by the digest of their prepared pixels. A model that starts from another one takes over what that one
was trained on.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from resnet_ops.data.prepared import PreparedData
from resnet_ops.errors import DataError
from resnet_ops.files import write_text

__all__ = ["NOTED_IN", "is_among", "leave_out", "read_trained_on", "save_trained_on"]

NOTED_IN = "trained_on.txt"
"""The file beside the model: a line for each image, sorted."""
_DIGITS = 16
"""Of each digest: among a million images, one in ten million sets has two that begin alike."""
_NOWHERE = ""


def save_trained_on(digests: Iterable[str], folder: Path) -> None:
    """Write which images the model in `folder` was trained on. digests: `ManifestRow.sha256`, or as they are read."""
    lines = sorted({digest[:_DIGITS] for digest in digests})
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


def is_among(digest: str, known: Collection[str]) -> bool:
    """Whether an image, by its digest, is one of those that `read_trained_on` gave."""
    return digest[:_DIGITS] in known


def leave_out(data: PreparedData, digests: Collection[str], *splits: str) -> tuple[PreparedData, int]:
    """The data without the images of these splits that are among `digests`, and how many these are.

    digests: as `read_trained_on` gives them. Raises DataError where a split has no other images.
    """
    seen = [row.split in splits and is_among(row.sha256, digests) for row in data.rows]
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
