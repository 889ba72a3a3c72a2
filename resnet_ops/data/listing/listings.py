"""Which image files a data set has: those of a folder, of ImageNet's layout, or of a CSV file."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_ops.data.listing.class_names import spelling_of
from resnet_ops.data.listing.csv_listing import list_csv
from resnet_ops.data.listing.folders import Found, find, notes_on, require_most
from resnet_ops.data.listing.given_splits import (
    class_folders,
    given_splits,
    note_on_given,
    refuse_split_names,
    require_same_classes,
    split_folders,
)
from resnet_ops.data.listing.listed import Listed
from resnet_ops.data.listing.raters import by_majority, rating_columns, ratings_of
from resnet_ops.data.params import DataParams
from resnet_ops.data.prepared import HELD_OUT, LEARNED
from resnet_ops.errors import DataError

__all__ = ["Listing", "list_images"]


@dataclass(frozen=True)
class Listing:
    """The images of a data set, unread."""

    root: Path
    """The folder that names are relative to."""
    images: list[Listed]
    notes: list[str]
    """What was passed over, in words."""


def list_images(params: DataParams) -> Listing:
    """The images of an image folder, ImageNet's layout or a CSV file, without decoding one. Raises DataError."""
    root = Path(params.root or "")
    match params.source:
        case "imagenet":
            images, notes = _list_parts(root, {root / "train": LEARNED, root / "val": HELD_OUT})
        case "split_folders":
            images, notes = _list_given(root)
        case "csv":
            images, notes = list_csv(root, set(params.split.as_dict()))
            root = root.parent
        case _:
            _require_folder(root)
            refuse_split_names(root)
            images, notes = _list_folder(root)
    counts = Counter(name for each in images for name in (each.class_name, *ratings_of(each)) if name)
    spelling = spelling_of(counts, params.similar_classes, str(params.root))
    images, tied = by_majority([_spelt(each, spelling) for each in images], params.conflicts)
    if (classes := len({each.class_name for each in images})) < 2:
        raise DataError(f"{root}: {classes} class(es) in {len(images)} images, but two are needed.")
    return Listing(root, images, [*notes, *tied])


def _spelt(image: Listed, spelling: dict[str, str]) -> Listed:
    rated = {name: spelling.get(image.extra[name], "") for name in rating_columns(image.extra)}
    return replace(
        image,
        class_name=spelling.get(image.class_name, ""),
        extra={**image.extra, **rated},
    )


def _list_given(root: Path) -> tuple[list[Listed], list[str]]:
    """ROOT/train/CLASS/IMAGE with val or test beside it, in the spellings of `given_splits`."""
    _require_folder(root)
    parts = given_splits(root)
    if not parts:
        raise DataError(
            f"{root}: data.source is split_folders, but there is no train/CLASS/IMAGE with val/CLASS/IMAGE or "
            "test/CLASS/IMAGE beside it. Lay images out like that, or set data.source in params.yaml to imagefolder."
        )
    images, notes = _list_parts(root, parts)
    others = [folder.name for folder in class_folders(root) if folder not in parts]
    skipped = [f"Skipped the folders beside them: {', '.join(others)}"] if others else []
    given = note_on_given({part.name: splits for part, splits in parts.items()})
    return images, [given, *skipped, *notes]


def _list_parts(root: Path, parts: dict[Path, tuple[str, ...]]) -> tuple[list[Listed], list[str]]:
    """The images of each folder of classes, for the splits that it may go to."""
    for part in parts:
        _require_folder(part)
    require_same_classes(root, list(parts))
    images, notes = [], []
    for part, splits in parts.items():
        found, passed = _list_folder(part)
        images += [replace(each, allowed=splits) for each in found]
        notes += [f"{part.name}: {note}" for note in passed]
    return images, notes


def _require_folder(root: Path) -> None:
    if not root.is_dir():
        raise DataError(
            f"The image folder {root} is missing. Set data.root in params.yaml to a folder of class folders."
        )


def _list_folder(root: Path) -> tuple[list[Listed], list[str]]:
    """The images of ROOT/CLASS/IMAGE, in deeper folders too. Raises DataError when classes are missing or empty."""
    classes = [folder.name for folder in class_folders(root)]
    files = {name: find(root / name) for name in classes}
    for name in classes:
        require_most(f"{root}/{name}", files[name])
    _require_classes(root, files)
    images = [Listed(path, name) for name in classes for path in files[name].images]
    beside = find(root, deep=False)
    everything = Found(droppings=beside.droppings)
    for each in files.values():
        everything += each
    notes = notes_on(everything)
    if parted := [name for name in classes if split_folders(root / name)]:
        notes.append(f"Folders called like splits inside of {', '.join(parted)} are not taken for these")
    if beside.images:
        notes.append(f"Skipped {len(beside.images)} images that lie beside the class folders")
        if len(beside.images) > len(images):
            raise DataError(
                f"{root}: {len(beside.images)} images lie beside the class folders, and only {len(images)} in them. "
                f"Lay them out as {root}/CLASS/IMAGE, or remove them."
            )
    return images, notes


def _require_classes(root: Path, files: dict[str, Found]) -> None:
    if empty := [name for name, found in files.items() if not found.images]:
        boxes = " YOLO's text needs data.yaml or classes.txt beside it." if "labels" in empty else ""
        raise DataError(
            f"{root}: no image in class folder {', '.join(empty)}. Lay images out as {root}/CLASS/IMAGE, and remove "
            f"folders that are not classes.{boxes}"
        )
    if len(files) < 2:
        others = [folder for folder in class_folders(root) if class_folders(folder)] + sorted(
            root.glob("*.csv")
        )
        there = f": {', '.join(map(str, others[:3]))}, perhaps" if others else ""
        raise DataError(
            f"{root}: {len(files)} class folder(s), not 2. Lay images out as {root}/CLASS/IMAGE, or name a folder that "
            f"has them so, or a CSV file with the columns path and class{there}."
        )
