"""From what labels say to what is used: every fault found, then dropped, clipped or refused."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from resnet_ops.errors import DataError
from resnet_ops.tasks.detection.boxes import BoxedImage, Labels
from resnet_ops.tasks.detection.labels.listing import Listing, StatedBox, StatedImage
from resnet_ops.tasks.detection.labels.stated_images import (
    BEYOND,
    checked_images,
    notes_on,
    refuse,
    unknown_class,
)
from resnet_ops.tasks.task import Remedy

__all__ = ["remedied"]

_Corners = tuple[float, float, float, float]
MAX_CLASSES, LONGEST_CLASS = 1_000, 200


def remedied(
    listing: Listing, source: Path, remedy: Remedy, classes: Sequence[str] | None, folder: Path | None
) -> Labels:
    """Labels without a fault.

    classes: those that are known, in their order; None: as the source lists them, or sorted where it has no list.
    folder: of the images, which must be there then. Raises DataError that lists what cannot be read, and where `remedy`
    is `refuse` every fault, each with its file and line.
    """
    names = _class_names(source, listing, classes)
    faults = list(listing.faults)
    place = {name: number for number, name in enumerate(names)}
    kept = tuple(
        _checked(image, size, place, remedy, faults)
        for image, size in checked_images(listing, source, folder, faults)
    )
    refuse(source, faults, remedy, "boxes", names)
    if all(image.crowd.all() for image in kept):
        raise DataError(
            f"{source} has no object that counts in {len(kept)} images that are left. Nothing can be learned or "
            f"measured.{f' What was left out ({remedy}): {faults[0]}' if faults else ''}"
        )
    ids = {key: place[name] for key, name in listing.class_numbers.items() if name in place} | place
    notes = (*listing.notes, *_notes(kept, names, faults, remedy))
    return Labels(tuple(names), ids, kept, notes, tuple(faults))


def _class_names(source: Path, listing: Listing, classes: Sequence[str] | None) -> list[str]:
    if classes is not None:
        return list(classes)
    found = listing.classes
    if found is None:
        found = sorted({box.name for image in listing.images for box in image.boxes if box.name is not None})
    for name in found:
        if not (len(name) <= LONGEST_CLASS and name.isprintable()):
            raise DataError(
                f"{source}: {name[:LONGEST_CLASS]!r} is no name for a class. Use 1 to {LONGEST_CLASS} printable signs."
            )
    if len(found) > MAX_CLASSES:
        raise DataError(
            f"{source} has {len(found):,} classes, and at most {MAX_CLASSES:,} are taken. Join some."
        )
    return found


def _checked(
    image: StatedImage, size: tuple[int, int], places: Mapping[str, int], remedy: Remedy, faults: list[str]
) -> BoxedImage:
    kept: dict[tuple[int, _Corners], StatedBox] = {}
    for box in image.boxes:
        corners, place = _corners(box, size, remedy, faults), places.get(box.name or "")
        if place is None:
            faults.append(unknown_class(box))
        elif corners is not None and (same := kept.get((place, corners))) is not None:
            faults.append(f"{box.where}: the same box stands at {same.where}")
        elif corners is not None:
            kept[place, corners] = box
    boxes = np.array([corners for _, corners in kept], float).reshape(-1, 4)
    sides = boxes[:, 2:] - boxes[:, :2]
    stated = np.array([_area(box, size, faults) for box in kept.values()], float)
    return BoxedImage(
        id=image.id,
        file=image.file,
        width=size[0],
        height=size[1],
        boxes=boxes,
        classes=np.array([place for place, _ in kept], np.int64),
        crowd=np.array([box.crowd for box in kept.values()], bool),
        areas=np.where(np.isnan(stated), sides.prod(axis=1), stated),
    )


def _area(box: StatedBox, size: tuple[int, int], faults: list[str]) -> float:
    """As it is stated; not a number where it is not, or cannot be: COCO leaves out what is larger than any image."""
    if box.area is not None and box.area > size[0] * size[1]:
        faults.append(f"{box.where}: states an area of {box.area:g} square pixels, more than its image has")
        return float("nan")
    return float("nan") if box.area is None else box.area


def _corners(box: StatedBox, size: tuple[int, int], remedy: Remedy, faults: list[str]) -> _Corners | None:
    """As they are used; None for a box that is left out."""
    left, top, right, bottom = box.corners
    shown = ", ".join(f"{side:g}" for side in box.corners)
    if not np.isfinite(box.corners).all():
        faults.append(f"{box.where}: a corner of the box is no number ({shown})")
        return None
    if right <= left or bottom <= top:
        faults.append(f"{box.where}: the box has no area (left, top, right, bottom: {shown})")
        return None
    width, height = size
    clipped = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    beyond = max(abs(a - b) for a, b in zip(box.corners, clipped, strict=True))
    if beyond <= BEYOND:
        return clipped if beyond else box.corners
    faults.append(f"{box.where}: the box reaches out of the image of {width}x{height} pixels ({shown})")
    if remedy == "clip" and clipped[0] < clipped[2] and clipped[1] < clipped[3]:
        return clipped
    return None


def _notes(
    images: Sequence[BoxedImage], names: Sequence[str], faults: Sequence[str], remedy: Remedy
) -> Iterator[str]:
    yield from notes_on([len(image.boxes) for image in images], faults, remedy)
    crowd = np.concatenate([image.crowd for image in images])
    if crowd.any():
        yield (
            f"{int(crowd.sum()):,} of {len(crowd):,} objects are marked as crowds or as difficult: found or not, they "
            "do not count, nor do boxes that lie in them"
        )
    counts = np.bincount(np.concatenate([image.classes for image in images]), minlength=len(names))
    if without := [name for name, count in zip(names, counts, strict=True) if not count]:
        yield f"No object is of the class {', '.join(without)[:300]}"
