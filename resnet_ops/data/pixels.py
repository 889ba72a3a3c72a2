"""Pixels as they are meant: any image as 8-bit grey or colour, or 16-bit grey, at the wanted size, in little memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Literal

import numpy as np
from PIL import Image, ImageCms

from resnet_ops.data.colour_profile import to_srgb
from resnet_ops.data.depth import Depth, dtype_of, white_of
from resnet_ops.data.params import WindowParams
from resnet_ops.data.placement import Box, frame
from resnet_ops.data.window import all_of, through

__all__ = ["Look", "fitted"]

TILE = 1 << 20
"""Pixels of the original that are converted at once, about."""
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
_STRAIGHT = {
    "La": "LA",
    "RGBa": "RGBA",
    "PA": "RGBA",
    "P": "RGB",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
}
_PHOTOMETRIC, _MIN_IS_WHITE = 262, 0  # of TIFF


@dataclass
class Look:
    """How the pixels of one image are to be read, and what was found on the way."""

    mode: Literal["L", "RGB"]
    background: int
    """Grey level, 0 to 255, that shows through transparent pixels and around padded images."""
    grey_bits: int
    """Bits that are used of 16-bit grey pixels, 8 to 16."""
    window: WindowParams | None = None
    """The levels that are shown of 16-bit grey pixels, instead of `grey_bits`."""
    depth: Depth = 8
    """Bits of what comes out; 16 for mode L alone."""
    white_is_zero: bool = False
    highest_grey: int | None = None
    """The largest value among 16-bit grey pixels; None for other images."""
    transparent: bool = False
    """Something showed through."""
    damaged_profile: bool = False
    """The colour profile could not be used."""

    @classmethod
    def at(
        cls,
        image: Image.Image,
        mode: Literal["L", "RGB"],
        background: int,
        grey_bits: int,
        window: WindowParams | None,
        depth: Depth = 8,
    ) -> "Look":
        """For this image, before its pixels are looked at. Raises ValueError for pixels without an agreed range."""
        if (image.mode == "F" and image.format is not None) or (
            image.mode == "I" and image.format not in ("PNG", "PPM")
        ):
            raise ValueError("32-bit pixels have no agreed range; save it with 8 or 16 bits")
        # of a damaged file, a tag can be listed and yet hold nothing
        inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _MIN_IS_WHITE
        return cls(mode, background, grey_bits, window, depth, inverted)

    @property
    def drawn_in(self) -> Literal["L", "RGB", "F"]:
        """Pillow's mode for pixels of this depth on their way; F is exact for 16 bits, and every operation takes it."""
        return "F" if self.depth == 16 else self.mode

    @property
    def level(self) -> int:
        """How far two grey levels of 8 bits lie apart at this depth."""
        return white_of(self.depth) // white_of(8)

    def convert(self, part: Image.Image) -> Image.Image:
        """Part of the image, in `drawn_in`; one that is of mode F was made with this look's depth already."""
        if part.mode == "F":
            return part
        if part.mode.startswith("I"):
            return self._from_16_bits(part).convert(self.drawn_in)
        flat = self._on_background(self._in_srgb(part)).convert(self.mode)
        return Image.fromarray(np.asarray(flat, np.float32) * self.level) if self.depth == 16 else flat

    def _from_16_bits(self, part: Image.Image) -> Image.Image:
        values = np.asarray(part).astype(np.int32)
        self.highest_grey = max(self.highest_grey or 0, int(values.max()))
        if self.window is not None:
            shown = through(self.window, values, self.depth)
            return _image(white_of(self.depth) - shown if self.white_is_zero else shown)
        if self.white_is_zero:
            values = (1 << self.grey_bits) - 1 - values
        if self.depth == 16:
            return _image(through(all_of(0, (1 << self.grey_bits) - 1), values, 16))
        return Image.fromarray((values >> (self.grey_bits - 8)).clip(0, 255).astype(np.uint8))

    def _in_srgb(self, part: Image.Image) -> Image.Image:
        see_through = part.mode in _TRANSPARENT or "transparency" in part.info
        straight = "RGBA" if see_through and part.mode not in ("La", "LA") else _STRAIGHT.get(part.mode)
        flat = part.convert(straight) if straight and straight != part.mode else part
        profile = part.info.get("icc_profile")
        if flat.mode != "LAB" and (not profile or flat.mode not in ("RGB", "RGBA", "CMYK")):
            return flat
        try:
            transform = to_srgb(profile or b"", flat.mode)
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            self.damaged_profile = True
            return flat
        return transform.apply(flat) if transform else flat

    def _on_background(self, part: Image.Image) -> Image.Image:
        if part.mode not in ("LA", "RGBA"):
            return part
        if part.getchannel("A").getextrema()[0] == 255:
            return part.convert("RGB")
        self.transparent = True
        ground = Image.new("RGBA", part.size, (self.background,) * 3)
        return Image.alpha_composite(ground, part.convert("RGBA")).convert("RGB")


def fitted(
    image: Image.Image, look: Look, side: int, fit: Literal["crop", "pad"], turn: Image.Transpose | None
) -> np.ndarray:
    """(side, side, C), uint8 or uint16: the centre square of the image, or all of it on the background, upright."""
    box, size = frame(image.size, side, fit)
    parts = math.ceil(math.sqrt((box[2] - box[0]) * (box[3] - box[1]) / TILE))
    scaled = Image.new(look.drawn_in, size)
    for (left, right), (top, bottom) in product(_cuts(size[0], parts), _cuts(size[1], parts)):
        scaled.paste(_tile(image, look, box, size, (left, top, right, bottom)), (left, top))
    upright = scaled if turn is None else scaled.transpose(turn)
    ground = Image.new(look.drawn_in, (side, side), (look.background * look.level,) * len(look.mode))
    ground.paste(upright, ((side - upright.width) // 2, (side - upright.height) // 2))
    pixels = np.asarray(ground)
    whole = np.rint(pixels) if look.depth == 16 else pixels
    return whole.astype(dtype_of(look.depth)).reshape(side, side, len(look.mode))


def _image(grey: np.ndarray) -> Image.Image:
    """Of uint8 or uint16 grey."""
    return Image.fromarray(grey if grey.dtype == np.uint8 else grey.astype(np.float32))


def _cuts(length: int, parts: int) -> Iterator[tuple[int, int]]:
    return pairwise(dict.fromkeys(length * part // parts for part in range(parts + 1)))


def _tile(
    image: Image.Image, look: Look, box: Box, size: tuple[int, int], tile: tuple[int, int, int, int]
) -> Image.Image:
    """The part `tile` of what is in `box`, scaled to `size`, as if all of it had been scaled at once."""
    inside: list[tuple[float, float]] = []
    around: list[tuple[int, int]] = []
    for axis in (0, 1):
        scale = (box[axis + 2] - box[axis]) / size[axis]
        first, last = (box[axis] + tile[place] * scale for place in (axis, axis + 2))
        margin = max(scale, 1) + 1  # as far as the bilinear filter reaches
        start, stop = max(0, math.floor(first - margin)), min(image.size[axis], math.ceil(last + margin))
        inside.append((first - start, min(last, stop) - start))
        around.append((start, stop))
    part = look.convert(image.crop((around[0][0], around[1][0], around[0][1], around[1][1])))
    return part.resize(
        (tile[2] - tile[0], tile[3] - tile[1]),
        Image.Resampling.BILINEAR,
        box=(inside[0][0], inside[1][0], inside[0][1], inside[1][1]),
    )
