"""Boxes beside images: in which form a folder holds them, what they show, and what is wrong with them."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from resnet_ops.csv_table import read_header
from resnet_ops.data.listing.folders import find
from resnet_ops.data.params import DataParams
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.extras import require
from resnet_ops.tasks.detection.boxes import Labels
from resnet_ops.tasks.detection.labels.coco_folders import BESIDE, coco_files
from resnet_ops.tasks.detection.labels.listing import Listing
from resnet_ops.tasks.detection.labels.reading import list_labels
from resnet_ops.tasks.detection.labels.remedies import remedied
from resnet_ops.tasks.detection.labels.yolo import NAMES, text_beside
from resnet_ops.tasks.reading.given import Given, find_given
from resnet_ops.tasks.task import Detection

__all__ = ["FoundBoxes", "find_boxes"]

COLUMNS = {"image", "class", "xmin", "ymin", "xmax", "ymax"}
PARTS = {"images", "annotations", "categories"}
FEW = 20
"""JSON or CSV files; where there are more, they belong to an image each, and hold no list of boxes."""
BEGINNING = 2000
"""Bytes of a VOC file in which its outermost element begins."""
LEAST = 8
"""Pixels that half of the objects of each class have in the prepared images."""


@dataclass(frozen=True)
class FoundBoxes:
    """What a folder's labels say."""

    settings: Detection
    root: Path
    images: tuple[Path, ...]
    faults: tuple[str, ...]
    """Of the labels, one line each."""
    given: bool
    """Whether folders or lists say the splits of the images."""
    least_size: int
    """Side of prepared images in which half of the objects of each class have LEAST pixels."""

    @property
    def classes(self) -> int:
        """With the background."""
        return len(self.settings.classes) + 1

    def of(self, data: DataParams) -> DataParams:
        """These settings with what was found. Images are padded, as a crop may lose objects."""
        return replace(
            data,
            source="split_folders" if self.given else "imagefolder",
            root=str(self.root),
            fit="pad",
            task=self.settings.name,
            detection=self.settings,
        )


def find_boxes(place: Path) -> FoundBoxes | None:
    """The boxes of a folder at any depth, or of a COCO or CSV file beside its images; None where there are none.

    Raises DataError where there are several lists of boxes, their images are missing, nothing of them can be used, a
    JSON file is none of them, or the rest of one.
    """
    root = place if place.is_dir() else place.parent
    if place.is_dir():
        sources = sorted(set(_sources(root)))
    else:
        sources = [place] if place.suffix.lower() == ".json" or _is_list(place) else []
    if not sources:
        return None
    if len(sources) > 1:
        raise DataError(
            f"{root} has several lists of boxes: {', '.join(str(each) for each in sources[:5])}. A project has one: "
            "join them, or name one: resnet-ops init LIST"
        )
    require("resnet-ops init with boxes", "pycocotools")
    (source,) = sources
    listing, folder = list_labels(source, _yolo_images(source))
    folder = folder or _folder_of(listing, root)
    labels = remedied(listing, source, "clip", None, folder)
    given = find_given(
        [folder / image.file for image in labels.images], source.parent if source != root else root
    )
    if given is not None:
        labels = _kept(labels, folder, given)
    classes = _classes(labels)
    named = {name for image in labels.images for name in np.array(labels.classes)[image.classes]}
    try:
        settings = Detection(
            labels=_below(source, root),
            images=_below(folder, root),
            classes=classes,
            faults="clip" if labels.faults or named > set(classes) else "refuse",
            head="fcos",
            width=32,
            frozen_norms=False,
        )
    except ValueError as error:
        raise ConfigError(f"{source}: its {error}") from error
    paths = tuple(folder / image.file for image in labels.images)
    return FoundBoxes(settings, root, paths, labels.faults, given is not None, _least_size(labels))


def _sources(root: Path) -> Iterator[Path]:
    """Of each form what holds it: a file, or the folder above all of its files."""
    files = sorted(Path(place, name) for place, _, names in os.walk(root) for name in names)
    lists = [path for path in files if path.suffix.lower() in (".json", ".csv")]
    if len(lists) <= FEW:
        for path in filter(_is_list, lists):
            several = path.name == BESIDE and path.parent != root and len(coco_files(path.parent.parent)) > 1
            yield path.parent.parent if several else path
    for path in files:
        if path.name in NAMES and _yolo_images(path.parent):
            yield path.parent
    voc = {path.parent: path for path in files if path.suffix.lower() == ".xml"}
    if folders := [folder for folder, path in voc.items() if _is_voc(path)]:
        yield Path(os.path.commonpath(folders))


def _is_list(file: Path) -> bool:
    """Whether it is a COCO file or a CSV file of boxes. Raises DataError for what is left of a COCO file."""
    try:
        if file.suffix.lower() == ".csv":
            return set(read_header(file)) >= COLUMNS
        content = file.read_bytes()
    except (DataError, OSError):
        return False
    try:
        text = content.decode(json.detect_encoding(content)).strip()
        parts, end = json.JSONDecoder().raw_decode(text)
        if not isinstance(parts, dict) or not parts.keys() >= PARTS:
            return False  # whatever follows: JSON Lines have a value a line
        if end < len(text):
            raise ValueError(f"it goes on after its end, from character {end} on")
    except (ValueError, RecursionError) as error:
        plain = content.replace(b"\0", b"")  # as in UTF-16
        if any(f'"{name}"'.encode() in plain for name in PARTS):
            raise DataError(
                f"{file} looks like a COCO file of boxes, and is no JSON ({error}). Bring the whole file again, or "
                "move it out of this folder if it is none."
            ) from None
        return False
    return True


def _yolo_images(folder: Path) -> Path | None:
    """The folder whose images have YOLO's text in this one; None where it holds none."""
    if not any((folder / name).is_file() for name in NAMES):
        return None
    labels = folder / "labels" if (folder / "labels").is_dir() else folder
    texts = {path.relative_to(labels).with_suffix("").as_posix() for path in labels.rglob("*.txt")}
    for images in (folder / "images", folder, folder.parent / "images"):
        there = [each.relative_to(images) for each in find(images).images] if images.is_dir() else []
        if any({each.with_suffix("").as_posix(), text_beside(each)} & texts for each in there):
            return images
    return None


def _is_voc(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            return b"<annotation" in content.read(BEGINNING)
    except OSError:
        return False


def _folder_of(listing: Listing, root: Path) -> Path:
    """The folder below root from which most names of images lead to one. Raises DataError where none does."""
    names, found = {Path(image.file) for image in listing.images}, Counter[Path]()
    for path in find(root).images:
        found[root] += path.is_absolute() and path in names
        for above in path.parents[: len(path.parents) - len(root.parents)]:
            found[above] += path.relative_to(above) in names
    folder, count = max(sorted(found.items()), key=lambda each: each[1], default=(root, 0))
    if not count:
        first = listing.images[0].file if listing.images else "none"
        raise DataError(
            f"{root}: of {len(names):,} images that the labels name, such as {first[:200]}, none is in any folder of "
            "it. Put the images beside the labels, under the names that these say."
        )
    return folder


def _kept(labels: Labels, folder: Path, given: Given) -> Labels:
    """Those of the images that are given for a split. Raises DataError where these of one show no object at all, as in
    a test whose labels its makers keep."""
    kept = tuple(image for image in labels.images if folder / image.file in given.allowed)
    objects = Counter[tuple[str, ...]]()
    for image in kept:
        objects[given.allowed[folder / image.file]] += len(image.boxes)
    for image in kept:
        if not objects[splits := given.allowed[folder / image.file]]:
            raise DataError(
                f"{folder}: the images that are given for {' and '.join(splits)}, such as {image.file}, show no "
                "object. If they are not labelled, move them to a folder elsewhere."
            )
    return replace(labels, images=kept)


def _classes(labels: Labels) -> tuple[str, ...]:
    """Those of which some object counts."""
    counting = {place for image in labels.images for place in image.classes[~image.crowd].tolist()}
    return tuple(name for place, name in enumerate(labels.classes) if place in counting)


def _least_size(labels: Labels) -> int:
    """As in FoundBoxes: images are padded to squares, so that shares are those of the longer side."""
    kinds = np.concatenate([image.classes for image in labels.images])
    shares = np.concatenate(
        [
            (image.boxes[:, 2:] - image.boxes[:, :2]).min(axis=1) / max(image.width, image.height)
            for image in labels.images
        ]
    )
    return math.ceil(LEAST / min(float(np.median(shares[kinds == kind])) for kind in np.unique(kinds)))


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
