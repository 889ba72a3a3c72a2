"""Folders that are called like splits: what the makers of a data set gave for training, and what they held out."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from resnet_ops.data.listing.folders import is_dropping
from resnet_ops.data.prepared import HELD_OUT, LEARNED
from resnet_ops.errors import DataError

__all__ = [
    "begins_like_a_split",
    "class_folders",
    "given_splits",
    "is_split_name",
    "named_splits",
    "note_on_given",
    "part_of_each",
    "refuse_split_names",
    "require_same_classes",
    "split_folders",
]

_SPLIT_OF = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
    "production": "production",
}
"""By what a folder is called, in small letters."""


def class_folders(root: Path) -> list[Path]:
    """The folders of ROOT by name, without those that systems leave behind. Raises DataError when ROOT is closed."""
    try:
        return sorted(each for each in root.iterdir() if not is_dropping(each.name) and each.is_dir())
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be read: {error.strerror}. Name another folder, or change its "
            "permissions."
        ) from error


def is_split_name(name: str) -> bool:
    """Whether a folder of this name is called like a split."""
    return name.casefold() in _SPLIT_OF


def begins_like_a_split(name: str) -> bool:
    """Whether the first word of a folder's name is called like a split, as in train_images."""
    return is_split_name(re.split("[^a-z]", name.casefold())[0])


def split_folders(root: Path) -> list[Path]:
    """The folders of ROOT that are called like splits; none where one for training, or any beside it, is missing."""
    found = [each for each in class_folders(root) if is_split_name(each.name)]
    called = {_SPLIT_OF[each.name.casefold()] for each in found}
    return found if "train" in called and len(called) > 1 else []


def named_splits(names: Iterable[str], what: str) -> dict[str, tuple[str, ...]]:
    """For each of these names, which are called like splits, those that its images may go to; else none.

    A split that is not given is cut from its neighbour: validation from train, production from test, test from
    production. Without either of these, what is called validation is held out, as in ImageNet. what: has the names,
    such as a folder and "folders". Raises DataError where two are called like one split.
    """
    found: dict[str, str] = {}
    for name in names:
        split = _SPLIT_OF[name.casefold()]
        if split in found:
            raise DataError(
                f"{what} {found[split]} and {name} are both called like the {split} split. Join them, or move one away."
            )
        found[split] = name
    if not found.keys() & set(HELD_OUT) and "validation" in found:
        found["test"] = found.pop("validation")
    if "train" not in found or not found.keys() & set(HELD_OUT):
        return {}
    return {
        found[split]: (split,) if found.keys() >= set(pair) else pair
        for pair in (LEARNED, HELD_OUT)
        for split in pair
        if split in found
    }


def given_splits(root: Path) -> dict[Path, tuple[str, ...]]:
    """Of ROOT/train/CLASS/IMAGE and the like, the splits that the images of each folder may go to; else none.

    See `named_splits`. Raises DataError where two folders are called like one split, or two are the same folder.
    """
    parts = list(filter(class_folders, split_folders(root)))
    splits = named_splits((each.name for each in parts), f"{root}: the folders")
    for place, folder in enumerate(parts):
        if same := next((each for each in parts[:place] if each.samefile(folder)), None):
            raise DataError(f"{root}: {same.name} and {folder.name} are the same folder. Remove the link.")
    return {root / name: each for name, each in splits.items()}


def note_on_given(splits: Mapping[str, tuple[str, ...]], what: str = "Folders") -> str:
    """What `named_splits` says, in words."""
    given = "; ".join(f"{name} for {' and '.join(each)}" for name, each in splits.items())
    return f"{what} say the splits of their images: {given}"


def part_of_each(images: Iterable[Path]) -> dict[Path, str]:
    """Of each image, below the folder that all of them are in, the first folder that is called like a split; not of
    those that lie in none.
    """
    above = {image: Path(os.path.normpath(image.absolute())).parent for image in images}
    common = len(Path(os.path.commonpath(above.values())).parts) if above else 0
    parts = {image: next(filter(is_split_name, place.parts[common:]), "") for image, place in above.items()}
    return {image: part for image, part in parts.items() if part}


def require_same_classes(root: Path, parts: list[Path]) -> None:
    """Raise DataError that names the classes which not every folder has, before an image is looked for."""
    names = {part: {folder.name for folder in class_folders(part)} for part in parts}
    every = set.union(*names.values())
    missing = [
        f"class {', '.join(sorted(every - there))} is not in {part.name}"
        for part, there in names.items()
        if every - there
    ]
    if missing:
        called = " and ".join(part.name for part in parts)
        raise DataError(
            f"{root}: {'; '.join(missing)}. Give {called} the same class folders; or give a folder that is not "
            "laid out by these classes a name that says no split, such as unsorted, and it is left out."
        )


def refuse_split_names(root: Path) -> None:
    """Raise DataError where all folders, which would be the classes, are called like splits."""
    folders = class_folders(root)
    if not folders or not all(is_split_name(each.name) for each in folders):
        return
    remedy = "lay images out as ROOT/CLASS/IMAGE, or list them in a CSV file with the columns path, class and split"
    if given_splits(root):
        remedy = "set data.source: split_folders in params.yaml, which reads ROOT/train/CLASS/IMAGE"
    elif deep := [each for each in folders if class_folders(each)]:
        train = next((each for each in deep if _SPLIT_OF[each.name.casefold()] == "train"), deep[0])
        remedy = f"name the one with class folders, to have its images split: resnet-ops init {train}"
    called = ", ".join(each.name for each in folders)
    raise DataError(
        f"{root}: the folders {called} are called like splits, and would be the classes. So {remedy}."
    )
