"""Equal images with different labels."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from resnet_ops.data.digests import pixel_digests
from resnet_ops.data.raw import RawData
from resnet_ops.errors import DataError

__all__ = ["settle_conflicts"]


def settle_conflicts(raw: RawData, how: Literal["stop", "drop", "first"]) -> RawData:
    """The data with one label for each image, and notes of what that took and of copies in several given splits.

    `drop` leaves out all images that are there with two labels, `first` gives them the label that comes first. Raises
    DataError that names every such image where `how` is `stop`.
    """
    asked = raw.labels if raw.targets is None else raw.targets
    digests = raw.digests or pixel_digests(raw.images)
    places = defaultdict(list)
    for place, digest in enumerate(digests):
        places[digest].append(place)
    at_odds = {
        digest: same
        for digest, same in places.items()
        if len(same) > 1 and len({asked[place].tobytes() for place in same}) > 1
    }
    agreed = [same for digest, same in places.items() if digest not in at_odds]
    known = replace(raw, digests=digests, notes=(*raw.notes, *_in_several(raw, agreed)))
    if not at_odds:
        return known
    count = sum(map(len, at_odds.values()))
    if how == "stop":
        shown = "\n  ".join(
            " = ".join(f"{raw.paths[place]} ({raw.classes[raw.labels[place]]})" for place in same)
            for same in at_odds.values()
        )
        raise DataError(
            f"{len(at_odds)} images appear with two labels or more. Correct them; or, where you cannot, say in "
            f"params.yaml what becomes of them: data.conflicts: drop (all {count} are left out) or first (the label "
            f"that comes first counts):\n  {shown}"
        )
    if how == "drop":
        note = f"{count} images are left out: they appear with two labels (data.conflicts: drop)"
        return replace(known, left_out=frozenset(at_odds), notes=(*known.notes, note))
    labels, targets = raw.labels.copy(), None if raw.targets is None else raw.targets.copy()
    for same in at_odds.values():
        labels[same] = labels[same[0]]
        if targets is not None:
            targets[same] = targets[same[0]]
    note = f"{count} images appear with two labels, of which the first counts (data.conflicts: first)"
    return replace(known, labels=labels, targets=targets, notes=(*known.notes, note))


def _in_several(raw: RawData, copies: Iterable[list[int]]) -> Iterator[str]:
    """A note where equal images are given for different splits, of which none may hold them all."""
    if raw.allowed is None:
        return
    allowed = raw.allowed
    several = [same for same in copies if not set.intersection(*(set(allowed[place]) for place in same))]
    if several:
        first, *others = several[0]
        second = next(place for place in others if allowed[place] != allowed[first])
        yield (
            f"{len(several)} images are given for more than one split, such as {raw.paths[first]} and its copy "
            f"{raw.paths[second]}. All "
            "copies of an image are in one split here, so that none is tested by what was learned from"
        )
