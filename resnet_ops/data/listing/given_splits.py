"""Folders that are called like splits: what the makers of a data set gave for training, and what they held out."""

from pathlib import Path

from resnet_ops.data.listing.folders import is_dropping
from resnet_ops.data.raw import HELD_OUT, LEARNED
from resnet_ops.errors import DataError

__all__ = [
    "class_folders",
    "given_splits",
    "is_split_name",
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


def split_folders(root: Path) -> list[Path]:
    """The folders of ROOT that are called like splits; none where one for training, or any beside it, is missing."""
    found = [each for each in class_folders(root) if is_split_name(each.name)]
    called = {_SPLIT_OF[each.name.casefold()] for each in found}
    return found if "train" in called and len(called) > 1 else []


def given_splits(root: Path) -> dict[Path, tuple[str, ...]]:
    """Of ROOT/train/CLASS/IMAGE and the like, the splits that the images of each folder may go to; else none.

    A split that is not given is cut from its neighbour: validation from train, production from test, test from
    production. Without either of these, what is called validation is held out, as in ImageNet. Raises DataError where
    two folders are called like one split, or two are the same folder.
    """
    found: dict[str, Path] = {}
    for folder in filter(class_folders, split_folders(root)):
        split = _SPLIT_OF[folder.name.casefold()]
        if split in found:
            raise DataError(
                f"{root}: the folders {found[split].name} and {folder.name} are both called like the {split} split. "
                "Join them, or move one away."
            )
        if same := next((each for each in found.values() if each.samefile(folder)), None):
            raise DataError(f"{root}: {same.name} and {folder.name} are the same folder. Remove the link.")
        found[split] = folder
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
