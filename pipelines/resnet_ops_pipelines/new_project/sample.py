"""A first look at a data set: how it is read, and what some of its images say of all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np

from resnet_ops.data.decoding import Facts, decode
from resnet_ops.data.formats import CIFAR10_FILES, CIFAR100_FILES
from resnet_ops.data.listing.given_splits import given_splits
from resnet_ops.data.listing.listings import list_images
from resnet_ops.data.odd_images import bits_needed
from resnet_ops.data.opening import quiet_decoders
from resnet_ops.data.params import LISTED, DataParams, SplitParams
from resnet_ops.data.sources import read_source
from resnet_ops.errors import DataError

__all__ = ["TESTED", "Sample", "check_watched", "sample", "source_of", "split_for"]

Source = Literal["imagefolder", "split_folders", "csv", "idx", "cifar10", "cifar100"]
SAMPLE = 200
"""Images that are looked at before all are read, at most."""
WHITE = 255
"""Background where images are transparent, as documents and drawings are."""
VALIDATION, LEAST_PRODUCTION, MOST_PRODUCTION = 0.1, 0.1, 0.2
"""Shares of the images; the rest is trained on."""
TESTED = (0.2, 0.25, 0.3)
"""Shares that test: the first that supports a policy is taken."""
JUDGED, WATCHED = 50, 65
"""Images from which on a window is judged (`monitor.drift.min_rows`), and those of the production split, since which
images go there is drawn by hashes."""


def split_for(images: int, test: float = TESTED[0]) -> SplitParams:
    """Of few images more go to production, where that brings a window that can be judged. test: share that tests."""
    wanted = math.ceil(100 * WATCHED / max(images, 1)) / 100
    production = max(LEAST_PRODUCTION, wanted) if wanted <= MOST_PRODUCTION else LEAST_PRODUCTION
    train = round(1 - VALIDATION - test - production, 2)
    return SplitParams(train=train, validation=VALIDATION, test=test, production=production, by_time=None)


def check_watched(production: int, images: int) -> None:
    """Raise DataError where given splits leave too few images for a window that can be judged, and splitting all of
    them anew does not.
    """
    if production < JUDGED <= split_for(images).production * images:
        raise DataError(
            f"They leave {production} images for production, and a verdict on drift takes {JUDGED}. To keep them "
            "nevertheless set data.source: split_folders in params.yaml."
        )


def source_of(place: Path) -> Source:
    """The `data.source` that reads a folder or a CSV file. Raises DataError where nothing is there."""
    if place.is_file():
        return "csv"
    if not place.is_dir():
        raise DataError(f"{place} does not exist. Name a folder of class folders, or a CSV file.")
    if given_splits(place):
        return "split_folders"
    names = {path.name for path in place.iterdir()}
    if set(CIFAR10_FILES) <= names:
        return "cifar10"
    if set(CIFAR100_FILES) <= names:
        return "cifar100"
    return "idx" if any(name.startswith("train-images-idx3-ubyte") for name in names) else "imagefolder"


@dataclass(frozen=True)
class Sample:
    """What some images say of all, before these are read."""

    images: int
    """In all."""
    classes: int
    side: int
    """The median shorter side, in pixels."""
    lost: float
    """The share of the median image that lies outside of its centre square."""
    background: int
    """The median grey level, which says least beside an image that is not square."""


def sample(data: DataParams, chosen: Sequence[Path] = (), classes: int = 0) -> Sample:
    """Look at some images. chosen: those that have masks or boxes. classes: of these, with the background.

    Raises DataError where none can be read, or as listing them does.
    """
    if data.source not in LISTED:
        raw = read_source(data)
        sizes, images, classes = raw.sizes[:1], len(raw.paths), len(raw.classes)
        lost = 1 - min(sizes[0]) / max(sizes[0])
        return Sample(images, classes, min(sizes[0]), lost, WHITE)
    listed = [] if chosen else list_images(data).images
    paths = list(chosen) or [each.path for each in listed]
    some = paths[:: max(1, len(paths) // SAMPLE)]
    tried = _decoded(some, data, 16)
    found = [each for each in tried if not isinstance(each, str)]
    if not found:
        raise DataError(f"{data.root}: none of {len(tried)} images can be read, first of all: {tried[0]}")
    bits = bits_needed([fact for _, fact in found])
    if bits < 16:  # known only now
        found = [each for each in _decoded(some, data, bits) if not isinstance(each, str)]
    sizes = [fact.size for _, fact in found]
    transparent = any(fact.transparent for _, fact in found)
    return Sample(
        images=len(paths),
        classes=classes or len({each.class_name for each in listed}),
        side=int(median(min(size) for size in sizes)),
        lost=median(1 - min(size) / max(size) for size in sizes),
        background=WHITE if transparent else int(np.median([pixels for pixels, _ in found])),
    )


def _decoded(paths: Sequence[Path], data: DataParams, grey_bits: int) -> list[tuple[np.ndarray, Facts] | str]:
    with quiet_decoders():
        return [decode(path, replace(data, image_size=8), grey_bits) for path in paths]
