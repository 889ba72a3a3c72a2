"""Labels of any of four formats, known by what is there."""

import os
from collections.abc import Sequence
from pathlib import Path

from resnet_ops.errors import DataError
from resnet_ops.tasks.detection.boxes import Labels
from resnet_ops.tasks.detection.labels.coco import read_coco
from resnet_ops.tasks.detection.labels.coco_folders import coco_files, read_coco_folders
from resnet_ops.tasks.detection.labels.csv_boxes import read_csv_boxes
from resnet_ops.tasks.detection.labels.image_sets import read_names
from resnet_ops.tasks.detection.labels.listing import Listing
from resnet_ops.tasks.detection.labels.remedies import remedied
from resnet_ops.tasks.detection.labels.voc import read_voc
from resnet_ops.tasks.detection.labels.yolo import NAMES, read_yolo
from resnet_ops.tasks.task import Remedy

__all__ = ["list_labels", "read_labels"]

FORMS = (
    "a COCO file (.json), a folder of folders with one each (_annotations.coco.json), a CSV file of boxes (.csv), a "
    "folder of VOC files (.xml) or one of YOLO (with data.yaml)"
)


def read_labels(
    source: Path, remedy: Remedy, classes: Sequence[str] | None = None, images: Path | None = None
) -> Labels:
    """Read `source`: a COCO JSON file, a folder of folders with one each, a CSV file of boxes, a folder of VOC XML
    files, or a folder of YOLO text.

    A list of names (.txt, an image's name a line) beside a folder `Annotations` stands for these VOC files of it, as
    VOC's ImageSets/Main/test.txt does. images: their folder, against which names and sizes are checked; YOLO text needs
    it, and takes `source`/images without. classes, remedy: as in `remedied`. Raises DataError that lists every fault.
    """
    listing, folder = list_labels(source, images)
    return remedied(listing, source, remedy, classes, folder)


def list_labels(source: Path, images: Path | None) -> tuple[Listing, Path | None]:
    """What the source says, before it is checked, and the folder of images: the given one, or where the form says."""
    if images is not None and not images.is_dir():
        raise DataError(f"There is no folder {images}. Name the folder of images.")
    match source.suffix.lower():
        case ".json" if source.is_file():
            return read_coco(source), images
        case ".csv" if source.is_file():
            return read_csv_boxes(source), images
        case ".txt" if source.is_file():
            return read_voc(_named_in(source)), images
    if any((source / name).is_file() for name in NAMES):
        folder = images or source / "images"
        if not folder.is_dir():
            raise DataError(
                f"There is no folder {folder}, whose images give YOLO's shares their pixels. Name it."
            )
        return read_yolo(source, folder), folder
    if source.is_dir() and (files := sorted(source.rglob("*.xml"))):
        listing = read_voc(files)
        beside = _find_beside(listing, images or source)
        return listing, images or (source if beside else None)
    if source.is_dir() and coco_files(source):
        return read_coco_folders(source), images or source
    raise DataError(f"{source} has no labels of boxes. Name {FORMS}.")


def _find_beside(listing: Listing, folder: Path) -> bool:
    """Call images that lie beside their VOC file, below `folder` but not in it, as they are called from there; whether
    any does.
    """
    found = False
    for image in listing.images:
        path = Path(image.where).parent / image.file
        if path.is_relative_to(folder) and _is_file(path) and not _is_file(folder / image.file):
            image.id = image.file = path.relative_to(folder).as_posix()
            found = True
    return found


def _is_file(path: Path) -> bool:
    """Also of a name that is too long, for which `Path.is_file` raises."""
    return os.path.isfile(path)  # noqa: PTH113


def _named_in(file: Path) -> list[Path]:
    """VOC files of the images that a list names."""
    places = (file.parents[2] if len(file.parents) > 2 else file.parent, file.parent)
    folder = next((place / "Annotations" for place in places if (place / "Annotations").is_dir()), None)
    if folder is None:
        raise DataError(
            f"{file} lists images, but there is no folder Annotations in {places[0]} or beside it."
        )
    return [folder / f"{name.split()[0]}.xml" for _, name in read_names(file)]
