"""Prepared data: all images of a data set at one size as uint8, with a manifest that says what each one is.

A folder holds `images.npy` (N, H, W, C), `manifest.csv` (one row an image, in the same order) and
`classes.json`.
"""

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from resnet_ops.errors import DataError
from resnet_ops.files import read_json, write_json, write_path, write_text

__all__ = ["ManifestRow", "PreparedData", "load_prepared", "save_prepared"]


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One image: where it came from and where it belongs."""

    index: int
    """Its place in the data set, before splitting."""
    path: str
    """Relative to the data set's root; for an embedded data set a made-up, stable name."""
    label: int
    class_name: str
    split: str
    sha256: str
    """Of the prepared pixels, so that equal images are found whatever their files are."""
    width: int
    """Of the original image, in pixels."""
    height: int


@dataclass(frozen=True)
class PreparedData:
    """N images (N, H, W, C) uint8 with labels (N,) int64, their manifest rows and the class names."""

    images: np.ndarray
    labels: np.ndarray
    rows: list[ManifestRow]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def split(self, *names: str) -> "PreparedData":
        """The rows of these splits. Raises DataError when there are none."""
        keep = [position for position, row in enumerate(self.rows) if row.split in names]
        if not keep:
            raise DataError(f"No image is in split {' or '.join(names)}. Check data.split in params.yaml.")
        return PreparedData(self.images[keep], self.labels[keep], [self.rows[i] for i in keep], self.classes)


def save_prepared(data: PreparedData, folder: Path) -> None:
    """Write the three files, each atomically."""
    with write_path(folder / "images.npy") as temporary, temporary.open("wb") as file:
        np.save(file, data.images)
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(ManifestRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in data.rows)
    write_text(folder / "manifest.csv", text.getvalue())
    write_json(folder / "classes.json", list(data.classes))


def load_prepared(folder: Path) -> PreparedData:
    """Read a folder that `save_prepared` wrote. Raises DataError when it is missing, partial or inconsistent."""
    names = read_json(folder / "classes.json")
    try:
        classes = tuple(str(name) for name in names)
        images = np.load(folder / "images.npy", allow_pickle=False)
        with (folder / "manifest.csv").open(newline="") as file:
            rows = [
                ManifestRow(
                    index=int(row["index"]),
                    path=row["path"],
                    label=int(row["label"]),
                    class_name=row["class_name"],
                    split=row["split"],
                    sha256=row["sha256"],
                    width=int(row["width"]),
                    height=int(row["height"]),
                )
                for row in csv.DictReader(file)
            ]
    except (OSError, EOFError, TypeError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{folder} is not prepared data ({error}). Delete it and run: dvc repro") from error
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(
            f"{folder}: images.npy is {images.dtype} {images.shape}, not uint8 (N, H, W, C). "
            "Delete it and run: dvc repro"
        )
    if len(rows) != len(images):
        raise DataError(
            f"{folder}: {len(images)} images but {len(rows)} manifest rows. Delete it and run: dvc repro"
        )
    return PreparedData(images, np.array([row.label for row in rows], np.int64), rows, classes)
