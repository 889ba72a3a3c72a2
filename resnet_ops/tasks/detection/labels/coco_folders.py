"""COCO files in several folders, each beside its images, as Roboflow exports them: train/_annotations.coco.json."""

from pathlib import Path, PurePath

from resnet_ops.tasks.detection.labels.coco import read_coco
from resnet_ops.tasks.detection.labels.listing import Listing

__all__ = ["BESIDE", "coco_files", "read_coco_folders"]

BESIDE = "_annotations.coco.json"
"""What the file of each folder is called."""


def coco_files(folder: Path) -> list[Path]:
    """Those in folders of this one."""
    return sorted(folder.glob(f"*/{BESIDE}"))


def read_coco_folders(folder: Path, outlines: bool = False) -> Listing:
    """All of them as one. Ids begin anew in each file, so that an image is known by its folder and id, a class by name.

    Images are relative to `folder`. outlines: as in `read_coco`. Raises DataError as that does.
    """
    joined = Listing(classes=[])
    for file in coco_files(folder):
        found, part = read_coco(file, outlines), file.parent.name
        for image in found.images:
            image.id, image.file = f"{part}/{image.id}", (PurePath(part) / image.file).as_posix()
        joined.images += found.images
        joined.unreadable += found.unreadable
        joined.faults += found.faults
        joined.notes += [note for note in found.notes if note not in joined.notes]
        joined.classes = list(dict.fromkeys([*(joined.classes or []), *(found.classes or [])]))
    return joined
