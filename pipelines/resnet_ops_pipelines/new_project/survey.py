"""What there is in a data set: read as `prepare_data` reads it, and split as it will be split."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from resnet_ops.data.conflicts import settle_conflicts
from resnet_ops.data.params import LISTED, DataParams
from resnet_ops.data.prepared import ManifestRow, PreparedData
from resnet_ops.data.raw import RawData
from resnet_ops.data.splits import split_images
from resnet_ops.errors import DataError
from resnet_ops.messages import Progress
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import IGNORED
from resnet_ops_pipelines.new_project.mirrors import may_mirror, may_mirror_objects

__all__ = ["Survey", "read_all", "survey"]

BLOCK = 256
GROUPS = {"case", "document", "group", "lot", "part", "patient", "serial", "slide", "specimen", "subject"}
"""Columns that say which images belong together, with or without `_id`."""


@dataclass(frozen=True)
class Survey:
    """A data set as a project will see it."""

    data: DataParams
    formats: Mapping[str, int]
    """Images by the ending of their file; none for data sets in few large files."""
    sizes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    """Width and height of the smallest, the median and the largest image, by area."""
    classes: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]
    """Images by split and class name."""
    groups: Mapping[str, int]
    """Groups by split; empty where images are not grouped."""
    tested: Mapping[str, np.ndarray]
    """Of the test split, by class name: which group each image is of. Empty where images are not grouped."""
    repeated: int
    """Images whose pixels are those of an earlier one."""
    mirrored: bool
    """Whether a mirrored image looks as much like its class."""
    pixels: Mapping[str, float]
    """Of masks, the share of the pixels of each class; empty where there are none."""
    masks: Mapping[str, int]
    """Of the test split, in how many masks each class is; likewise."""
    objects: Mapping[str, int]
    """In boxes, those of each class that count; empty where there are none."""
    asked: np.ndarray
    """(N, K) how many of each such class each image of the test split has."""
    notes: tuple[str, ...]
    """What the reader has to say: what it passed over, and what is odd."""

    def images(self, split: str) -> int:
        """How many a split has."""
        return sum(self.counts[split].values())

    @property
    def totals(self) -> dict[str, int]:
        """Images of each class; of masks, of each that covers most of one beside the background."""
        totals = {name: sum(each[name] for each in self.counts.values()) for name in self.classes}
        return {name: count for name, count in totals.items() if count}

    @property
    def ratio(self) -> float:
        """The largest class to the smallest."""
        return max(self.totals.values()) / min(self.totals.values())


def read_all(data: DataParams, progress: Progress, scratch: Path) -> RawData:
    """Read all images. Raises DataError that names every one which cannot be read."""
    return reading_of(data.chosen_task).read(replace(data, channels=3, group=None), progress, scratch)


def survey(raw: RawData, data: DataParams, seed: int, group: str) -> Survey:
    """Split what was read. group: a column, `none`, or `auto` for one with a telling name.

    Raises DataError that names the class which is too small to be split.
    """
    channels: Literal[1, 3] = 3 if _has_colour(raw.images) else 1
    raw = replace(raw, images=raw.images[..., :channels], digests=None)
    column = _group_column(raw) if group == "auto" else None if group == "none" else group
    settled = settle_conflicts(raw, "drop")
    split = _split(settled, data, seed, column, guessed=group == "auto")
    kept = [row for row in split.rows if row.split]
    names = data.split.as_dict()
    counts = {name: Counter(row.class_name for row in kept if row.split == name) for name in names}
    _require(counts, split.labelled, str(data.root))
    digests = settled.digests or []
    pairs = _with_groups(kept, raw.extra[column]) if column else []
    return Survey(
        data=replace(
            data,
            channels=channels,
            grey_bits=raw.grey_bits or data.grey_bits,
            depth=16 if channels == 1 and (raw.grey_bits or 8) > 8 else 8,
            group=column,
            conflicts="drop" if settled.left_out else data.conflicts,
        ),
        formats=_formats(data, raw.paths),
        sizes=_sizes(raw.sizes),
        classes=raw.classes,
        counts=counts,
        groups={name: len({each for row, each in pairs if row.split == name}) for name in names}
        if column
        else {},
        tested=_tested(pairs, raw.classes) if column else {},
        repeated=len(digests) - len(set(digests)),
        mirrored=_may_mirror(settled, data),
        pixels={} if data.segmentation is None else _shares(raw),
        masks={} if data.segmentation is None else _masks_with(split.split("test")),
        objects={} if data.detection is None else _objects(raw),
        asked=np.zeros((0, 0))
        if data.detection is None
        else _counted(split.split("test").asked, raw.classes),
        notes=settled.notes,
    )


def _split(raw: RawData, data: DataParams, seed: int, column: str | None, guessed: bool) -> PreparedData:
    try:
        return split_images(raw, data.split, seed, column)
    except DataError as error:
        if not guessed or column is None:
            raise
        raise DataError(
            f"The column {column} was taken for groups, by its name. If it is none: --group none. {error}"
        ) from error


def _may_mirror(raw: RawData, data: DataParams) -> bool:
    if data.detection is None or raw.targets is None:
        return may_mirror(raw.images, raw.labels)
    return may_mirror_objects(raw.images, raw.targets)


def _group_column(raw: RawData) -> str | None:
    """The column that by its name groups images, where some of its values occur more than once."""
    named = [name for name in raw.extra if name.casefold().removesuffix("_id") in GROUPS]
    return next((name for name in named if len(set(raw.extra[name])) < len(raw.paths)), None)


def _has_colour(images: np.ndarray) -> bool:
    blocks = (images[start : start + BLOCK] for start in range(0, len(images), BLOCK))
    return any(bool((block != block[..., :1]).any()) for block in blocks)


def _require(counts: Mapping[str, Counter[str]], classes: tuple[str, ...], root: str) -> None:
    missing = [f"{name} of {split}" for split, found in counts.items() for name in classes if not found[name]]
    if missing:
        raise DataError(
            f"{root}: no image of class {'; '.join(missing[:8])}. Each class needs images in train, validation, test "
            "and production. Where a CSV file names splits, leave them empty in rows that may go anywhere."
        )
    bare = [split for split, found in counts.items() if not found.total()]
    if bare:
        images = sum(found.total() for found in counts.values())
        raise DataError(
            f"{root}: {images} images are too few to be split: none is in {', '.join(bare)}. Add images."
        )


def _shares(raw: RawData) -> dict[str, float]:
    assert raw.targets is not None
    counts = np.zeros(len(raw.classes), np.int64)
    for mask in raw.targets:
        counts += np.bincount(mask.ravel(), minlength=IGNORED + 1)[: len(raw.classes)]
    return dict(zip(raw.classes, (counts / counts.sum()).tolist(), strict=True))


def _masks_with(data: PreparedData) -> dict[str, int]:
    return {name: int((data.asked == place).any((1, 2)).sum()) for place, name in enumerate(data.classes)}


def _objects(raw: RawData) -> dict[str, int]:
    assert raw.targets is not None
    return dict(zip(raw.classes[1:], _counted(raw.targets, raw.classes).sum(axis=0).tolist(), strict=True))


def _counted(targets: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """(N, K) how many objects of each class but the background each image has; crowds and cut ones do not count."""
    kinds = np.where(targets[..., 5] == 0, targets[..., 4], 0)
    return np.stack([(kinds == place).sum(axis=1) for place in range(1, len(classes))], axis=1)


def _formats(data: DataParams, paths: list[str]) -> dict[str, int]:
    if data.source not in LISTED:
        return {}
    return dict(Counter(Path(path).suffix.lower().lstrip(".") or "none" for path in paths).most_common())


def _sizes(
    sizes: list[tuple[int, int]],
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    return by_area[0], by_area[len(by_area) // 2], by_area[-1]


def _with_groups(rows: list[ManifestRow], groups: list[str]) -> list[tuple[ManifestRow, str]]:
    """Each image and its group. Images without a group are each their own."""
    return [(row, groups[row.index] or row.sha256) for row in rows]


def _tested(pairs: list[tuple[ManifestRow, str]], classes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Of the test split, the groups of the images of each class."""
    tested = [(row.class_name, group) for row, group in pairs if row.split == "test"]
    return {name: np.array([group for of, group in tested if of == name]) for name in classes}
