"""How segmentation is read: images of a folder, at any depth, each with a mask beside it or outlines in a COCO file."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from resnet_ops.data.decoding import AHEAD, Facts, decode
from resnet_ops.data.listing.folders import find, notes_on, require_most
from resnet_ops.data.odd_images import bits_needed, notes_on_images
from resnet_ops.data.opening import open_image, quiet_decoders, turn_of
from resnet_ops.data.params import DataParams
from resnet_ops.data.raw import RawData
from resnet_ops.data.spool import spool
from resnet_ops.errors import DataError
from resnet_ops.messages import Progress
from resnet_ops.tasks.reading.coco_masks import DrawnMasks
from resnet_ops.tasks.reading.given import folder_of, given_to
from resnet_ops.tasks.reading.masks import MaskFault, fit_mask, read_mask
from resnet_ops.tasks.task import IGNORED, CocoMasks, Segmentation, tiles_of
from resnet_ops.threads import mapped

__all__ = ["SegmentationReading"]

MOST_SHOWN = 200
"""Faults that are named; of more, the rest is counted."""


@dataclass(frozen=True)
class _Pair:
    image: Path
    called: str
    """What its mask is called."""
    mask: Callable[[tuple[int, int]], np.ndarray]
    """From the image's (width, height) to (H, W) uint8 class indices. Raises MaskFault."""
    allowed: tuple[str, ...] | None = None
    """The splits that it may go to; None for any."""


_Notes = Callable[[], Iterable[str]]


class SegmentationReading:
    """See `resnet_ops.tasks.reading.reading.Reading`.

    Targets are (N, side, side) class indices, IGNORED where nothing is asked. The label of an image is the class that
    covers most of it beside the background; splits are drawn by it.
    """

    def __init__(self, settings: Segmentation) -> None:
        self.settings = settings

    def check(self, params: DataParams) -> None:
        self._pairs(params)

    def _pairs(self, params: DataParams) -> tuple[list[_Pair], _Notes]:
        """Images with masks, and notes on them, once they are read. Raises DataError that names every fault so far."""
        root, masks = folder_of(params, "masks"), self.settings.masks
        if not isinstance(masks, CocoMasks):
            pairs, notes = _beside(root, masks, self.settings)
        else:
            drawn = DrawnMasks.read(root, self.settings, masks)
            pairs = [_Pair(path, f"mask from {masks.labels}", draw) for path, draw in drawn]
            notes = drawn.notes
        given = given_to(params, [each.image for each in pairs], None)
        if given is None:
            return pairs, notes
        kept = [
            replace(each, allowed=given.allowed[each.image]) for each in pairs if each.image in given.allowed
        ]
        return kept, lambda: [*given.notes, *notes()]

    def read(self, params: DataParams, progress: Progress, scratch: Path | None) -> RawData:
        pairs, notes = self._pairs(params)
        root = Path(params.root or "")
        names = [os.path.relpath(each.image, root) for each in pairs]
        bits = 16 if params.grey_bits == "auto" else params.grey_bits
        images, masks, facts = self._read(pairs, names, params, bits, progress, scratch)
        needed = bits_needed(facts)
        if params.grey_bits == "auto" and needed < bits and params.window is None:  # known only now
            bits = needed
            images, masks, facts = self._read(pairs, names, params, bits, progress, scratch)
        classes = tuple(self.settings.classes)
        counts = np.array([np.bincount(mask.ravel(), minlength=256)[: len(classes)] for mask in masks])
        _report(
            [
                f"class {name} is in no mask; remove it from data.segmentation.classes"
                for name, count in zip(classes, counts.sum(axis=0), strict=True)
                if not count
            ],
            root,
        )
        covered = counts[:, 1:].max(axis=1) > 0
        return RawData(
            images=images,
            labels=np.where(covered, counts[:, 1:].argmax(axis=1) + 1, 0).astype(np.int64),
            paths=names,
            sizes=[each.size for each in facts],
            classes=classes,
            allowed=[each.allowed for each in pairs if each.allowed] or None,
            notes=(*notes(), *notes_on_images(names, facts, params, bits)),
            grey_bits=bits if any(each.highest_grey is not None for each in facts) else None,
            targets=masks,
            task=self.settings,
            padded=params.fit == "pad" and tiles_of(self.settings) is None,  # ADR 63
        )

    def _read(
        self,
        pairs: list[_Pair],
        names: list[str],
        params: DataParams,
        grey_bits: int,
        progress: Progress,
        scratch: Path | None,
    ) -> tuple[np.ndarray, np.ndarray, list[Facts]]:
        facts: list[Facts] = []
        masks: list[np.ndarray] = []

        def read() -> Iterator[np.ndarray]:
            faults: list[str] = []
            decoded = mapped(lambda pair: self._decode(pair, params, grey_bits), pairs, AHEAD)
            for done, (name, result) in enumerate(zip(names, decoded, strict=True), 1):
                if isinstance(result, str):
                    faults.append(f"{name}: {result}")
                else:
                    pixels, mask, fact = result
                    facts.append(fact)
                    masks.append(mask)
                    yield pixels
                progress(done, len(names))
            _report(faults, Path(params.root or ""))

        with quiet_decoders():
            images = spool(
                read(), (params.image_size, params.image_size, params.channels), scratch, params.depth
            )
        return images, np.stack(masks), facts

    def _decode(
        self, pair: _Pair, params: DataParams, grey_bits: int
    ) -> tuple[np.ndarray, np.ndarray, Facts] | str:
        decoded = decode(pair.image, params, grey_bits)
        if isinstance(decoded, str):
            return f"cannot be read ({decoded}); replace or remove it"
        pixels, fact = decoded
        with open_image(pair.image, params.window).image as image:
            if turn_of(image)[0] is not None:
                return "its EXIF turns it, which a mask cannot follow; save it upright, with a mask like that"
        try:
            mask = fit_mask(pair.mask(fact.size), params)
        except MaskFault as fault:
            return f"its {pair.called} {fault}"
        if (mask == IGNORED).all():
            return f"its {pair.called} asks nothing: all of it is ignored; remove both"
        return pixels, mask, fact


def _beside(root: Path, ending: str, settings: Segmentation) -> tuple[list[_Pair], _Notes]:
    """Images and masks of a folder, by their names. Raises DataError that names every file without its partner."""
    found = find(root)
    require_most(str(root), found)
    masks = {path for path in found.images if path.name.endswith(ending)}
    images = [path for path in found.images if path not in masks]
    partners = [path.with_name(path.stem + ending) for path in images]
    faults = [
        f"{os.path.relpath(image, root)}: its mask {mask.name} is missing; draw it, or remove the image"
        for image, mask in zip(images, partners, strict=True)
        if mask not in masks
    ]
    faults += [
        f"{os.path.relpath(path, root)}: a mask without an image; add it, or remove the mask"
        for path in sorted(masks - set(partners))
    ]
    twice = len(partners) - len(set(partners))
    if twice:
        faults.append(f"{twice} images share a mask with another of the same name; rename them")
    if not images and not faults:
        faults.append("there is no image")
    _report(faults, root)
    pairs = [
        _Pair(image, f"mask {mask.name}", partial(read_mask, mask, settings=settings))
        for image, mask in zip(images, partners, strict=True)
    ]
    return pairs, lambda: notes_on(found)


def _report(faults: list[str], root: Path) -> None:
    """Raise DataError where there is any."""
    if faults:
        shown = "\n  ".join(faults[:MOST_SHOWN])
        more = f"\n  and {len(faults) - MOST_SHOWN} more" if len(faults) > MOST_SHOWN else ""
        raise DataError(f"{root}: {len(faults)} faults in images and masks:\n  {shown}{more}")
