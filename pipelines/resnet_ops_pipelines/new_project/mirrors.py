"""Whether images may be mirrored in training: left and right mean nothing where mirrored ones look like their class."""

import numpy as np
from PIL import Image

__all__ = ["may_mirror", "may_mirror_objects"]

SIDE, MOST = 16, 1000
"""Thumbnails that are compared, and how many."""
NEIGHBOURS = 0.8
"""Of the likenesses to its class, the quantile that says how much an image looks like it."""
LESS_ALIKE = 0.7
"""Share of images that look less like their class when mirrored, from which on none is mirrored. One half is the share
where left and right mean nothing; it is .92 for digits, .80 for Fashion-MNIST (shoes point left), .49 for CIFAR-10."""
FEWEST = 3


def may_mirror(images: np.ndarray, labels: np.ndarray) -> bool:
    """Whether an image of a class looks as much like others of it when it is mirrored left to right.

    images: (N, H, W, C) uint8. labels: (N,). Likeness is the correlation of small grey pictures. What only a small
    part of an image shows, such as a text on a part, is not seen.
    """
    rows = np.random.default_rng(0).permutation(len(images))[:MOST]
    small = np.stack([_thumbnail(images[row]) for row in rows])
    as_is, mirrored, classes = _unit(small), _unit(small[:, :, ::-1]), labels[rows]
    less = [
        _likeness(mirrored[of], as_is[of]) < _likeness(as_is[of], as_is[of])
        for label in np.unique(classes)
        if (of := classes == label).sum() >= FEWEST
    ]
    return bool(less) and float(np.concatenate(less).mean()) < LESS_ALIKE


def may_mirror_objects(images: np.ndarray, targets: np.ndarray) -> bool:
    """Likewise of objects in boxes, cut out of their images: the light in these may come from one side.

    targets: (N, M, 6) as in `resnet_ops.tasks.detection.prepared`.
    """
    cut, labels = list[np.ndarray](), list[int]()
    for place in np.random.default_rng(0).permutation(len(images)):
        grey = Image.fromarray(images[place].mean(axis=2).astype(np.uint8))
        for *box, kind, crowd in targets[place].tolist():
            if kind and not crowd:
                small = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=tuple(box))
                cut.append(np.asarray(small)[..., None])
                labels.append(int(kind))
        if len(cut) >= MOST:
            break
    return may_mirror(np.stack(cut), np.array(labels))


def _likeness(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) how much each looks like the others at other places."""
    found = images @ others.T
    np.fill_diagonal(found, np.nan)
    return np.asarray(np.nanquantile(found, NEIGHBOURS, axis=1))


def _thumbnail(image: np.ndarray) -> np.ndarray:
    grey = Image.fromarray(image.mean(axis=2).astype(np.uint8))
    return np.asarray(grey.resize((min(SIDE, grey.width),) * 2, Image.Resampling.BOX), np.float32)


def _unit(pictures: np.ndarray) -> np.ndarray:
    """(N, pixels) of mean 0 and length 1."""
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6))
