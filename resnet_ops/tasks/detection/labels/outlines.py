"""Outlines of objects in COCO's JSON: polygons, or run-length encoded pixels, with every fault found."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resnet_ops.errors import DataError
from resnet_ops.tasks.detection.labels.coco import read_coco
from resnet_ops.tasks.detection.labels.coco_folders import read_coco_folders
from resnet_ops.tasks.detection.labels.listing import StatedBox, StatedImage, number
from resnet_ops.tasks.detection.labels.runs import inside, runs_of
from resnet_ops.tasks.detection.labels.stated_images import (
    BEYOND,
    checked_images,
    notes_on,
    refuse,
    unknown_class,
)
from resnet_ops.tasks.task import Remedy

__all__ = ["OutlinedImage", "OutlinedObject", "read_outlines"]

LONGEST = 4_000_000
"""Pixels of a polygon's way around: COCO's own code takes some 100 bytes for each."""


@dataclass(frozen=True)
class OutlinedObject:
    """One object: polygons, or runs."""

    kind: int
    """Its class index."""
    crowd: bool
    """Whether it is a group whose outline is rough."""
    polygons: tuple[np.ndarray, ...]
    """(P, 2) x and y of points in pixels, each; together they are the object."""
    runs: np.ndarray | None
    """As `runs_of` gives them; None where there are polygons."""

    def pixels(self, size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool, as COCO's own code draws it. size: (width, height)."""
        if self.runs is not None:
            return inside(self.runs, size)
        from pycocotools import mask

        width, height = size
        drawn = mask.frPyObjects([each.ravel().tolist() for each in self.polygons], height, width)
        return np.asarray(mask.decode(mask.merge(drawn)), bool)


@dataclass(frozen=True)
class OutlinedImage:
    """One image and its objects; without any it shows the background alone."""

    file: str
    size: tuple[int, int]
    """Width and height in pixels."""
    objects: tuple[OutlinedObject, ...]


def read_outlines(
    source: Path, remedy: Remedy, classes: Sequence[str], folder: Path
) -> tuple[tuple[OutlinedImage, ...], tuple[str, ...]]:
    """Images of a COCO file, or of several in folders of `source`, with their objects, and notes.

    classes: those that are known, in their order. folder: of the images, which must be there. Raises DataError that
    lists what cannot be read, where `remedy` is `refuse` every fault, and what class after the first has no object.
    """
    listing = (read_coco_folders if source.is_dir() else read_coco)(source, outlines=True)
    places, faults = {name: place for place, name in enumerate(classes)}, list(listing.faults)
    images = tuple(
        OutlinedImage(image.file, size, tuple(_objects(image, size, places, remedy, faults)))
        for image, size in checked_images(listing, source, folder, faults)
    )
    refuse(source, faults, remedy, "outlines", classes)
    objects = [each for image in images for each in image.objects]
    shown = {each.kind for each in objects if not each.crowd}
    if unseen := [name for place, name in enumerate(classes) if place and place not in shown]:
        raise DataError(
            f"{source}: no object that counts is of class {', '.join(unseen)}. Remove it from the classes."
            f"{f' What was left out ({remedy}): {faults[0]}' if faults else ''}"
        )
    notes = [*listing.notes, *notes_on([len(image.objects) for image in images], faults, remedy)]
    if crowds := sum(each.crowd for each in objects):
        notes.append(f"{crowds:,} of {len(objects):,} objects are crowds; of their pixels nothing is asked")
    return images, tuple(notes)


def _objects(
    image: StatedImage, size: tuple[int, int], places: Mapping[str, int], remedy: Remedy, faults: list[str]
) -> Iterator[OutlinedObject]:
    for box in image.boxes:
        kind, before = places.get(box.name or ""), len(faults)
        if kind is None:
            faults.append(unknown_class(box))
        runs = _runs(box, size, faults) if isinstance(box.outline, dict) else None
        polygons = () if isinstance(box.outline, dict) else tuple(_polygons(box, size, remedy, faults))
        whole = remedy == "clip" or len(faults) == before
        if kind is not None and whole and (runs is not None or polygons):
            yield OutlinedObject(kind, box.crowd, polygons, runs)


def _runs(box: StatedBox, size: tuple[int, int], faults: list[str]) -> np.ndarray | None:
    try:
        return runs_of(box.outline, size)
    except ValueError as error:
        faults.append(f"{box.where}: its run-length encoding {error}")
        return None


def _polygons(
    box: StatedBox, size: tuple[int, int], remedy: Remedy, faults: list[str]
) -> Iterator[np.ndarray]:
    """Those that can be drawn."""
    if not isinstance(box.outline, list) or not box.outline:
        faults.append(f"{box.where}: has no `segmentation`: a list of polygons, or a run-length encoding")
        return
    for place, stated in enumerate(box.outline, 1):
        points = _points(stated)
        wrong = _fault(points, size)
        if wrong is not None:
            faults.append(f"{box.where}, polygon {place}: {wrong}")
        if wrong is None or (remedy == "clip" and _can_be_cut(points, size)):
            yield points


def _points(stated: Any) -> np.ndarray:
    """(P, 2) as written; none where it is no list of pairs."""
    numbers = [number(each) for each in stated] if isinstance(stated, list) else []
    return np.array(numbers if len(numbers) % 2 == 0 else [], float).reshape(-1, 2)


def _fault(points: np.ndarray, size: tuple[int, int]) -> str | None:
    if len(points) < 3:
        return "has fewer than three points, each an x and a y; draw it again, or remove it"
    if not np.isfinite(points).all():
        return "a coordinate is no number"
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    if min(left, top) < -BEYOND or right > size[0] + BEYOND or bottom > size[1] + BEYOND:
        reach = f"x {left:g} to {right:g}, y {top:g} to {bottom:g}"
        return f"reaches out of the image of {size[0]}x{size[1]} pixels ({reach})"
    if _is_long(points):
        return f"its way around is longer than {LONGEST:,} pixels; draw it again, or remove it"
    if _is_line(points):
        return "its points lie on one line; draw it again, or remove it"
    return None


def _can_be_cut(points: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether some of it may be in the image, and none so far away, or so long, that drawing it takes long."""
    if len(points) < 3 or not np.isfinite(points).all():
        return False
    low, high, sides = points.min(axis=0), points.max(axis=0), np.array(size)
    near = max(-low.min(), high.max()) < 2 * sides.max()
    there = bool(near and (low < sides).all() and (high > 0).all())
    return there and not (_is_line(points) or _is_long(points))


def _is_long(points: np.ndarray) -> bool:
    return bool(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum() > LONGEST)


def _is_line(points: np.ndarray) -> bool:
    return bool(np.linalg.matrix_rank(points - points[0]) < 2)
