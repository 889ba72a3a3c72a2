"""Augmentation that mixes images of a batch or hides parts of them, on the device where they are trained on."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_ops.training.augmentation.draws import Draws, send
from resnet_ops.training.recipe import Loss

__all__ = ["Targets", "erase", "mix"]

PRESENT = 0.2
"""Share of a mixed image above which a class is in it, for binary cross-entropy: that of the paper's code."""
ERASED_AREA, ERASED_ASPECT = (0.02, 1 / 3), (0.3, 3.3)


@dataclass(frozen=True)
class Targets:
    """What (N,) images show: `share` of each is of class `first`, the rest of class `second`.

    Each (N,) class indices, or for `cross_entropy` (N, K) the shares of classes.
    """

    first: Tensor
    second: Tensor
    share: float
    shown: ClassVar[tuple[()]] = ()
    """What a network gets beside the images: nothing."""

    def loss(self, logits: Tensor, kind: Loss, label_smoothing: float) -> Tensor:
        """Mean loss of (N, K) logits in nats.

        `binary` asks of each class by itself whether it is in the image (Wightman et al. 2021): both classes of a mixed
        image are, unless one has next to nothing of it. Its mean is over classes too.
        """
        if kind == "binary":
            return F.binary_cross_entropy_with_logits(logits, self.wanted(logits.shape[1], label_smoothing))
        loss = F.cross_entropy(logits, self.first, label_smoothing=label_smoothing)
        if self.share == 1:
            return loss
        other = F.cross_entropy(logits, self.second, label_smoothing=label_smoothing)
        return self.share * loss + (1 - self.share) * other

    def wanted(self, classes: int, label_smoothing: float) -> Tensor:
        """(N, classes): the smoothed answers of `binary`."""
        return self._present(classes) * (1 - label_smoothing) + label_smoothing / classes

    def _present(self, classes: int) -> Tensor:
        """(N, classes): 1 for what is in an image, 0 for what is not."""
        every = torch.arange(classes, device=self.first.device)
        first, second = (labels[:, None] == every for labels in (self.first, self.second))
        if 1 - self.share <= PRESENT:
            return first.float()
        return second.float() if self.share <= PRESENT else (first | second).float()

    def hits(self, logits: Tensor) -> Tensor:
        """How many images are classified as the larger of their parts."""
        larger = self.first if self.share >= 0.5 else self.second
        return (logits.argmax(1) == (larger if larger.dim() == 1 else larger.argmax(1))).sum()

    def of(self, places: slice | Tensor) -> "Targets":
        """Those of some of the images."""
        return Targets(self.first[places], self.second[places], self.share)


def mix(images: Tensor, labels: Tensor, mixup: float, cutmix: float, draws: Draws) -> tuple[Tensor, Targets]:
    """Mix each image with its neighbour in the batch.

    images: (N, C, H, W), normalised; labels: (N,), or (N, K) shares. mixup: alpha of Zhang et al. 2017, where
    pixels are averaged; cutmix: alpha of Yun et al. 2019, where a rectangle is replaced; 0 turns one off; where both
    are on each batch gets one of them, by chance.
    """
    if not mixup and not cutmix:
        return images, Targets(labels, labels, 1.0)
    rng = draws.for_the_batch()
    cut = bool(cutmix) and (not mixup or rng.random() < 0.5)
    alpha = cutmix if cut else mixup
    share = float(rng.beta(alpha, alpha))
    others = images.roll(1, 0)
    if not cut:
        return images * share + others * (1 - share), Targets(labels, labels.roll(1, 0), share)
    height, width = images.shape[2:]
    tall, wide = (round(side * (1 - share) ** 0.5) for side in (height, width))
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    images = images.clone()
    images[:, :, top : top + tall, left : left + wide] = others[:, :, top : top + tall, left : left + wide]
    return images, Targets(labels, labels.roll(1, 0), 1 - tall * wide / (height * width))


def erase(images: Tensor, probability: float, draws: Draws) -> Tensor:
    """Set a random rectangle of some images to the mean (Zhong et al. 2017).

    images: (N, C, H, W), normalised, so that the mean is 0. A rectangle covers 2 % to a third of the image before it
    is cut at the image's size, with a height of 0.3 to 3.3 times its width.
    """
    if not probability:
        return images
    height, width = images.shape[2:]
    chance, area, aspect, down, right = draws.fractions(5)
    low, high = ERASED_AREA
    size = (low + (high - low) * area) * height * width
    low, high = (float(np.log(value)) for value in ERASED_ASPECT)
    ratio = torch.exp(low + (high - low) * aspect)
    tall = torch.sqrt(size * ratio).round().clamp(1, height)
    wide = torch.sqrt(size / ratio).round().clamp(1, width)
    top, left = ((height - tall + 1) * down).floor(), ((width - wide + 1) * right).floor()
    tall = tall * (chance < probability)  # 0 where nothing is hidden
    top, tall, left, wide = send(torch.stack([top, tall, left, wide]), images.device)
    rows, columns = _between(height, top, tall), _between(width, left, wide)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def _between(places: int, start: Tensor, length: Tensor) -> Tensor:
    """(N, places): which places lie in each stretch."""
    place = torch.arange(places, device=start.device)
    return (place >= start[:, None]) & (place < (start + length)[:, None])
