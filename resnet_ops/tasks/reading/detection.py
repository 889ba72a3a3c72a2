"""How detection is read: images that labels of boxes name, with the boxes brought to the prepared image."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from resnet_ops.data.listing.listed import Listed
from resnet_ops.data.listing.listings import Listing
from resnet_ops.data.params import DataParams
from resnet_ops.data.placement import Placement
from resnet_ops.data.raw import RawData
from resnet_ops.data.reading import read_listing
from resnet_ops.errors import DataError
from resnet_ops.extras import require
from resnet_ops.messages import Progress
from resnet_ops.tasks.detection.boxes import BoxedImage, Labels
from resnet_ops.tasks.detection.labels.reading import read_labels
from resnet_ops.tasks.detection.prepared import THINNEST, VISIBLE, as_targets
from resnet_ops.tasks.reading.given import Given, folder_of, given_to
from resnet_ops.tasks.reading.unlisted import note_unlisted
from resnet_ops.tasks.task import BACKGROUND, Detection

__all__ = ["DetectionReading", "fit_boxes"]

FEWEST = 20
"""Images by whose class splits are drawn: of fewer, a split may have none."""


class DetectionReading:
    """See `resnet_ops.tasks.reading.reading.Reading`.

    Targets are those of `resnet_ops.tasks.detection.prepared`. The label of an image is, of its objects' classes, the
    one that the fewest images show, or the background; splits are drawn by it.
    """

    def __init__(self, settings: Detection) -> None:
        self.settings = settings

    def check(self, params: DataParams) -> None:
        self._labels(params)

    def _labels(self, params: DataParams) -> tuple[Labels, Labels, Given | None]:
        """As they are written, as they are in the prepared images, and where these may go."""
        require("data.task: detection", "pycocotools")  # for the evaluation, which comes after the training
        root = folder_of(params, "boxes")
        chosen = self.settings
        labels = read_labels(root / chosen.labels, chosen.faults, chosen.classes, root / chosen.images)
        folder = root / chosen.images
        notes = [*labels.notes, *note_unlisted(folder, (image.file for image in labels.images))]
        lists = (root / chosen.labels).parent if chosen.labels != "." else root
        given = given_to(params, [folder / image.file for image in labels.images], lists)
        if given is not None:
            kept = tuple(image for image in labels.images if folder / image.file in given.allowed)
            labels, notes = replace(labels, images=kept), [*given.notes, *notes]
        labels = replace(labels, notes=tuple(notes))
        fitted = replace(labels, images=tuple(fit_boxes(image, params) for image in labels.images))
        if unseen := _unseen(labels):
            raise DataError(
                f"{root / chosen.labels}: no object that counts is of class {', '.join(unseen)}. Remove it from "
                "data.detection.classes."
            )
        if unseen := _unseen(fitted):
            raise DataError(
                f"{root / chosen.labels}: no object of class {', '.join(unseen)} counts in the prepared images: each "
                "is a crowd, cut, or too small there. Set data.fit to pad, raise data.image_size, or remove the class "
                "from data.detection.classes."
            )
        return labels, fitted, given

    def read(self, params: DataParams, progress: Progress, scratch: Path | None) -> RawData:
        stated, labels, given = self._labels(params)
        classes = (BACKGROUND, *labels.classes)
        folder = Path(params.root or "") / self.settings.images
        kinds = _kinds(labels)
        paths = [folder / each.file for each in labels.images]
        listed = [
            Listed(path, classes[kind], given.allowed[path] if given else None)
            for path, kind in zip(paths, kinds, strict=True)
        ]
        raw = read_listing(Listing(folder, listed, list(labels.notes)), params, progress, scratch)
        cut = sum(
            len(before.boxes) - len(after.boxes)
            for before, after in zip(stated.images, labels.images, strict=True)
        )
        notes = (
            [f"{cut:,} objects are outside of the prepared image, or too small there, and are left out"]
            if cut
            else []
        )
        return replace(
            raw,
            labels=kinds,
            classes=classes,
            targets=as_targets(labels.images),
            task=self.settings,
            notes=(*raw.notes, *notes),
        )


def fit_boxes(image: BoxedImage, params: DataParams) -> BoxedImage:
    """The boxes as `data.pixels.fitted` brings their image to its size, and cut there.

    An object of which less than VISIBLE is left does not count any more, and one with a side below THINNEST is gone.
    """
    side = params.image_size
    placed = Placement((image.width, image.height), side, params.fit)
    moved = placed.to_square(image.boxes)
    cut = np.clip(moved, np.array(placed.area[:2] * 2), np.array(placed.area[2:] * 2))
    before, areas = ((each[:, 2:] - each[:, :2]).clip(0).prod(axis=1) for each in (moved, cut))
    left = (cut[:, 2:] - cut[:, :2]).min(axis=1, initial=side) >= THINNEST
    crowd = image.crowd | (areas < VISIBLE * before)
    return replace(
        image,
        width=side,
        height=side,
        boxes=cut[left],
        classes=image.classes[left],
        crowd=crowd[left],
        areas=areas[left],
    )


def _shown(labels: Labels) -> np.ndarray:
    """(N, K) bool, whether an image has an object of the class that counts."""
    shown = np.zeros((len(labels.images), len(labels.classes)), bool)
    for place, image in enumerate(labels.images):
        shown[place, image.classes[~image.crowd]] = True
    return shown


def _unseen(labels: Labels) -> list[str]:
    """Classes of which no object counts."""
    counts = _shown(labels).sum(axis=0)
    return [name for name, count in zip(labels.classes, counts, strict=True) if not count]


def _kinds(labels: Labels) -> np.ndarray:
    """(N,) of each image the class from 1 that the fewest images show, of those in it; 0 where there is no object.

    Where that would be the class of less than FEWEST images, the one that most images show.
    """
    shown = _shown(labels)
    counts = shown.sum(axis=0)
    rarest = np.where(shown, counts, len(shown) + 1).argmin(axis=1)
    commonest = np.where(shown, counts, -1).argmax(axis=1)
    few = np.bincount(rarest[shown.any(axis=1)], minlength=len(counts)) < FEWEST
    return np.where(shown.any(axis=1), np.where(few[rarest], commonest, rarest) + 1, 0).astype(np.int64)
