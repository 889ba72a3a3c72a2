"""The colour profile of an image, as what makes sRGB of its pixels."""

import math
import struct
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO

from PIL import ImageCms

__all__ = ["to_srgb"]

_TAGS = 128
"""Bytes before a profile's table of tags: how many there are, and for each its name, place and length."""


@lru_cache(maxsize=32)
def to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None where the profile is that of sRGB; no profile is needed for LAB.

    Raises ValueError for a profile that claims more than its bytes hold, before its library takes memory for that; what
    the library raises for another that is damaged.
    """
    lab = mode == "LAB"
    if not lab:
        _check(profile)
    source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB") if lab else BytesIO(profile))
    if not lab and "srgb" in ImageCms.getProfileDescription(source).lower():
        return None
    target = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, target, mode, "RGBA" if mode == "RGBA" else "RGB")


def _check(profile: bytes) -> None:
    try:
        for content in _contents(profile):
            if _claimed(content) > len(content):
                raise ValueError(
                    f"the colour profile's {content[:4]!r} claims more than its {len(content)} bytes"
                )
    except struct.error as error:
        raise ValueError(f"the colour profile ends too early ({error})") from error


def _contents(profile: bytes) -> Iterator[bytes]:
    (count,) = struct.unpack_from(">I", profile, _TAGS)
    if _TAGS + 4 + 12 * count > len(profile):
        raise ValueError(f"the colour profile claims {count:,} tags")
    for number in range(count):
        place, length = struct.unpack_from(">II", profile, _TAGS + 8 + 12 * number)
        yield profile[place : place + length]


def _claimed(content: bytes) -> int:
    """Bytes that a tag must have for what it says it holds: texts, or a table for every grid point."""
    match content[:4]:
        case b"mluc":
            (count,) = struct.unpack_from(">I", content, 8)
            return int(16 + 12 * count)
        case b"mft1" | b"mft2":
            inputs, outputs, points = struct.unpack_from("3B", content, 8)
            return int(outputs * points**inputs * (1 if content[3:4] == b"1" else 2))
        case b"mAB " | b"mBA ":
            inputs, outputs = struct.unpack_from("2B", content, 8)
            (table,) = struct.unpack_from(">I", content, 24)
            return table and int(table + outputs * math.prod(content[table : table + inputs]))
    return 0
