"""Prepared data: all images of a data set at one size as uint8 or uint16, with a manifest that says what each one is.

A folder holds `images.npy` (N, H, W, C), `manifest.csv` (one row an image, in the same order, one split after the
other) and `classes.json`. Where the task has settings `task.json` says which, and whether masks are
padded; where it asks for more than a label `targets.npy` (N, ...) does.
"""

import csv
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from resnet_ops.errors import ConfigError, DataError
from resnet_ops.files import read_json, write_json, write_path
from resnet_ops.tasks.task import CLASSIFICATION, Task, noted_task, task_from_json

__all__ = ["HELD_OUT", "LEARNED", "ManifestRow", "PreparedData", "load_prepared", "save_prepared"]

LEARNED, HELD_OUT = ("train", "validation"), ("test", "production")
"""Where images may go that a data set's makers gave for training, and those that they held out."""
SOME = 2
"""Different images of a class beside others, in what is learned from and again in what is held out, so many that each
split has one (`splits.assign`), also where these two are given."""
CHUNK = 64
"""Images that are written at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
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


_OWN = frozenset(each.name for each in fields(ManifestRow))


@dataclass(frozen=True)
class PreparedData:
    """N images (N, H, W, C), uint8 or uint16, with labels (N,) int64, their manifest rows and the class names."""

    images: np.ndarray
    labels: np.ndarray
    rows: list[ManifestRow]
    classes: tuple[str, ...]
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    """More columns of the manifest by name, (N,) texts: those that a CSV file has beside path, class and split."""
    targets: np.ndarray | None = None
    """(N, ...) what the task asks of each image, such as a mask; None where that is the label."""
    task: Task = CLASSIFICATION
    """What is asked of the images."""
    padded: bool = False
    """Whether a training learns background beside images that are not square, where masks ask nothing."""

    @property
    def asked(self) -> np.ndarray:
        """(N, ...) what the task asks of each image: its label, or its `targets`."""
        return self.labels if self.targets is None else self.targets

    @property
    def labelled(self) -> tuple[str, ...]:
        """Classes of which there must be images: all, or where there are targets those that label some different
        ones.
        """
        if self.targets is None:
            return self.classes
        parts = {split: part for part in (LEARNED, HELD_OUT) for split in part}
        images = {(row.label, row.sha256, parts.get(row.split)) for row in self.rows if row.split}
        counts = Counter((label, part) for label, _, part in images)
        return tuple(
            name
            for label, name in enumerate(self.classes)
            if all(counts[label, part] >= SOME for part in (LEARNED, HELD_OUT))
        )

    def __len__(self) -> int:
        return len(self.rows)

    def places(self, *names: str) -> np.ndarray:
        """Where the rows of these splits are, in order. Raises DataError when there are none."""
        found = np.flatnonzero([row.split in names for row in self.rows])
        if not len(found):
            raise DataError(f"No image is in split {' or '.join(names)}. Check data.split in params.yaml.")
        return found

    def split(self, *names: str) -> "PreparedData":
        """The rows of these splits: a view where they lie in one stretch. Raises DataError when there are none."""
        places = self.places(*names)
        first, last = int(places[0]), int(places[-1])
        where = slice(first, last + 1) if last - first + 1 == len(places) else places
        rows = [self.rows[place] for place in places.tolist()]
        extra = {name: values[where] for name, values in self.extra.items()}
        targets = None if self.targets is None else self.targets[where]
        return replace(
            self,
            images=self.images[where],
            labels=self.labels[where],
            rows=rows,
            extra=extra,
            targets=targets,
        )

    def columns(self) -> dict[str, np.ndarray]:
        """Every column of the manifest by name, (N,) texts."""
        own = {
            each.name: np.array([str(getattr(row, each.name)) for row in self.rows])
            for each in fields(ManifestRow)
        }
        return own | dict(self.extra)

    def groups(self, column: str | None) -> np.ndarray | None:
        """(N,) which group each image is of by this column of the manifest; None where there is no such column to ask.

        One without a group is its own, as it is when images are split. Raises ConfigError for an unknown column.
        """
        if column is None:
            return None
        columns = self.columns()
        if column not in columns:
            raise ConfigError(
                f"params.yaml: data.group names {column}, but the prepared data have {', '.join(columns)}. Prepare "
                "them again: dvc repro"
            )
        return np.where(columns[column] == "", columns["sha256"], columns[column])


def save_prepared(data: PreparedData, folder: Path, splits: Sequence[str]) -> None:
    """Write these splits, one after the other, each in one stretch; the three files each atomically.

    No more than a few images are in memory at once. Raises DataError when a split has no image.
    """
    order = np.concatenate([data.places(name) for name in splits])
    _save_array(data.images, order, folder / "images.npy")
    if data.targets is not None:
        _save_array(data.targets, order, folder / "targets.npy")
    if noted := noted_task(data.task):
        write_json(folder / "task.json", noted | ({"padded": True} if data.padded else {}))
    with (
        write_path(folder / "manifest.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as text,
    ):
        names = [*(each.name for each in fields(ManifestRow)), *data.extra]
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            asdict(data.rows[place]) | {name: values[place] for name, values in data.extra.items()}
            for place in order
        )
    write_json(folder / "classes.json", list(data.classes))


def _save_array(values: np.ndarray, order: np.ndarray, path: Path) -> None:
    """Rows of an array in this order."""
    with write_path(path) as temporary, temporary.open("wb") as file:
        header = {
            "descr": np.lib.format.dtype_to_descr(values.dtype),
            "fortran_order": False,
            "shape": (len(order), *values.shape[1:]),
        }
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(order), CHUNK):
            file.write(values[order[start : start + CHUNK]].data)


def _read_manifest(file: Path) -> tuple[list[ManifestRow], dict[str, np.ndarray]]:
    """The rows, and columns that are not ours."""
    rows = []
    with file.open(newline="", encoding="utf-8") as text:
        reader = csv.DictReader(text)
        extra: dict[str, list[str]] = {name: [] for name in reader.fieldnames or () if name not in _OWN}
        for row in reader:
            rows.append(
                ManifestRow(
                    index=int(row["index"]),
                    path=row["path"],
                    label=int(row["label"]),
                    class_name=sys.intern(row["class_name"]),
                    split=sys.intern(row["split"]),
                    sha256=row["sha256"],
                    width=int(row["width"]),
                    height=int(row["height"]),
                )
            )
            for name, values in extra.items():
                values.append(sys.intern(row[name]))
    return rows, {name: np.array(values, dtype=object) for name, values in extra.items()}


def load_prepared(folder: Path) -> PreparedData:
    """Read a folder that `save_prepared` wrote; its images stay on disk until they are looked at, and are read-only.

    Raises DataError when it is missing, partial or inconsistent.
    """
    names = read_json(folder / "classes.json")
    try:
        classes = tuple(str(name) for name in names)
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        rows, extra = _read_manifest(folder / "manifest.csv")
        task: Task = CLASSIFICATION
        targets, padded = None, False
        if (folder / "task.json").exists():
            described = read_json(folder / "task.json")
            task, padded = task_from_json(described.get("task")), described.get("padded") is True
        if (folder / "targets.npy").exists():
            targets = np.load(folder / "targets.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, TypeError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{folder} is not prepared data ({error}). Delete it and run: dvc repro") from error
    if images.dtype not in (np.uint8, np.uint16) or images.ndim != 4:
        raise DataError(
            f"{folder}: images.npy is {images.dtype} {images.shape}, not uint8 or uint16 (N, H, W, C). "
            "Delete it and run: dvc repro"
        )
    if targets is not None and len(targets) != len(images):
        raise DataError(
            f"{folder}: {len(images)} images but targets of {len(targets)}. Delete it and run: dvc repro"
        )
    if len(rows) != len(images):
        raise DataError(
            f"{folder}: {len(images)} images but {len(rows)} manifest rows. Delete it and run: dvc repro"
        )
    labels = np.array([row.label for row in rows], np.int64)
    return PreparedData(images, labels, rows, classes, extra, targets, task, padded)
