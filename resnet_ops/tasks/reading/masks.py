"""Masks: a file whose pixels say the class of an image's pixels, brought to the size of the prepared image."""

from pathlib import Path

import numpy as np
from PIL import Image

from resnet_ops.data.opening import open_image, turn_of
from resnet_ops.data.params import DataParams
from resnet_ops.data.placement import frame
from resnet_ops.errors import DataError
from resnet_ops.tasks.task import IGNORED, Segmentation

__all__ = ["MaskFault", "fit_mask", "read_mask"]

HIGHEST = 255
_MODES = ("1", "L", "P", "LA", "RGB", "RGBA", "I", "I;16", "I;16B", "I;16L", "F")
"""Pillow's names of those that say one thing of each pixel."""
SHOWN = 5
"""Unknown values that are named."""


class MaskFault(Exception):
    """Why a mask cannot be used, and what to do; reported with its file."""


def read_mask(path: Path, size: tuple[int, int], settings: Segmentation) -> np.ndarray:
    """(H, W) uint8 class indices of a mask file, IGNORED where nothing is asked.

    size: (width, height) of the image. Raises MaskFault.
    """
    try:
        opened = open_image(path, None)
        with opened.image as mask:
            if mask.size != size:
                raise MaskFault(
                    f"is {mask.width}x{mask.height}, but its image {size[0]}x{size[1]}; draw it at the image's size"
                )
            if opened.several:
                raise MaskFault("has several pages or frames; save the one that is meant alone")
            if turn_of(mask)[0] is not None:
                raise MaskFault("has EXIF that turns it, away from its image; save it upright, without EXIF")
            values = _values(mask, settings)
    except (DataError, OSError) as error:
        raise MaskFault(f"cannot be read ({error}); save it again as PNG") from error
    if settings.threshold is not None:
        if values.max() > HIGHEST:
            raise MaskFault(
                f"has levels up to {values.max()}, but threshold is of 0 to 255; save it with 8 bits"
            )
        return np.asarray(values >= settings.threshold, np.uint8)
    found = np.full(values.shape, IGNORED - 1, np.uint8)  # no class: there are fewer
    for index, value in enumerate(settings.classes.values()):
        found[values == _number(value)] = index
    if settings.ignore is not None:
        found[values == _number(settings.ignore)] = IGNORED
    if (found == IGNORED - 1).any():
        raise MaskFault(_unknown(np.unique(values[found == IGNORED - 1]), settings))
    return found


def _values(mask: Image.Image, settings: Segmentation) -> np.ndarray:
    """(H, W) numbers, each of which `_number` gives for one value of the settings."""
    if mask.mode not in _MODES:
        raise MaskFault(f"has pixels of kind {mask.mode}; save it as a grey, palette or RGB PNG")
    if mask.mode in ("LA", "RGBA"):
        _check_transparent(mask)
    if _coloured(settings):
        red, green, blue = np.moveaxis(np.asarray(mask.convert("RGB"), np.int32), 2, 0)
        return np.asarray((red * 256 + green) * 256 + blue)
    if mask.mode in ("RGB", "RGBA"):
        channels = np.asarray(mask.convert("RGB"))
        if (channels != channels[..., :1]).any():
            raise MaskFault(
                "is coloured, but data.segmentation.classes are levels; give their colours as [red, green, blue]"
            )
        return channels[..., 0]
    if mask.mode == "LA":
        mask = mask.getchannel("L")
    levels = np.asarray(mask)
    if not ((levels >= 0) & (levels % 1 == 0)).all():
        raise MaskFault("has values that are no whole number from 0 on; save it as a grey PNG")
    return levels.astype(np.uint8) * np.uint8(HIGHEST) if mask.mode == "1" else levels


def _check_transparent(mask: Image.Image) -> None:
    """Raise MaskFault where something other than black is hidden: it may be that, or the ground, which is meant."""
    *colours, alpha = np.moveaxis(np.asarray(mask), 2, 0)
    if any(colour[alpha < HIGHEST].any() for colour in colours):
        raise MaskFault(
            "has transparent pixels that are not black; draw it on a ground that is not transparent"
        )


def _coloured(settings: Segmentation) -> bool:
    return any(isinstance(value, tuple) for value in settings.classes.values())


def _number(value: int | tuple[int, int, int]) -> int:
    return value if isinstance(value, int) else (value[0] * 256 + value[1]) * 256 + value[2]


def _unknown(values: np.ndarray, settings: Segmentation) -> str:
    named = [
        str([int(v) >> 16, int(v) >> 8 & 255, int(v) & 255] if _coloured(settings) else int(v))
        for v in values[:SHOWN]
    ]
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    soft = "" if _coloured(settings) or len(settings.classes) > 2 else ", or set threshold for soft edges"
    return (
        f"has values that are no class: {', '.join(named)}{more}; name them in data.segmentation.classes or as its "
        f"ignore{soft}"
    )


def fit_mask(mask: np.ndarray, params: DataParams) -> np.ndarray:
    """(side, side) uint8: the mask as `data.pixels.fitted` brings its image there; what is padded is IGNORED."""
    side = params.image_size
    box, size = frame((mask.shape[1], mask.shape[0]), side, params.fit)
    scaled = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST, box=box)
    ground = Image.new("L", (side, side), IGNORED)
    ground.paste(scaled, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.asarray(ground, np.uint8)
