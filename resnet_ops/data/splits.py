"""Dealing images out to splits: stratified by class, seeded, and equal images never in two splits."""

import hashlib

import numpy as np

from resnet_ops.data.prepared import ManifestRow, PreparedData
from resnet_ops.data.sources import RawData, SplitParams
from resnet_ops.errors import DataError

__all__ = ["split_images"]


def split_images(raw: RawData, shares: SplitParams, seed: int) -> PreparedData:
    """Give every image a split and a manifest row.

    Images of equal pixels go to the same split, so that none leaks from training into the test. Raises
    DataError when a class is too small to be in every split.
    """
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in raw.images]
    names, bounds = list(shares.as_dict()), np.cumsum(list(shares.as_dict().values()))
    rng = np.random.default_rng(seed)
    split_of: dict[str, str] = {}
    for label, class_name in enumerate(raw.classes):
        members = np.flatnonzero(raw.labels == label)
        groups = [digest for digest in dict.fromkeys(digests[i] for i in members) if digest not in split_of]
        rng.shuffle(groups)
        starts = [0, *np.round(bounds * len(groups)).astype(int)]
        for name, start, stop in zip(names, starts[:-1], starts[1:], strict=True):
            if start == stop:
                raise DataError(
                    f"Class {class_name} has only {len(groups)} different images: too few to put one into {name}. "
                    f"Add images, or raise data.split.{name} in params.yaml."
                )
            split_of.update(dict.fromkeys(groups[start:stop], name))
    rows = [
        ManifestRow(
            index=index,
            path=raw.paths[index],
            label=int(raw.labels[index]),
            class_name=raw.classes[raw.labels[index]],
            split=split_of[digest],
            sha256=digest,
            width=raw.sizes[index][0],
            height=raw.sizes[index][1],
        )
        for index, digest in enumerate(digests)
    ]
    return PreparedData(raw.images, raw.labels, rows, raw.classes)
