"""Splits that are given to images with masks or boxes: by folders that are called like them, or by lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_ops.data.listing.given_splits import named_splits, note_on_given, part_of_each
from resnet_ops.data.params import DataParams
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.tasks.detection.labels.image_sets import SETS, set_of_each

__all__ = ["Given", "find_given", "folder_of", "given_to"]


@dataclass(frozen=True)
class Given:
    """Where images may go."""

    allowed: dict[Path, tuple[str, ...]]
    """The splits of each; an image that is not in it is left out."""
    notes: tuple[str, ...]


def folder_of(params: DataParams, what: str) -> Path:
    """`data.root`. what: lies beside the images there, such as masks.

    Raises ConfigError where `data.source` is none for them, DataError where the folder is missing.
    """
    if params.source not in ("imagefolder", "split_folders"):
        raise ConfigError(
            f"data.source is {params.source}, but {what} are read beside the images of a folder. In params.yaml set it "
            "to imagefolder, or to split_folders where folders or lists give their splits."
        )
    root = Path(params.root or "")
    if not root.is_dir():
        raise DataError(
            f"The folder {root} is missing. Set data.root in params.yaml to the folder of images with {what}."
        )
    return root


def given_to(params: DataParams, images: Sequence[Path], lists: Path | None) -> Given | None:
    """Where these images may go by `data.source: split_folders`; None where they may go anywhere. lists: as in
    `find_given`.

    Raises DataError where nothing is given, or not clearly.
    """
    if params.source != "split_folders":
        return None
    if (given := find_given(images, lists)) is None:
        raise DataError(
            f"{params.root}: data.source is split_folders, but the images lie in no folders that are called like "
            f"splits (train, with valid or test beside it), nor does {SETS} name them. Lay them out so, or set "
            "data.source in params.yaml to imagefolder."
        )
    return given


def find_given(images: Sequence[Path], lists: Path | None) -> Given | None:
    """What `named_splits` takes from lists, or else from folders; None where nothing is given.

    lists: the folder that may have `ImageSets`.

    Raises DataError where two folders or lists are of one split, or an image is in two lists.
    """
    named, notes = set_of_each(lists, images) if lists is not None else ({}, [])
    what = f"Lists in {SETS}"
    splits = named_splits(sorted({*named.values()}), what)
    if not splits:
        named, notes, what = part_of_each(images), [], "Folders"
        splits = named_splits(sorted({*named.values()}), what)
    if not splits:
        return None
    left_out = [image for image in images if image not in named]
    if left_out:
        notes.append(f"{len(left_out):,} images are in none of them and are left out, such as {left_out[0]}")
    return Given(
        {image: splits[name] for image, name in named.items()}, (note_on_given(splits, what), *notes)
    )
