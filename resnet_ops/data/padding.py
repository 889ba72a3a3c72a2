"""What is learned beside images that are not square: that there is nothing but background."""

from dataclasses import replace

import numpy as np

from resnet_ops.data.placement import Placement
from resnet_ops.data.prepared import ManifestRow, PreparedData
from resnet_ops.data.spool import spool
from resnet_ops.tasks.task import PADDED

__all__ = ["with_padding"]


def with_padding(train: PreparedData) -> PreparedData:
    """The training split, with PADDED in its masks where they are `padded`; other data as they are.

    A model that learned nothing there calls anything a find, which production counts in its numbers.
    Raises StorageError as `spool` does.
    """
    if not train.padded or train.targets is None:
        return train
    masks = (_padded(mask, row) for mask, row in zip(train.targets, train.rows, strict=True))
    return replace(train, targets=spool(masks, train.targets.shape[1:], None))


def _padded(mask: np.ndarray, row: ManifestRow) -> np.ndarray:
    padded = np.full(mask.shape, PADDED, np.uint8)
    image = Placement((row.width, row.height), len(mask), "pad").pixels
    padded[image] = mask[image]
    return padded
