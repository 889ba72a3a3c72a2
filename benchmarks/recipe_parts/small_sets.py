"""Small labelled image sets of different kinds, on which the recipe that `resnet-ops init` proposes was chosen."""

import io
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks.images import published, read_cifar10
from resnet_ops.data import PreparedData
from resnet_ops.data.digests import pixel_digests
from resnet_ops.data.prepared import ManifestRow
from resnet_ops.data.sources import read_source

__all__ = ["SETS", "small_set"]

Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]
CELLS = ("RBC", "WBC", "Platelets")
ROUND = 1.2
"""How much more than its box is cut out with a cell."""
KINDS = ("MT_Blowhole", "MT_Break", "MT_Crack", "MT_Fray", "MT_Free", "MT_Uneven")
FREE = KINDS.index("MT_Free")
LOOKED_AT = 20
GREY = 108
"""The median level of the tiles, as `init` finds it: what stands beside those that are not square."""
APART, TILES_TESTED = 150, 0.35
"""Numbers of pictures that are further apart than this are of other places, of which so many are for judging."""


def _digits(data: Path, side: int) -> tuple[Labelled, Labelled]:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = np.round(digits.images[order, ..., None] * 255 / 16).astype(np.uint8)
    labels = digits.target[order].astype(np.int64)
    return (images[:300], labels[:300]), (images[300:], labels[300:])


def _fashion(data: Path, side: int) -> tuple[Labelled, Labelled]:
    raw = read_source(published("idx", data / "fashion-mnist", side, 1))
    return _some(raw.images, raw.labels, slice(0, 60_000), 300), _some(
        raw.images, raw.labels, slice(60_000, None), 2000
    )


def _cifar(data: Path, side: int) -> tuple[Labelled, Labelled]:
    both = read_cifar10(data / "cifar10/cifar10_jpeg.npz")
    return _some(both.images, both.labels, slice(0, 50_000), 300), _some(
        both.images, both.labels, slice(50_000, None), 2000
    )


def _cells(data: Path, side: int) -> tuple[Labelled, Labelled]:
    """Cells cut out of the pictures by their boxes, those of the training pictures for training."""
    content = dict[str, bytes]()
    with tarfile.open(data / "bccd/bccd_voc.tar.xz") as archive:
        for each in archive:
            if (file := archive.extractfile(each)) is not None:
                content[Path(each.name).name] = file.read()

    def cut(split: str) -> Labelled:
        images, labels = list[NDArray[np.uint8]](), list[int]()
        for name in content[f"{split}.txt"].decode().split():
            picture = Image.open(io.BytesIO(content[f"{name}.jpg"])).convert("RGB")
            for each in ET.fromstring(content[f"{name}.xml"]).findall("object"):
                left, top, right, bottom = (
                    float(each.findtext(f"bndbox/{key}", "0")) for key in ("xmin", "ymin", "xmax", "ymax")
                )
                half = max(right - left, bottom - top) / 2 * ROUND
                if half < 5:
                    continue
                x, y = (left + right) / 2, (top + bottom) / 2
                box = (
                    max(0, x - half),
                    max(0, y - half),
                    min(picture.width, x + half),
                    min(picture.height, y + half),
                )
                images.append(np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box)))
                labels.append(CELLS.index(each.findtext("name", "")))
        return np.stack(images), np.array(labels)

    train = cut("train")
    return _some(*train, slice(None), 300), cut("test")


def _tiles(data: Path, side: int) -> tuple[Labelled, Labelled]:
    """A defect or none."""
    (images, kinds), (others, theirs) = _kinds(data, side)
    return (images, (kinds != FREE).astype(np.int64)), (others, (theirs != FREE).astype(np.int64))


def _kinds(data: Path, side: int) -> tuple[Labelled, Labelled]:
    """The tiles by what is wrong with them: five defects, or none. A place was pictured up to six times in other light,
    with numbers that are neighbours; all of a place are for training, or all for judging.
    """
    found = list[tuple[int, str, NDArray[np.uint8]]]()
    with tarfile.open(data / "magnetic-tile/magnetic_tile.tar.xz") as archive:
        for each in (one for one in archive if one.name.endswith(".jpg")):
            file = archive.extractfile(each)
            assert file is not None
            number = int(Path(each.name).stem.rpartition("_")[2])
            found.append((number, each.name, _squared(Image.open(file).convert("L"), side)))
    found.sort(key=lambda each: each[:2])
    labels = np.array([KINDS.index(name.split("/")[0]) for _, name, _ in found])
    places = np.cumsum(np.diff([number for number, _, _ in found], prepend=0) > APART)
    drawn = np.random.default_rng(0).permutation(np.unique(places))
    judged = np.isin(places, drawn[: int(TILES_TESTED * len(drawn))])
    pictures = np.stack([pixels for _, _, pixels in found])
    return (pictures[~judged], labels[~judged]), (pictures[judged], labels[judged])


def _squared(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """(side, side, 1): all of the picture, with GREY beside it."""
    scale = side / max(picture.size)
    small = picture.resize(
        (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BILINEAR
    )
    ground = Image.new("L", (side, side), GREY)
    ground.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return np.asarray(ground)[..., None]


SETS: dict[str, tuple[Callable[[Path, int], tuple[Labelled, Labelled]], int]] = {
    "digits": (_digits, 8),
    "fashion": (_fashion, 28),
    "cifar": (_cifar, 32),
    "cells": (_cells, 48),
    "tiles-64": (_tiles, 64),
    "tiles-128": (_tiles, 128),
    "tiles-224": (_tiles, 224),
    "kinds-64": (_kinds, 64),
    "kinds-128": (_kinds, 128),
    "kinds-224": (_kinds, 224),
}
"""Each with the side of its images in pixels."""


def small_set(name: str, data: Path) -> PreparedData:
    """Images to train on as split `train`, those to judge by as `test`; of these some as `validation`, so that looking
    at them in each epoch takes little time. data: the folder that holds the sets.
    """
    read, side = SETS[name]
    (images, labels), (others, theirs) = read(data, side)
    pixels, classes = np.concatenate([images, others]), np.concatenate([labels, theirs])
    rows = [
        ManifestRow(
            index=place,
            path=str(place),
            label=int(label),
            class_name=str(label),
            split=("train", "validation", "test")[
                (place >= len(images)) + (place >= len(images) + LOOKED_AT)
            ],
            sha256=digest,
            width=side,
            height=side,
        )
        for place, (label, digest) in enumerate(zip(classes, pixel_digests(pixels), strict=True))
    ]
    return PreparedData(pixels, classes, rows, tuple(map(str, range(int(classes.max()) + 1))))


def _some(images: np.ndarray, labels: np.ndarray, of: slice, count: int) -> Labelled:
    """Some images of a range, drawn by one seed."""
    chosen = np.random.default_rng(0).permutation(len(labels[of]))[:count]
    return images[of][chosen], labels[of][chosen]
