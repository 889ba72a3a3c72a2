"""A segmentation model without training: bright pixels are spots, and it is as sure as they are bright or dark."""

from dataclasses import dataclass

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.data.depth import Depth
from resnet_ops.data.raw import RawData
from resnet_ops.data.splits import split_images
from resnet_ops.predictions import Predictions, check_images, softmax
from resnet_ops.tasks.task import Segmentation
from tests.unit.core.makers import SHARES
from tests.unit.core.tasks.masks import make_segmentation, spots

CLASSES = ("background", "spot")


@dataclass(frozen=True)
class ThresholdModel:
    """See `resnet_ops.predictions.DeployedModel`."""

    name: str = "threshold"
    classes: tuple[str, ...] = CLASSES
    image_size: int = 16
    channels: int = 1
    depth: Depth = 8

    @property
    def task(self) -> Segmentation:
        return make_segmentation()

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        check_images(self, images)
        bright = images[..., 0].astype(np.float32)
        spot = (bright - 125) / 6
        logits = np.stack([-spot, spot], axis=1)
        means = bright.reshape(len(images), 4, 4, 4, 4).mean(axis=(2, 4)).reshape(len(images), 16)
        return Predictions(logits, softmax(logits), means.astype(np.float32), logits.argmax(axis=1))


def spotted(count: int, seed: int = 0) -> PreparedData:
    """The spots of `masks.spots`, split."""
    images, masks = spots(count, seed=seed)
    raw = RawData(
        images=images[..., None],
        labels=np.asarray((masks > 0).any(axis=(1, 2)), np.int64),
        paths=[f"{place}.png" for place in range(count)],
        sizes=[(16, 16)] * count,
        classes=CLASSES,
        targets=(masks > 0).astype(np.uint8),
        task=make_segmentation(),
    )
    return split_images(raw, SHARES, seed=0)
