"""What a file of labels says, before it is checked."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Listing", "StatedBox", "StatedImage", "number", "side"]

LONGEST_SIDE = 7


@dataclass(frozen=True)
class StatedBox:
    """One object as it is written."""

    where: str
    """The file, and the line or the id in it."""
    name: str | None
    """Of its class; None where the file has no such class."""
    corners: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels; not a number where none is written."""
    crowd: bool = False
    area: float | None = None
    outline: Any = None
    """What COCO has as `segmentation`, as it is written, where outlines are asked for."""


@dataclass
class StatedImage:
    """One image as it is written; without a size where the format has none."""

    where: str
    id: str
    file: str
    width: int | None = None
    height: int | None = None
    boxes: list[StatedBox] = field(default_factory=list)


@dataclass
class Listing:
    """All that a source says."""

    images: list[StatedImage] = field(default_factory=list)
    classes: list[str] | None = None
    """In the order of the source; None where it has no list of them."""
    class_numbers: dict[str, str] = field(default_factory=dict)
    """A class's number in the source -> its name."""
    unreadable: list[str] = field(default_factory=list)
    """What cannot be understood, which no setting remedies, one line each."""
    faults: list[str] = field(default_factory=list)
    """What is left out where the remedy is not to refuse, one line each."""
    notes: list[str] = field(default_factory=list)


def side(value: Any) -> int | None:
    """A whole number of pixels above 0, of at most 7 digits; None for what is none."""
    text = str(value) if isinstance(value, str | int) else ""
    return int(text) if text.isdecimal() and len(text) <= LONGEST_SIDE and int(text) > 0 else None


def number(value: Any) -> float:
    """As a float; not a number for what is none, so that a fault is named and not raised."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return float("nan")
    try:
        return float(value)
    except (ValueError, OverflowError):
        return float("nan")
