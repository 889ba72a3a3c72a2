"""Masks: a file whose pixels say the class of an image's pixels, brought to the size of the prepared image."""

from pathlib import Path

import numpy as np
from PIL import Image

from resnet_ops.data.opening import open_image
from resnet_ops.data.params import DataParams
from resnet_ops.data.pixels import frame
from resnet_ops.errors import DataError
from resnet_ops.tasks.task import IGNORED, Segmentation

__all__ = ["MaskFault", "fit_mask", "read_mask"]

SHOWN = 5
"""Unknown values that are named."""


class MaskFault(Exception):
    """Why a mask cannot be used, and what to do; reported with its file."""


def read_mask(path: Path, size: tuple[int, int], settings: Segmentation) -> np.ndarray:
    """(H, W) uint8 class indices of a mask file, IGNORED where nothing is asked.

    size: (width, height) of the image. Raises MaskFault.
    """
    try:
        with open_image(path, None).image as mask:
            if mask.size != size:
                raise MaskFault(
                    f"is {mask.width}x{mask.height}, but its image {size[0]}x{size[1]}; draw it at the image's size"
                )
            values = _values(mask, settings)
    except (DataError, OSError) as error:
        raise MaskFault(f"cannot be read ({error}); save it again as PNG") from error
    if settings.threshold is not None:
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
    if _coloured(settings):
        red, green, blue = np.moveaxis(np.asarray(mask.convert("RGB"), np.int64), 2, 0)
        return np.asarray((red * 256 + green) * 256 + blue)
    if mask.mode in ("RGB", "RGBA"):
        channels = np.asarray(mask.convert("RGB"), np.int64)
        if (channels != channels[..., :1]).any():
            raise MaskFault(
                "is coloured, but data.segmentation.classes are levels; give their colours as [red, green, blue]"
            )
        return channels[..., 0]
    if mask.mode == "LA":
        mask = mask.getchannel("L")
    values = np.asarray(mask, np.int64)
    return values * 255 if mask.mode == "1" else values


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
