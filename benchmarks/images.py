"""Images that the benchmarks train on: made ones, and CIFAR-10 from its binary files or one npz of JPEGs."""

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from resnet_ops.data import ManifestRow, PreparedData
from resnet_ops.data.sources import DataParams, SplitParams, read_source

__all__ = ["made_images", "prepared", "published", "read_cifar10"]

SHARES = SplitParams(train=0.25, validation=0.25, test=0.25, production=0.25)


def made_images(train: int, validation: int, size: int, classes: int) -> PreparedData:
    """Random colour images of size x size, the classes in turn."""
    count = train + validation
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    names = tuple(map(str, range(classes)))
    return prepared(images, np.arange(count) % classes, train, names)


def published(
    source: Literal["cifar10", "idx"], root: Path, image_size: int, channels: Literal[1, 3]
) -> DataParams:
    """A published data set, as it is."""
    return DataParams(
        source=source,
        root=str(root),
        image_size=image_size,
        channels=channels,
        fit="crop",
        background=255,
        grey_bits="auto",
        window=None,
        similar_classes="ask",
        conflicts="first",
        group=None,
        split=SHARES,
    )


def read_cifar10(path: Path) -> PreparedData:
    """CIFAR-10 with its training images as split `train` and its test images as `validation`.

    path: the folder of the binary version, or an npz file with `prefix`, `blob` and `offset` (the JPEGs one after the
    other, less the header that all share), `label`, `classes` and `n_train`.
    """
    if path.suffix != ".npz":
        raw = read_source(published("cifar10", path, 32, 3))
        order = sorted(range(len(raw.paths)), key=lambda i: "test_batch" in raw.paths[i])
        train = sum("test_batch" not in name for name in raw.paths)
        return prepared(raw.images[order], raw.labels[order], train, raw.classes)
    with np.load(path) as stored:
        prefix, blob, offset = stored["prefix"].tobytes(), stored["blob"].tobytes(), stored["offset"]
        labels, names, train = stored["label"], tuple(map(str, stored["classes"])), int(stored["n_train"])
    files = (prefix + blob[start:stop] for start, stop in pairwise(offset))
    images = np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
    return prepared(images, labels, train, names)


def prepared(images: np.ndarray, labels: np.ndarray, train: int, classes: Sequence[str]) -> PreparedData:
    """Images (N, H, W, C) with labels (N,), of which the first `train` are split `train`, the others `validation`."""
    rows = [
        ManifestRow(
            index=index,
            path=str(index),
            label=int(label),
            class_name=classes[int(label)],
            split="train" if index < train else "validation",
            sha256=f"{index:064x}",
            width=images.shape[2],
            height=images.shape[1],
        )
        for index, label in enumerate(labels)
    ]
    return PreparedData(images, labels.astype(np.int64), rows, tuple(classes))
