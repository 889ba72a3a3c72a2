"""What lies in a folder of images: the images, at any depth, and everything else, counted."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from resnet_ops.data.dicom.image import SUFFIXES, is_dicom
from resnet_ops.data.opening import image_suffixes, is_image
from resnet_ops.errors import DataError

__all__ = ["Found", "find", "is_dropping", "notes_on", "require_most"]

_DROPPINGS = {
    "$recycle.bin",
    "#recycle",
    "@eadir",
    "__macosx",
    "desktop.ini",
    "dicomdir",
    "ehthumbs.db",
    "icon\r",
    "lost+found",
    "system volume information",
    "thumbs.db",
}
_DRAWN = {".eps", ".pdf", ".ps", ".svg"}
"""Pictures that begin like a text."""
_REMEDIES = {
    **dict.fromkeys(
        (".heic", ".heics", ".heif", ".heifs", ".hif"), "; for HEIC: pip install 'resnet-ops[heif]'"
    ),
    **dict.fromkeys(SUFFIXES, "; for DICOM: pip install 'resnet-ops[dicom]'"),
}


@dataclass
class Found:
    """The files below a folder."""

    images: list[Path] = field(default_factory=list)
    droppings: list[str] = field(default_factory=list)
    """Names of what systems leave behind."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Files that may be pictures, but cannot be read, by ending."""
    texts: Counter[str] = field(default_factory=Counter)
    """Other files, by ending."""

    def __iadd__(self, other: "Found") -> "Found":
        self.images += other.images
        self.droppings += other.droppings
        self.unreadable += other.unreadable
        self.texts += other.texts
        return self


def find(folder: Path, deep: bool = True) -> Found:
    """Every file of `folder`, and where `deep` of the folders below. Raises DataError when one is closed to us."""
    found = Found()
    for path in _files(folder, deep, found.droppings, {folder.resolve()}):
        ending = path.suffix.lower()
        if ending in image_suffixes() or is_image(path):
            found.images.append(path)
        elif is_dicom(path):
            found.unreadable[ending if ending in SUFFIXES else SUFFIXES[0]] += 1
        elif ending in _DRAWN or _is_binary(path):
            found.unreadable[ending or "without an ending"] += 1
        else:
            found.texts[ending or "without an ending"] += 1
    return found


def is_dropping(name: str) -> bool:
    """Whether systems leave files or folders of this name behind, or hide them."""
    return name.startswith(".") or name.lower() in _DROPPINGS


def notes_on(found: Found) -> list[str]:
    """What was passed over, one line for each kind."""
    notes = []
    if found.droppings:
        names = ", ".join(dict.fromkeys(found.droppings[:3]))
        notes.append(f"Skipped {len(found.droppings)} files that systems leave behind or hide ({names} ...)")
    if found.unreadable:
        notes.append(f"Skipped {_count(found.unreadable)}: not readable as images{_remedy(found)}")
    if found.texts:
        notes.append(f"Skipped {_count(found.texts)}: not images")
    return notes


def require_most(where: str, found: Found) -> None:
    """Raise DataError when more files would be left out as unreadable than images are used."""
    lost = found.unreadable.total()
    if lost > len(found.images):
        raise DataError(
            f"{where}: {lost} of {lost + len(found.images)} files cannot be read as images and would be left out: "
            f"{_count(found.unreadable)}. Convert them, or move them away{_remedy(found)}."
        )


def _files(folder: Path, deep: bool, droppings: list[str], above: set[Path]) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read: {error.strerror}. Name another folder, or change its permissions."
        ) from error
    for entry in entries:
        path = folder / entry.name
        if is_dropping(entry.name):
            droppings.append(entry.name)
        elif not entry.is_dir() or path.suffix.lower() in image_suffixes():
            yield path
        elif deep and (real := path.resolve()) not in above:  # a link may lead back
            yield from _files(path, deep, droppings, above | {real})


def _is_binary(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(1024)
    except OSError:
        return True


def _count(kinds: Counter[str]) -> str:
    shown = [f"{count} {kind}" for kind, count in kinds.most_common(8)]
    more = len(kinds) - len(shown)
    return ", ".join(shown) + (f" and {more} more kinds" if more else "")


def _remedy(found: Found) -> str:
    return "".join(dict.fromkeys(_REMEDIES[ending] for ending in found.unreadable if ending in _REMEDIES))
