"""From what labels say to what is used: every fault found, then dropped, clipped or refused."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from resnet_ops.errors import DataError
from resnet_ops.tasks.detection.boxes import BoxedImage, Labels
from resnet_ops.tasks.detection.labels.listing import Listing, StatedBox, StatedImage
from resnet_ops.tasks.detection.labels.sizes import image_size
from resnet_ops.tasks.task import Remedy

__all__ = ["remedied"]

_Corners = tuple[float, float, float, float]
MAX_CLASSES, LONGEST_CLASS = 1_000, 200
LONGEST_FILE = 1_000
"""Bytes of an image's name, with its folders."""
SHOWN = 50
"""Faults that one message lists."""
BEYOND = 1e-6
"""Pixels by which a box may reach out of its image: shares are written with some digits each."""


def remedied(
    listing: Listing, source: Path, remedy: Remedy, classes: Sequence[str] | None, folder: Path | None
) -> Labels:
    """Labels without a fault.

    classes: those that are known, in their order; None: as the source lists them, or sorted where it has no list.
    folder: of the images, which must be there then. Raises DataError that lists what cannot be read, and where `remedy`
    is `refuse` every fault, each with its file and line.
    """
    names = _class_names(source, listing, classes)
    listing.unreadable += [each for image in listing.images for each in _impossible(image)]
    if listing.unreadable:
        raise DataError(
            _message(source, listing.unreadable, "Correct them; no setting remedies what cannot be read.")
        )
    faults = list(listing.faults)
    place = {name: number for number, name in enumerate(names)}
    images = [_checked(image, place, remedy, folder, faults) for image in _each_once(listing.images, faults)]
    kept = tuple(image for image in images if image is not None)
    if faults and remedy == "refuse":
        raise DataError(
            _message(
                source,
                faults,
                "Correct them, or choose the remedy `drop` (what is at fault is left out) or `clip` (likewise, but "
                "boxes that reach out of their image are cut). Known classes: " + ", ".join(names)[:300],
            )
        )
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


def _impossible(image: StatedImage) -> Iterator[str]:
    try:
        encoded = image.file.encode()
    except UnicodeEncodeError:
        encoded = b""
    if not 0 < len(encoded) <= LONGEST_FILE or b"\0" in encoded:
        yield f"{image.where[:300]}: no file can be called {ascii(image.file)[:100]}"


def _message(source: Path, lines: Sequence[str], remedy: str) -> str:
    more = f"\n  and {len(lines) - SHOWN:,} more" if len(lines) > SHOWN else ""
    listed = "\n  ".join(lines[:SHOWN])
    return f"{source} has {len(lines):,} faults. {remedy}\n  {listed}{more}"


def _each_once(images: Sequence[StatedImage], faults: list[str]) -> Iterator[StatedImage]:
    first: dict[str, str] = {}
    for image in images:
        if image.file in first:
            faults.append(f"{image.where}: the image {image.file} is also described by {first[image.file]}")
        else:
            first[image.file] = image.where
            yield image


def _checked(
    image: StatedImage, places: Mapping[str, int], remedy: Remedy, folder: Path | None, faults: list[str]
) -> BoxedImage | None:
    size = _size(image, folder, faults)
    if size is None:
        return None
    kept: dict[tuple[int, _Corners], StatedBox] = {}
    for box in image.boxes:
        corners, place = _corners(box, size, remedy, faults), places.get(box.name or "")
        if place is None:
            what = f"the unknown class {box.name[:100]!r}" if box.name else "no class"
            faults.append(f"{box.where}: has {what}")
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


def _size(image: StatedImage, folder: Path | None, faults: list[str]) -> tuple[int, int] | None:
    """Width and height; None for an image that is left out."""
    stated = (image.width, image.height) if image.width and image.height else None
    if folder is None:
        if stated is None:
            faults.append(
                f"{image.where}: says no width and height; name the folder of images, which have them"
            )
        return stated
    path = folder / image.file
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        faults.append(f"{image.where}: the image {image.file} is not in {folder}")
        return None
    size = image_size(path)
    if size is None:
        faults.append(f"{image.where}: {path} cannot be opened as an image")
    elif stated not in (None, size):
        sides = f"{stated[0]}x{stated[1]}, but {path} has {size[0]}x{size[1]}" if stated else ""
        faults.append(f"{image.where}: says {sides} pixels, so its boxes may be those of another image")
        return None
    return size


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
    if faults:
        yield f"{len(faults):,} faults were remedied ({remedy}), such as: {faults[0]}"
    if empty := sum(len(image.boxes) == 0 for image in images):
        yield f"{empty:,} of {len(images):,} images show no object and are kept as such"
    crowd = np.concatenate([image.crowd for image in images])
    if crowd.any():
        yield (
            f"{int(crowd.sum()):,} of {len(crowd):,} objects are marked as crowds or as difficult: found or not, they "
            "do not count, nor do boxes that lie in them"
        )
    counts = np.bincount(np.concatenate([image.classes for image in images]), minlength=len(names))
    if without := [name for name, count in zip(names, counts, strict=True) if not count]:
        yield f"No object is of the class {', '.join(without)[:300]}"
