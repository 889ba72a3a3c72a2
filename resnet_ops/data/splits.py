"""Dealing images out to splits: stratified by class, seeded, and equal images never in two splits."""

import numpy as np

from resnet_ops.data.digests import pixel_digests
from resnet_ops.data.params import SplitParams
from resnet_ops.data.prepared import ManifestRow, PreparedData
from resnet_ops.data.raw import RawData
from resnet_ops.errors import DataError

__all__ = ["split_images"]

NOWHERE = ""
"""The split of images that are left out; it is never written."""


def split_images(raw: RawData, shares: SplitParams, seed: int) -> PreparedData:
    """Give every image a split and a manifest row.

    Images of equal pixels go to the same split, so that none leaks from training into the test. Where the data set
    says where an image may go it goes there, dealt out by the shares of those splits. Raises DataError when a class
    is too small to be in every split.
    """
    digests = raw.digests or pixel_digests(raw.images)
    rng = np.random.default_rng(seed)
    allowed = raw.allowed or [tuple(shares.as_dict())] * len(raw.paths)
    pools = list(dict.fromkeys(allowed))
    pool_of = np.array([pools.index(names) for names in allowed])
    split_of: dict[str, str] = {}
    for label, class_name in enumerate(raw.classes):
        for pool, names in enumerate(pools):
            members = np.flatnonzero((raw.labels == label) & (pool_of == pool))
            settled = split_of.keys() | raw.left_out
            groups = [each for each in dict.fromkeys(digests[i] for i in members) if each not in settled]
            if groups or len(pools) == 1 or not (raw.labels == label).any():
                rng.shuffle(groups)
                split_of |= _deal(groups, names, shares, class_name)
    rows = [
        ManifestRow(
            index=index,
            path=raw.paths[index],
            label=int(raw.labels[index]),
            class_name=raw.classes[raw.labels[index]],
            split=split_of.get(digest, NOWHERE),
            sha256=digest,
            width=raw.sizes[index][0],
            height=raw.sizes[index][1],
        )
        for index, digest in enumerate(digests)
    ]
    return PreparedData(raw.images, raw.labels, rows, raw.classes)


def _deal(groups: list[str], names: tuple[str, ...], shares: SplitParams, class_name: str) -> dict[str, str]:
    """The split of each group: consecutive stretches, as long as the shares of these splits say."""
    bounds = np.cumsum([shares.as_dict()[name] for name in names])
    if len(names) < len(shares.as_dict()):
        bounds = bounds / bounds[-1]
    starts = [0, *np.round(bounds * len(groups)).astype(int)]
    split_of: dict[str, str] = {}
    for name, start, stop in zip(names, starts[:-1], starts[1:], strict=True):
        if start == stop:
            raise DataError(
                f"Class {class_name} has only {len(groups)} different images: too few to put one into {name}. "
                f"Add images, or raise data.split.{name} in params.yaml."
            )
        split_of.update(dict.fromkeys(groups[start:stop], name))
    return split_of
