"""Images that labels name: each once, there, and of the size that is stated."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from resnet_ops.errors import DataError
from resnet_ops.tasks.detection.labels.listing import Listing, StatedBox, StatedImage
from resnet_ops.tasks.detection.labels.sizes import image_size
from resnet_ops.tasks.task import Remedy

__all__ = ["BEYOND", "checked_images", "notes_on", "refuse", "unknown_class"]

LONGEST_FILE = 1_000
"""Bytes of an image's name, with its folders."""
SHOWN = 50
"""Faults that one message lists."""
BEYOND = 1e-6
"""Pixels by which an object may reach out of its image: shares are written with some digits each."""


def checked_images(
    listing: Listing, source: Path, folder: Path | None, faults: list[str]
) -> Iterator[tuple[StatedImage, tuple[int, int]]]:
    """Each image that is used with its width and height; what is wrong of others is added to `faults`.

    folder: of the images, which must be there then. Raises DataError that lists what cannot be read.
    """
    unreadable = [*listing.unreadable, *(each for image in listing.images for each in _impossible(image))]
    if unreadable:
        raise DataError(
            _message(source, unreadable, "Correct them; no setting remedies what cannot be read.")
        )
    for image in _each_once(listing.images, faults):
        size = _size(image, folder, faults)
        if size is not None:
            yield image, size


def refuse(source: Path, faults: Sequence[str], remedy: Remedy, what: str, classes: Sequence[str]) -> None:
    """Raise DataError where there are faults, and they are not to be remedied. what: has them, such as boxes."""
    if faults and remedy == "refuse":
        raise DataError(
            _message(
                source,
                faults,
                "Correct them, or choose the remedy `drop` (what is at fault is left out) or `clip` (likewise, but "
                f"{what} that reach out of their image are cut). Known classes: " + ", ".join(classes)[:300],
            )
        )


def unknown_class(box: StatedBox) -> str:
    """The fault of an object whose class is none that is known."""
    what = f"the unknown class {box.name[:100]!r}" if box.name else "no class"
    return f"{box.where}: has {what}"


def notes_on(objects: Sequence[int], faults: Sequence[str], remedy: Remedy) -> Iterator[str]:
    """What was remedied, and how many images show nothing. objects: how many each image has."""
    if faults:
        yield f"{len(faults):,} faults were remedied ({remedy}), such as: {faults[0]}"
    if empty := sum(count == 0 for count in objects):
        yield f"{empty:,} of {len(objects):,} images show no object and are kept as such"


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
        file = os.path.normpath(image.file)
        if file in first:
            faults.append(f"{image.where}: the image {image.file} is also described by {first[file]}")
        else:
            first[file] = image.where
            yield image


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
        faults.append(f"{image.where}: says {sides} pixels, so its objects may be those of another image")
        return None
    return size
