"""Images of five data sets, and the changes that they are judged under.

Digits, clothes, photographs, inspected metal and blood cells. None of the changes is taken from what the monitor
rehearses: each has an implementation of its own here, and many have no kin there.
"""

import io
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.drift_parts.shifted_images import as_bytes, contrast, fashion, jpeg, noise, rotated, scaled
from benchmarks.images import read_cifar10
from resnet_ops.data.sources import read_digits

__all__ = ["CHANGES", "KIN", "SETS", "Images", "Labels"]

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Set = tuple[Images, Labels, Images, Labels]
"""Images and labels to train on, and others that are held out."""
_SIDE = 32


def _dealt(images: Images, labels: Labels, trained: int, held: int) -> Set:
    order = np.random.default_rng(0).permutation(len(labels))
    train, rest = order[:trained], order[trained : trained + held]
    return images[train], labels[train], images[rest], labels[rest]


def _digits(_: Path) -> Set:
    raw = read_digits()
    return _dealt(raw.images, raw.labels, 600, 1197)


def _fashion(data: Path) -> Set:
    images, labels, learnable = fashion(data)
    return _dealt(images[:learnable], labels[:learnable], 6000, 3000)


def _cifar10(data: Path) -> Set:
    """Its four vehicles: aeroplane, car, ship, lorry."""
    given = read_cifar10(data / "cifar10" / "cifar10_jpeg.npz")
    names = ("airplane", "automobile", "ship", "truck")
    places = np.array([names.index(name) if name in names else -1 for name in given.classes])
    labels = places[given.labels]
    return _dealt(given.images[labels >= 0], labels[labels >= 0], 5000, 2600)


def _metal(data: Path) -> Set:
    """Patches of magnetic tiles, with a defect and without: two classes; no tile is in both parts."""
    rng, found = np.random.default_rng(0), []
    files = _files(data / "magnetic-tile" / "magnetic_tile.tar.xz")
    tiles = sorted(name for name in files if name.endswith(".jpg"))
    for tile, name in enumerate(tiles):
        picture = Image.open(io.BytesIO(files[name])).convert("L")
        mask = Image.open(io.BytesIO(files[name.removesuffix(".jpg") + ".png"])).convert("L")
        for _ in range(60):
            side = min(64, *picture.size)
            left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
            box = (left, top, left + side, top + side)
            share = float((np.asarray(mask.crop(box)) >= 128).mean())
            if share == 0 or share > 0.02:
                patch = picture.crop(box).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
                found.append((tile, int(share > 0), np.asarray(patch)[..., None]))
    of_tile, labels, images = (np.array(part) for part in zip(*found, strict=True))
    train = np.isin(of_tile, rng.permutation(len(tiles))[: len(tiles) // 2])
    return (*_balanced(images, labels, train, 1500, rng), *_balanced(images, labels, ~train, 1300, rng))


def _files(archive: Path) -> dict[str, bytes]:
    """The contents of a tar file, by name."""
    with tarfile.open(archive) as opened:
        found = ((each.name, opened.extractfile(each)) for each in opened)
        return {name: file.read() for name, file in found if file is not None}


def _balanced(
    images: Images, labels: Labels, of: NDArray[np.bool_], each: int, rng: np.random.Generator
) -> tuple[Images, Labels]:
    rows = np.concatenate(
        [rng.permutation(np.flatnonzero(of & (labels == label)))[:each] for label in np.unique(labels)]
    )
    rng.shuffle(rows)
    return images[rows], labels[rows].astype(np.int64)


def _cells(data: Path) -> Set:
    """Blood cells cut out of smears: red, white, platelets; at most 700 red ones in each part."""
    names = ("RBC", "WBC", "Platelets")
    images, labels, smears = [], [], []
    files = {Path(name).name: content for name, content in _files(data / "bccd" / "bccd_voc.tar.xz").items()}
    sheets = sorted(name for name in files if name.endswith(".xml"))
    for smear, name in enumerate(sheets):
        picture = Image.open(io.BytesIO(files[name.removesuffix(".xml") + ".jpg"])).convert("RGB")
        for label, box in _boxes(files[name], names):
            images.append(np.asarray(picture.crop(box).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)))
            labels.append(label)
            smears.append(smear)
    rng = np.random.default_rng(0)
    train = np.isin(smears, rng.permutation(len(sheets))[: len(sheets) // 3])
    parts = np.array(images), np.array(labels)
    return (*_balanced(*parts, train, 700, rng), *_balanced(*parts, ~train, 700, rng))


def _boxes(sheet: bytes, names: tuple[str, ...]) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    for each in ET.fromstring(sheet).iter("object"):
        ends = [int(each.findtext(f"bndbox/{end}") or 0) for end in ("xmin", "ymin", "xmax", "ymax")]
        if ends[2] - ends[0] > 3 and ends[3] - ends[1] > 3:
            yield names.index(each.findtext("name") or ""), (ends[0], ends[1], ends[2], ends[3])


SETS: dict[str, tuple[Callable[[Path], Set], str, int]] = {
    "digits": (_digits, "digits", 12),
    "Fashion-MNIST": (_fashion, "fast-cifar", 6),
    "CIFAR-10 vehicles": (_cifar10, "fast-cifar", 8),
    "magnetic tiles": (_metal, "fast-cifar", 10),
    "blood cells": (_cells, "fast-cifar", 8),
}
"""How each is read, the recipe that its model is trained by, and for how many epochs."""


def _shifted(pixels: int) -> Callable[[Images], Images]:
    return lambda images: np.concatenate([images[:, :, :1]] * pixels + [images[:, :, :-pixels]], axis=2)


def _dead_columns(images: Images) -> Images:
    dead = images.copy()
    for place in (images.shape[2] // 3, images.shape[2] * 3 // 4):
        dead[:, :, place] = 0
    return dead


def _zoom(share: float) -> Callable[[Images], Images]:
    """The middle `share` of each side, as large as the whole."""

    def apply(images: Images) -> Images:
        side = images.shape[1]
        cut = (side - side * share) / 2
        box = (cut, cut, side - cut, side - cut)
        return np.stack([_resized(image, side, box) for image in images])

    return apply


def _resized(image: Images, side: int, box: tuple[float, float, float, float]) -> Images:
    picture = Image.fromarray(image.squeeze()).resize((side, side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(picture).reshape(image.shape)


def _salt_and_pepper(share: float) -> Callable[[Images], Images]:
    def apply(images: Images) -> Images:
        drawn = np.random.default_rng(0).random(images.shape[:3])
        noisy = images.copy()
        noisy[drawn < share / 2] = 0
        noisy[drawn > 1 - share / 2] = 255
        return noisy

    return apply


def _defocus(radius: float) -> Callable[[Images], Images]:
    """radius: of the disc, in pixels of an image that is 32 wide; its rim is soft."""

    def apply(images: Images) -> Images:
        wide = radius * images.shape[1] / 32
        reach = int(np.ceil(wide)) + 1
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disc = np.clip(wide + 0.5 - np.hypot(x, y), 0, 1)
        kernel = (disc / disc.sum())[None, :, :, None]
        return as_bytes(ndimage.convolve(images.astype(np.float32), kernel, mode="nearest"))

    return apply


def _fog(share: float) -> Callable[[Images], Images]:
    """A bright veil that is denser in some places, the same in all images."""

    def apply(images: Images) -> Images:
        rough = np.random.default_rng(1).normal(0, 1, images.shape[1:3])
        veil = ndimage.gaussian_filter(rough, images.shape[1] / 6, mode="wrap")
        dense = np.clip(share * (1 + 0.4 * veil / np.abs(veil).max()), 0, 1)[None, :, :, None]
        return as_bytes(images * (1 - dense) + 230 * dense)

    return apply


CHANGES: dict[str, Callable[[Images], Images]] = {
    "one pixel": _shifted(1),
    "brightness x 1.05": scaled(1.05),
    "brightness x 0.9": scaled(0.9),
    "dead columns": _dead_columns,
    "mirrored": lambda images: images[:, :, ::-1],
    "flipped": lambda images: images[:, ::-1],
    "zoom 85 %": _zoom(0.85),
    "salt and pepper 3 %": _salt_and_pepper(0.03),
    "noise 3": noise(3),
    "noise 20": noise(20),
    "defocus 1": _defocus(1.0),
    "defocus 2": _defocus(2.0),
    "fog 30 %": _fog(0.3),
    "fog 60 %": _fog(0.6),
    "JPEG q90": jpeg(90),
    "JPEG q30": jpeg(30),
    "contrast x 0.9": contrast(0.9),
    "contrast x 0.4": contrast(0.4),
    "brightness x 0.4": scaled(0.4),
    "rotated 4": rotated(4),
    "rotated 20": rotated(20),
    "negative": lambda images: 255 - images,
}
"""Each of (N, H, W, C) uint8."""
_BLUR = ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur")
_NOISE = ("gaussian_noise", "shot_noise", "impulse_noise")
KIN: dict[str, tuple[str, ...]] = {
    "one pixel": ("moved",),
    "zoom 85 %": ("zoomed_in",),
    "brightness x 1.05": ("brightness",),
    **dict.fromkeys(("brightness x 0.9", "brightness x 0.4"), ("darkened", "contrast")),
    **dict.fromkeys(("salt and pepper 3 %", "noise 3", "noise 20"), _NOISE),
    **dict.fromkeys(("defocus 1", "defocus 2"), _BLUR),
    **dict.fromkeys(("fog 30 %", "fog 60 %"), ("fog", "contrast", "brightness")),
    **dict.fromkeys(("contrast x 0.9", "contrast x 0.4"), ("contrast", "fog")),
    **dict.fromkeys(("JPEG q90", "JPEG q30"), ("jpeg_compression", "pixelate")),
    **dict.fromkeys(("rotated 4", "rotated 20"), ("turned",)),
    "negative": ("inverted",),
}
"""The rehearsed kinds that are right as a likely reason, and are left out where a change is judged as a stranger."""
