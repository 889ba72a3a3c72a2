"""What is learned beside images that are not square: that there is nothing but background."""

from dataclasses import replace

import numpy as np

from resnet_ops.data.placement import Placement
from resnet_ops.data.prepared import PreparedData
from resnet_ops.tasks.task import PADDED

__all__ = ["with_padding"]


def with_padding(train: PreparedData) -> PreparedData:
    """The training split, with PADDED in its masks where they are `padded`; other data as they are.

    A model that learned nothing there calls anything a find, which production counts in its numbers.
    """
    if not train.padded or train.targets is None:
        return train
    masks = np.full(train.targets.shape, PADDED, np.uint8)
    for mask, asked, row in zip(masks, train.targets, train.rows, strict=True):
        image = Placement((row.width, row.height), len(mask), "pad").pixels
        mask[image] = asked[image]
    return replace(train, targets=masks)
