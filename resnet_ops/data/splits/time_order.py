"""Assigning images to splits by their times: the oldest are learned from, the newest stand in for production."""

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

from resnet_ops.data.params import SplitParams
from resnet_ops.data.raw import RawData
from resnet_ops.data.splits.groups import cut, join_groups
from resnet_ops.errors import DataError

__all__ = ["deal_by_time"]

HOW = "Write for example 2026-01-31T08:00Z, or a date alone, which begins at midnight UTC."
SHOWN = 3


def deal_by_time(
    raw: RawData, digests: Sequence[str], names: Sequence[str], column: str, shares: SplitParams
) -> dict[str, str]:
    """The split of each image, by its digest. names: (N,) the group of each image. column: of times, ISO 8601.

    A group, and groups that share an equal image, are as old as their newest image, so that none is in train whose
    images go on into the time of a later split. What is equally old stays together; the shares are of images. Raises
    DataError for times that cannot be read or have no zone, where the data set says itself where an image goes, and
    where a split has no image of a class: moving one there would break the order.
    """
    if raw.allowed is not None and any(len(each) < len(shares.as_dict()) for each in raw.allowed):
        raise DataError(
            f"data.split.by_time in params.yaml orders images by {column}, but the data set says itself in which split "
            "images are. Remove its splits, or set by_time to null."
        )
    times = _times(raw, column)
    unit_of = join_groups(names, digests)
    images: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        if digests[index] not in raw.left_out:
            images[unit_of[name]].append(index)
    newest = {unit: max(times[index] for index in members) for unit, members in images.items()}
    total, before = sum(len(members) for members in images.values()), 0
    split_of: dict[str, str] = {}
    for _, together in groupby(sorted(images, key=lambda unit: (newest[unit], unit)), key=newest.__getitem__):
        members = [index for unit in together for index in images[unit]]
        split, _ = cut((before + len(members) / 2) / total, tuple(shares.as_dict()), shares)
        split_of |= {digests[index]: split for index in members}
        before += len(members)
    _require_classes(raw, digests, split_of, column, shares)
    return split_of


def _times(raw: RawData, column: str) -> list[datetime]:
    found, wrong = [], []
    for path, text in zip(raw.paths, raw.extra[column], strict=True):
        try:
            found.append(_time(text))
        except ValueError as error:
            wrong.append(f"{path}: {text[:40]!r} {error}")
    if wrong:
        more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise DataError(
            f"Column {column}, by which data.split.by_time in params.yaml orders images, has {len(wrong)} of "
            f"{len(raw.paths)} values that cannot be ordered: {'; '.join(wrong[:SHOWN])}{more}. {HOW}"
        )
    return found


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return moment.replace(tzinfo=UTC)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a time") from None
    raise ValueError("has no time zone")


def _require_classes(
    raw: RawData, digests: Sequence[str], split_of: dict[str, str], column: str, shares: SplitParams
) -> None:
    there = {
        (split_of[digest], int(label))
        for digest, label in zip(digests, raw.labels, strict=True)
        if digest in split_of
    }
    for label, class_name in enumerate(raw.classes):
        if not (raw.labels == label).any():
            continue
        missing = [split for split in shares.as_dict() if (split, label) not in there]
        if missing:
            raise DataError(
                f"Class {class_name} has no image in {' and '.join(missing)}, by the times in column {column}. Add "
                "images of it from that time, change data.split in params.yaml, or set by_time to null."
            )
