"""Assigning groups to splits: images of one patient, part or document are never in two of them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from resnet_ops.data.params import SplitParams
from resnet_ops.data.raw import RawData
from resnet_ops.errors import DataError

__all__ = ["cut", "deal_groups", "group_names", "join_groups"]


def deal_groups(
    raw: RawData,
    digests: Sequence[str],
    groups: Sequence[str],
    shares: SplitParams,
    place: Callable[[str], float],
) -> dict[str, str]:
    """The split of each image, by its digest. groups: (N,) the group of each image; an empty one is its own.

    Groups that share an equal image are one. A group's place between 0 and 1 is a hash of its name, so that it stays in
    its split when others come or go; the shares cut that line. Where a class would be missing from a split, the group
    with that class whose place is nearest is moved there. Raises DataError where a class has too few groups for that,
    or a group may go to no split because the data set wants parts of it in different ones.
    """
    names = group_names(groups, digests)
    unit_of = join_groups(names, digests)
    images: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        if digests[index] not in raw.left_out:
            images[unit_of[name]].append(index)
    every = tuple(shares.as_dict())
    allowed = {unit: _allowed(unit, raw, members, every) for unit, members in images.items()}
    places = {unit: place(unit) for unit in images}
    split_of = {unit: cut(places[unit], allowed[unit], shares)[0] for unit in sorted(images)}
    classes = {unit: {int(raw.labels[index]) for index in members} for unit, members in images.items()}
    _fill(split_of, classes, allowed, places, shares, raw.classes)
    return {digests[index]: split_of[unit] for unit, members in images.items() for index in members}


def group_names(groups: Sequence[str], digests: Sequence[str]) -> list[str]:
    """(N,) the group of each image, by name; one without a group is its own."""
    return [group or digest for group, digest in zip(groups, digests, strict=True)]


def join_groups(names: Sequence[str], digests: Sequence[str]) -> dict[str, str]:
    """The unit of each group: the first of the names of groups that are joined by equal images."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    first: dict[str, str] = {}
    for name, digest in zip(names, digests, strict=True):
        ends = sorted({root(first.setdefault(digest, name)), root(name)})
        parent[ends[-1]] = ends[0]
    return {name: root(name) for name in parent}


def _allowed(unit: str, raw: RawData, members: Sequence[int], every: tuple[str, ...]) -> tuple[str, ...]:
    if raw.allowed is None:
        return every
    wanted = [raw.allowed[index] for index in members]
    left = tuple(name for name in every if all(name in each for each in wanted))
    if not left:
        files = sorted({each: raw.paths[index] for index, each in zip(members, wanted, strict=True)}.values())
        raise DataError(
            f"Group {unit} may go to no split: the data set wants its images in different ones, {files[0]} and "
            f"{files[-1]} for example. Correct the groups or the splits, or choose no column: data.group in "
            "params.yaml, or --group of `resnet-ops init`."
        )
    return left


def cut(
    place: float, names: tuple[str, ...], shares: SplitParams
) -> tuple[str, dict[str, tuple[float, float]]]:
    """The split at a place, and where each of these splits begins and ends."""
    wanted = np.array([shares.as_dict()[name] for name in names])
    bounds = np.cumsum(wanted) / wanted.sum()
    ends = {name: (low, high) for name, low, high in zip(names, [0.0, *bounds[:-1]], bounds, strict=True)}
    return names[min(len(names) - 1, int(np.searchsorted(bounds, place, side="right")))], ends


def _fill(
    split_of: dict[str, str],
    classes: dict[str, set[int]],
    allowed: dict[str, tuple[str, ...]],
    places: dict[str, float],
    shares: SplitParams,
    names: tuple[str, ...],
) -> None:
    """Move groups until each class is in each split; of a class with fewest groups first."""
    count = Counter((split, label) for unit, split in split_of.items() for label in classes[unit])
    rarest = sorted(
        range(len(names)), key=lambda label: sum(count[split, label] for split in shares.as_dict())
    )
    for label in rarest:
        for split in shares.as_dict():
            if count[split, label]:
                continue
            spare = [
                unit
                for unit, of in split_of.items()
                if label in classes[unit]
                and split in allowed[unit]
                and all(count[of, each] > 1 for each in classes[unit])
            ]
            if not spare:
                total = sum(label in each for each in classes.values())
                raise DataError(
                    f"Class {names[label]} is in {total} groups, which cannot be in every split: none is left for "
                    f"{split}. Add images of other groups, or choose another column or none: data.group in "
                    "params.yaml, or --group of `resnet-ops init`."
                )
            nearest = min(
                spare, key=lambda unit: _distance(places[unit], cut(0.0, allowed[unit], shares)[1][split])
            )
            for each in classes[nearest]:
                count[split_of[nearest], each] -= 1
                count[split, each] += 1
            split_of[nearest] = split


def _distance(place: float, ends: tuple[float, float]) -> float:
    return max(ends[0] - place, place - ends[1])
