"""Masks beside images: whether a folder holds them, how they are called, and what their values say."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from resnet_ops.data.listing.folders import find
from resnet_ops.data.opening import quiet_decoders
from resnet_ops.data.params import DataParams
from resnet_ops.errors import DataError
from resnet_ops.tasks.reading.given import find_given
from resnet_ops.tasks.task import Segmentation
from resnet_ops.threads import mapped

__all__ = ["FoundMasks", "find_masks"]

WORDS = (
    "",
    "_mask",
    "-mask",
    ".mask",
    "_masks",
    "_label",
    "-label",
    "_labels",
    "_gt",
    "-gt",
    "_seg",
    "_segmentation",
)
"""How the name of a mask goes on after that of its image, before the ending."""
ENDINGS = (".png", ".bmp", ".tif", ".tiff", ".gif")
"""Of masks: formats without loss."""
FOLDERS = {"annotations", "gt", "ground_truth", "groundtruth", "labels", "mask", "masks", "segmentationclass"}
"""Names of folders that hold masks only."""
MOST_LEVELS, FEW_LEVELS = 64, 8
"""More levels than the most are no classes; more than a few, and hardly a pixel between black and white, are the soft
edges of two classes."""
BLACK, WHITE, BETWEEN = 16, 239, 0.1
BORDER = 255
"""Of masks with small levels: pixels of which nothing is asked, as in Pascal VOC."""
SAMPLE, AHEAD = 50, 64
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class FoundMasks:
    """What the files of a folder say of its masks."""

    settings: Segmentation
    images: tuple[Path, ...]
    given: bool
    """Whether folders say the splits of the images."""
    faults: tuple[str, ...] = ()
    least_size: int = 0

    @property
    def classes(self) -> int:
        """With the background."""
        return len(self.settings.classes)

    def of(self, data: DataParams) -> DataParams:
        """These settings with what was found."""
        source: Literal["split_folders", "imagefolder"] = "split_folders" if self.given else "imagefolder"
        return replace(data, source=source, task=self.settings.name, segmentation=self.settings)


def find_masks(folder: Path) -> FoundMasks | None:
    """The masks of a folder; None where it has none. A file is one where most files that are called so go with an image
    beside them, and they have few levels or colours, or little else than black and white.

    Raises DataError where masks lie in a folder of their own, show nothing, or have too many levels.
    """
    files = find(folder).images
    ending = _ending(files)
    if ending is None:
        _refuse_folders(folder, files)
        return None
    masks = [path for path in files if path.name.endswith(ending)]
    few = _values(masks[:: max(1, len(masks) // SAMPLE)])
    if len(few) != 1 and _meaning(few) is None:  # of one value they may be masks without a defect
        return None
    values = _values(masks)
    if (meaning := _meaning(values)) is None:
        raise DataError(f"{folder}: {len(masks):,} files *{ending} seem to be masks, but {_odd(values)}")
    classes, threshold, ignore = meaning
    settings = Segmentation(
        masks=ending,
        classes=classes,
        threshold=threshold,
        ignore=ignore,
        head="fcn",
        dilated=1,
        auxiliary=False,
    )
    images = tuple(path for path in files if not path.name.endswith(ending))
    given = find_given(images, None)
    return FoundMasks(settings, tuple(given.allowed) if given else images, given is not None)


def _ending(files: list[Path]) -> str | None:
    """What most names of masks end with that have an image of their name beside them."""
    there, found = set(files), Counter[str]()
    for ending in (word + each for word in WORDS for each in ENDINGS):
        masks = {path for path in files if path.name.endswith(ending)}
        images = there - masks if masks else set()
        paired = sum(path.with_name(path.stem + ending) in masks for path in images)
        if 2 * paired >= max(len(images), len(masks)) > 0:
            found[ending] = paired
    return found.most_common(1)[0][0] if found else None


def _refuse_folders(folder: Path, files: list[Path]) -> None:
    """Raise DataError where a folder of masks lies beside one of images with the same names."""
    names: dict[Path, set[str]] = {}
    for path in files:
        names.setdefault(path.parent, set()).add(path.stem)
    for place in (each for each in names if each.name.casefold() in FOLDERS):
        for other in (each for each in names if each != place and each.parent == place.parent):
            same = len(names[place] & names[other])
            if 2 * same >= len(names[place]):
                raise DataError(
                    f"{place} seems to hold the masks of {other}: {same} files have the same names. Put each mask "
                    f"beside its image, as NAME_mask.png, and name {folder} again. If {place.name} is a class of "
                    "images, rename that folder."
                )


def _values(masks: list[Path]) -> Counter[int | Colour]:
    """Pixels by level, palette index or colour; by colour alone where a mask is coloured."""
    found = Counter[int | Colour]()
    with quiet_decoders():
        for each in mapped(_values_of, masks, AHEAD):
            found.update(each)
    if not any(isinstance(value, tuple) for value in found):
        return found
    colours = Counter[int | Colour]()
    for value, count in found.items():
        colours[value if isinstance(value, tuple) else (value, value, value)] += count
    return colours


def _values_of(path: Path) -> dict[int | Colour, int]:
    """Of one mask; none of a file that cannot be read, which is reported when all of them are."""
    try:
        with Image.open(path) as mask:
            coloured = mask.mode in ("RGB", "RGBA")
            pixels = np.asarray(mask.convert("RGB") if coloured else mask, np.int64)
            pixels = pixels * 255 if mask.mode == "1" else pixels[..., 0] if mask.mode == "LA" else pixels
    except (OSError, ValueError):
        return {}
    if coloured and (pixels == pixels[..., :1]).all():
        coloured, pixels = False, pixels[..., 0]
    values, counts = np.unique(pixels @ (65536, 256, 1) if coloured else pixels, return_counts=True)
    pairs = zip(values.tolist(), counts.tolist(), strict=True)
    return {(v >> 16, v >> 8 & 255, v & 255) if coloured else v: n for v, n in pairs}


def _meaning(
    values: Counter[int | Colour],
) -> tuple[dict[str, int | Colour], int | None, int | None] | None:
    """Classes, threshold and what is ignored; None where these are no masks."""
    levels = {value: n for value, n in values.items() if isinstance(value, int)}
    between = sum(n for value, n in levels.items() if BLACK <= value <= WHITE)
    if len(levels) > FEW_LEVELS and max(levels) <= BORDER and between <= BETWEEN * values.total():
        return {"background": 0, "foreground": 255}, 128, None
    small = sorted(set(levels) - {BORDER})
    ignore = BORDER if BORDER in levels and len(small) > 1 and small[-1] < MOST_LEVELS else None
    known = [value for value in values if value != ignore]
    if not 2 <= len(known) <= MOST_LEVELS or max(levels, default=0) > BORDER:
        return None
    dark: int | Colour = 0 if levels else (0, 0, 0)
    ground = dark if dark in known else max(known, key=lambda value: values[value])
    others = sorted((value for value in known if value != ground), key=str if not levels else int)  # type: ignore[arg-type]
    only = len(others) == 1
    return {"background": ground} | {"foreground" if only else _name(v): v for v in others}, None, ignore


def _odd(values: Counter[int | Colour]) -> str:
    """Why there are no classes in them, and what to do."""
    if len(values) == 1:
        return (
            f"all of their pixels are {next(iter(values))}. Draw masks whose pixels say at least two classes."
        )
    return (
        f"they have {len(values):,} levels or colours, and 2 to {MOST_LEVELS} of 0 to 255 are taken for classes. Save "
        "them with the classes' own values alone, or with soft edges between black and white."
    )


def _name(value: int | Colour) -> str:
    return f"class_{value}" if isinstance(value, int) else "colour_{:02x}{:02x}{:02x}".format(*value)
