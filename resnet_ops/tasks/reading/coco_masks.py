"""Masks that are drawn from the outlines of a COCO file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from resnet_ops.errors import DataError
from resnet_ops.extras import require
from resnet_ops.tasks.detection.labels.outlines import OutlinedImage, read_outlines
from resnet_ops.tasks.reading.unlisted import note_unlisted
from resnet_ops.tasks.task import IGNORED, CocoMasks, Segmentation

__all__ = ["DrawnMasks"]


@dataclass
class DrawnMasks:
    """The images of a COCO file, and how the mask of each is drawn."""

    folder: Path
    """Of the images."""
    images: tuple[OutlinedImage, ...]
    levels: tuple[int, ...]
    """By class: of objects over each other the one of the highest level is seen."""
    stated: tuple[str, ...]
    overlapping: set[str] = field(default_factory=set)
    """Images drawn so far in which objects of different classes lie over each other."""

    @classmethod
    def read(cls, root: Path, settings: Segmentation, masks: CocoMasks) -> "DrawnMasks":
        """Raises DataError that lists every fault of the file, without reading an image."""
        require("data.segmentation.masks from a COCO file", "pycocotools")
        folder, source = root / masks.images, root / masks.labels
        if not folder.is_dir():
            raise DataError(
                f"There is no folder {folder}. Name the folder of images in data.segmentation.masks."
            )
        images, notes = read_outlines(source, masks.faults, tuple(settings.classes), folder)
        levels = tuple(value for value in settings.classes.values() if isinstance(value, int))
        notes = (*notes, *note_unlisted(folder, (image.file for image in images)))
        return cls(folder, images, levels, notes)

    def __iter__(self) -> Iterator[tuple[Path, Callable[[tuple[int, int]], np.ndarray]]]:
        """Each image's file, and what draws its mask at its (width, height)."""
        for image in self.images:
            yield self.folder / image.file, partial(self.draw, image)

    def draw(self, image: OutlinedImage, size: tuple[int, int]) -> np.ndarray:
        """(H, W) uint8 class indices of the image; a crowd is IGNORED where no other object is. size: (W, H)."""
        mask = np.zeros(size[::-1], np.uint8)
        seen = np.zeros(size[::-1], bool)
        for each in sorted(image.objects, key=lambda each: (not each.crowd, self.levels[each.kind])):
            pixels = each.pixels(size)
            if each.crowd:
                mask[pixels] = IGNORED
                continue
            if (mask[pixels & seen] != each.kind).any():
                self.overlapping.add(image.file)
            mask[pixels] = each.kind
            seen |= pixels
        return mask

    def notes(self) -> Iterator[str]:
        """What a person should know of the file, and of the masks that were drawn."""
        yield from self.stated
        if self.overlapping:
            yield (
                f"{len(self.overlapping):,} images have objects of different classes over each other, such as "
                f"{min(self.overlapping)}: there the class with the higher number counts"
            )
