"""Drawn shapes with their masks and boxes, as many as wanted, and how such images may change."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import ndimage

from benchmarks.drift_parts.shifted_images import as_bytes
from resnet_ops.data import PreparedData
from resnet_ops.data.params import SplitParams
from resnet_ops.data.raw import RawData
from resnet_ops.data.splits import split_images
from resnet_ops.tasks.task import BACKGROUND, Detection, Segmentation, Task

__all__ = ["BOXES", "CHANGES", "CLASSES", "MASKS", "Shapes", "drawn_shapes", "prepared_shapes"]

SIDE, MOST = 32, 3
CLASSES = (BACKGROUND, "disc", "square")
MASKS = Segmentation(
    masks="_mask.png",
    classes={name: place for place, name in enumerate(CLASSES)},
    threshold=None,
    ignore=None,
    head="fcn",
    dilated=2,
    auxiliary=False,
)
BOXES = Detection(
    labels="boxes.csv",
    images="images",
    classes=CLASSES[1:],
    faults="refuse",
    head="fcos",
    width=32,
    frozen_norms=False,
)
Images = np.ndarray


@dataclass(frozen=True, eq=False)
class Shapes:
    """(N, H, W, 1) images, what a task asks of each (as `PreparedData.asked`), and (N,) classes that they show."""

    images: Images
    asked: np.ndarray
    labels: np.ndarray


def drawn_shapes(
    count: int, seed: int, shares: tuple[float, ...] = (0.25, 0.45, 0.3), *, task: Task = MASKS
) -> Shapes:
    """Noisy ground with one to three faint shapes of a class, or none. A later shape may cover an earlier one.

    shares: of images without a shape, with discs and with squares. task: one of masks or of boxes.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    labels = rng.choice(3, count, p=shares)
    owners = np.zeros((count, SIDE, SIDE), np.uint8)
    images = np.empty((count, SIDE, SIDE, 1), np.uint8)
    for place, label in enumerate(labels):
        bright = np.zeros((SIDE, SIDE))
        for number in range(rng.integers(1, MOST + 1) if label else 0):
            centre, radius = rng.uniform(4, SIDE - 4, 2), rng.uniform(2, 6)
            away = np.abs([y - centre[0], x - centre[1]])
            inside = np.hypot(*away) < radius if label == 1 else away.max(axis=0) < radius
            owners[place][inside] = number + 1
            bright[inside] = rng.uniform(30, 90)
        ground = 90 + 25 * ndimage.gaussian_filter(rng.normal(0, 4, (SIDE, SIDE)), 3)
        images[place, ..., 0] = as_bytes(ground + bright + rng.normal(0, 10, (SIDE, SIDE)))
    asked = _boxes(owners, labels) if isinstance(task, Detection) else _masks(owners, labels)
    return Shapes(images, asked, labels.astype(np.int64))


def _masks(owners: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, H, W) classes. owners: (N, H, W) which shape is seen, from 1."""
    return np.asarray((owners > 0) * labels[:, None, None], np.uint8)


def _boxes(owners: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, 3, 6) as `tasks.detection.prepared` has them, around what is seen of each shape."""
    targets = np.zeros((len(owners), MOST, 6), np.float32)
    for target, owner, label in zip(targets, owners, labels, strict=True):
        seen = [each for each in ndimage.find_objects(owner) if each is not None]
        for row, (down, across) in zip(target, seen, strict=False):
            row[:5] = across.start, down.start, across.stop, down.stop, label
    return targets


def prepared_shapes(count: int, seed: int, task: Task) -> PreparedData:
    """Drawn shapes to learn from."""
    shapes = drawn_shapes(count, seed, task=task)
    raw = RawData(
        images=shapes.images,
        labels=shapes.labels,
        paths=[f"{place}.png" for place in range(count)],
        sizes=[(SIDE, SIDE)] * count,
        classes=CLASSES,
        targets=shapes.asked,
        task=task,
    )
    return split_images(raw, SplitParams(train=0.85, validation=0.05, test=0.05, production=0.05), seed=0)


def _affine(images: Images, factor: float, more: float) -> Images:
    return as_bytes(images * factor + more)


def _blurred(images: Images, sigma: float) -> Images:
    return as_bytes(ndimage.gaussian_filter(images.astype(float), (0, sigma, sigma, 0)))


def _noisy(images: Images, spread: float) -> Images:
    return as_bytes(images + np.random.default_rng(1).normal(0, spread, images.shape))


def _speckled(images: Images) -> Images:
    """Dark specks at the same places in each image: dirt on the lens."""
    y, x = np.mgrid[:SIDE, :SIDE]
    spots = np.random.default_rng(2).uniform(3, SIDE - 3, (5, 2))
    dirt = sum(np.exp(-((y - top) ** 2 + (x - left) ** 2) / 8) for top, left in spots)
    return as_bytes(images * (1 - 0.5 * np.minimum(dirt, 1))[None, :, :, None])


CHANGES: dict[str, Callable[[Images], Images]] = {
    "brightness + 2": partial(_affine, factor=1.0, more=2),
    "contrast x 0.97": partial(_affine, factor=0.97, more=3),
    "noise 3": partial(_noisy, spread=3),
    "blur 0.3": partial(_blurred, sigma=0.3),
    "brightness + 30": partial(_affine, factor=1.0, more=30),
    "contrast x 0.5": partial(_affine, factor=0.5, more=45),
    "noise 12": partial(_noisy, spread=12),
    "blur 1.5": partial(_blurred, sigma=1.5),
    "dirt": _speckled,
}
"""None is taken from what the monitor rehearses, though most have kin there."""
