"""Image files that a folder or a CSV file lists, read in parallel; all that cannot be read are named at once."""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_ops.data.decoding import AHEAD, decode
from resnet_ops.data.params import DataParams
from resnet_ops.data.raw import HELD_OUT, LEARNED, RawData
from resnet_ops.data.spool import spool
from resnet_ops.errors import DataError
from resnet_ops.messages import Progress
from resnet_ops.threads import mapped

__all__ = ["Listed", "list_images", "read_listed"]

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Listed:
    """One image file: where it lies, its class, and the splits it may go to."""

    path: Path
    class_name: str
    allowed: tuple[str, ...] | None = None


def read_listed(params: DataParams, progress: Progress, scratch: Path | None) -> RawData:
    """Read every image that `list_images` finds; class names are in alphabetical order.

    Raises DataError that names every image that cannot be read.
    """
    root = Path(params.root or "")
    return _read(
        root.parent if params.source == "csv" else root, list_images(params), params, progress, scratch
    )


def list_images(params: DataParams) -> list[Listed]:
    """The images of an image folder, ImageNet's layout or a CSV file, without reading one. Raises DataError."""
    root = Path(params.root or "")
    match params.source:
        case "imagenet":
            return _list_imagenet(root)
        case "csv":
            return _list_csv(root, set(params.split.as_dict()))
        case _:
            return _list_folder(root)


def _list_imagenet(root: Path) -> list[Listed]:
    """ROOT/train/CLASS/IMAGE for training and validation, ROOT/val/CLASS/IMAGE for test and production."""
    parts = {name: _list_folder(root / name) for name in ("train", "val")}
    train, val = ({listed.class_name for listed in part} for part in parts.values())
    if train != val:
        raise DataError(
            f"{root}: class {', '.join(sorted(train ^ val))} is in only one of train and val. "
            "Give both the same class folders."
        )
    listing = [Listed(each.path, each.class_name, LEARNED) for each in parts["train"]]
    return listing + [Listed(each.path, each.class_name, HELD_OUT) for each in parts["val"]]


def _list_csv(file: Path, splits: set[str]) -> list[Listed]:
    """Columns path, relative to the file's folder, and class; and perhaps split, which is kept where a row has one."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text)
            missing = {"path", "class"} - set(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"The CSV file {file} cannot be read ({error}). Set data.root in params.yaml to a CSV file in UTF-8."
        ) from error
    if missing:
        raise DataError(
            f"{file} has no column {', '.join(sorted(missing))}. Name its columns path, class, split."
        )
    wrong = [f"line {line}: {why}" for line, row in enumerate(rows, 2) if (why := _wrong_row(row, splits))]
    if wrong:
        shown = "\n  ".join(wrong)
        raise DataError(
            f"{file}: {len(wrong)} of {len(rows)} rows are wrong; correct or remove them:\n  {shown}"
        )
    return [
        Listed(file.parent / row["path"], row["class"], (row["split"],) if row.get("split") else None)
        for row in rows
    ]


def _wrong_row(row: dict[str, str], splits: set[str]) -> str | None:
    if not row["path"] or not row["class"]:
        return "path or class is empty"
    if row.get("split") and row["split"] not in splits:
        return f"split {row['split']} is none of {', '.join(sorted(splits))}"
    return None


def _list_folder(root: Path) -> list[Listed]:
    """The images of ROOT/CLASS/IMAGE. Raises DataError when classes are missing or empty."""
    if not root.is_dir():
        raise DataError(
            f"The image folder {root} is missing. Set data.root in params.yaml to a folder of class folders."
        )
    classes = sorted(folder.name for folder in root.iterdir() if folder.is_dir() and folder.name[0] != ".")
    files = {name: _images_in(root / name) for name in classes}
    empty = [name for name in classes if not files[name]]
    if len(classes) < 2 or empty:
        what = (
            f"no image in class folder {', '.join(empty)}"
            if empty
            else f"{len(classes)} class folder(s), not 2"
        )
        raise DataError(
            f"{root}: {what}. Lay images out as {root}/CLASS/IMAGE, and remove folders that are no class."
        )
    return [Listed(path, name) for name in classes for path in files[name]]


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _read(
    root: Path, listing: Sequence[Listed], params: DataParams, progress: Progress, scratch: Path | None
) -> RawData:
    classes = tuple(sorted({listed.class_name for listed in listing}))
    if len(classes) < 2:
        raise DataError(f"{root}: {len(classes)} class(es) in {len(listing)} images, but two are needed.")
    names = [os.path.relpath(each.path, root) for each in listing]
    sizes: list[tuple[int, int]] = []

    def read() -> Iterator[np.ndarray]:
        broken: list[str] = []
        decoded = mapped(lambda listed: decode(listed.path, params), listing, AHEAD)
        for done, (name, result) in enumerate(zip(names, decoded, strict=True), 1):
            if isinstance(result, str):
                broken.append(f"{name} ({result})")
            else:
                pixels, size = result
                sizes.append(size)
                yield pixels
            progress(done, len(listing))
        if broken:
            shown = "\n  ".join(broken)
            raise DataError(
                f"{root}: {len(broken)} of {len(listing)} images cannot be read; replace or remove them:\n  {shown}"
            )

    images = spool(read(), (params.image_size, params.image_size, params.channels), scratch)
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of[listed.class_name] for listed in listing], np.int64)
    anywhere = tuple(params.split.as_dict())
    allowed = [listed.allowed or anywhere for listed in listing]
    given = any(listed.allowed for listed in listing)
    return RawData(images, labels, names, sizes, classes, allowed if given else None)
