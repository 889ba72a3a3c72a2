"""Assigning images to splits by a hash of their pixels: an image stays in its split when others come or go."""

import hashlib
from collections import Counter

import numpy as np

from resnet_ops.data.digests import pixel_digests
from resnet_ops.data.params import SplitParams
from resnet_ops.data.prepared import ManifestRow, PreparedData
from resnet_ops.data.raw import RawData
from resnet_ops.data.splits.groups import deal_groups, group_names
from resnet_ops.data.splits.time_order import deal_by_time
from resnet_ops.errors import DataError

__all__ = ["split_images"]

NOWHERE = ""
"""The split of images that are left out; it is never written."""


def split_images(raw: RawData, shares: SplitParams, seed: int, group: str | None = None) -> PreparedData:
    """Give every image a split and a manifest row.

    An image's place between 0 and 1 is a hash of its pixels and the seed, and the shares cut that line into splits. So
    images of equal pixels are in one split, and none moves when others are added or removed; the sizes of splits vary
    as counts of draws do. Of a class, each split gets at least half of its share, and one image: where it has less by
    chance, images whose place is nearest are moved to it. Where the data set says where an image may go it goes there,
    by the shares of those splits. Raises DataError when a class is too small to be in every split.

    group: a column of the data set, such as patient; all images of one are in one split then (`groups.deal_groups`).
    Where the shares name a column of times, those decide instead of a hash (`time_order.deal_by_time`).
    """
    digests = raw.digests or pixel_digests(raw.images)
    groups = [""] * len(digests) if group is None else _column(raw, "data.group", group)
    if shares.by_time is not None:
        _column(raw, "data.split.by_time", shares.by_time)
        split_of = deal_by_time(raw, digests, group_names(groups, digests), shares.by_time, shares)
    elif group is not None:
        split_of = deal_groups(raw, digests, groups, shares, lambda name: _place(f"group:{name}", seed))
    else:
        split_of = _by_image(raw, digests, shares, seed)
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
    extra = {name: np.array(values, dtype=object) for name, values in raw.extra.items()}
    return PreparedData(raw.images, raw.labels, rows, raw.classes, extra, raw.targets, raw.task, raw.padded)


def _column(raw: RawData, key: str, name: str) -> list[str]:
    if name not in raw.extra:
        known = ", ".join(raw.extra) or "none"
        raise DataError(f"{key} in params.yaml names column {name!r}; the data set's columns are: {known}.")
    return raw.extra[name]


def _by_image(raw: RawData, digests: list[str], shares: SplitParams, seed: int) -> dict[str, str]:
    allowed = raw.allowed or [tuple(shares.as_dict())] * len(raw.paths)
    pools = list(dict.fromkeys(allowed))
    pool_of = np.array([pools.index(names) for names in allowed])
    split_of: dict[str, str] = {}
    for label, class_name in enumerate(raw.classes):
        if raw.targets is not None and not (raw.labels == label).any():
            continue  # it is in the images, beside others
        for pool, names in enumerate(pools):
            members = np.flatnonzero((raw.labels == label) & (pool_of == pool))
            new = {digests[i] for i in members if digests[i] not in split_of}
            places = {each: _place(each, seed) for each in sorted(new - raw.left_out)}
            if places or len(pools) == 1 or not (raw.labels == label).any():
                must = raw.targets is None or len(places) >= len(names)  # else it is in images beside others
                split_of |= _deal(places, names, shares, class_name, must)
    return split_of


def _place(digest: str, seed: int) -> float:
    """Between 0 and 1, and as good as random."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{digest}".encode()).digest()[:8], "big") / 2**64


def _deal(
    places: dict[str, float], names: tuple[str, ...], shares: SplitParams, class_name: str, must: bool
) -> dict[str, str]:
    """The split of each image, by digest. must: whether each split gets some."""
    wanted = np.array([shares.as_dict()[name] for name in names])
    bounds = np.cumsum(wanted) / wanted.sum()
    needed = {
        name: max(1, int(share / 2 * len(places))) if must else 0
        for name, share in zip(names, wanted / wanted.sum(), strict=True)
    }
    last = len(names) - 1
    split_of = {
        each: names[min(last, int(np.searchsorted(bounds, place, side="right")))]
        for each, place in places.items()
    }
    count = Counter(split_of.values())
    for name, low, high in zip(names, [0.0, *bounds[:-1]], bounds, strict=True):
        while count[name] < needed[name]:
            spare = [each for each, split in split_of.items() if count[split] > needed[split]]
            if not spare:
                raise DataError(
                    f"Class {class_name} has only {len(places)} different images: too few to put one into {name}. "
                    f"Add images, or raise data.split.{name} in params.yaml."
                )
            nearest = min(spare, key=lambda each: max(low - places[each], places[each] - high))
            count[split_of[nearest]] -= 1
            count[name] += 1
            split_of[nearest] = name
    return split_of
