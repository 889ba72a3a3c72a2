"""Augmentation that mixes images of a batch or hides parts of them, on the device where they are trained on.

Everything random is drawn on the CPU from one generator, so that the same seed gives the same on every device.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Targets", "erase", "mix"]

ERASED_AREA, ERASED_ASPECT = (0.02, 1 / 3), (0.3, 3.3)


@dataclass(frozen=True)
class Targets:
    """What (N,) images show: `share` of each is of class `first`, the rest of class `second`."""

    first: Tensor
    second: Tensor
    share: float

    def loss(self, logits: Tensor, label_smoothing: float) -> Tensor:
        """Mean cross-entropy of (N, K) logits in nats."""
        loss = F.cross_entropy(logits, self.first, label_smoothing=label_smoothing)
        if self.share == 1:
            return loss
        other = F.cross_entropy(logits, self.second, label_smoothing=label_smoothing)
        return self.share * loss + (1 - self.share) * other

    def hits(self, logits: Tensor) -> Tensor:
        """How many images are classified as the larger of their parts."""
        return (logits.argmax(1) == (self.first if self.share >= 0.5 else self.second)).sum()

    def part(self, start: int, stop: int) -> "Targets":
        """Those of some of the images."""
        return Targets(self.first[start:stop], self.second[start:stop], self.share)


def mix(
    images: Tensor, labels: Tensor, mixup: float, cutmix: float, generator: torch.Generator
) -> tuple[Tensor, Targets]:
    """Mix each image with its neighbour in the batch.

    images: (N, C, H, W), normalised; labels: (N,). mixup: alpha of Zhang et al. 2017, where the pixels are averaged;
    cutmix: alpha of Yun et al. 2019, where a rectangle is replaced; 0 turns one off, and where both are on each batch
    gets one of them, by chance.
    """
    if not mixup and not cutmix:
        return images, Targets(labels, labels, 1.0)
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
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


def erase(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Set a random rectangle of some images to the mean (Zhong et al. 2017).

    images: (N, C, H, W), normalised, so that the mean is 0. A rectangle covers 2 % to a third of the image before it
    is cut at the image's size, with a height of 0.3 to 3.3 times its width.
    """
    if not probability:
        return images
    n, _, height, width = images.shape
    chance, area, aspect, down, right = torch.rand(5, n, generator=generator)
    low, high = ERASED_AREA
    size = (low + (high - low) * area) * height * width
    low, high = (float(np.log(value)) for value in ERASED_ASPECT)
    ratio = torch.exp(low + (high - low) * aspect)
    tall = torch.sqrt(size * ratio).round().clamp(1, height)
    wide = torch.sqrt(size / ratio).round().clamp(1, width)
    rows = _between(torch.arange(height), ((height - tall + 1) * down).floor(), tall)
    columns = _between(torch.arange(width), ((width - wide + 1) * right).floor(), wide)
    hidden = rows[:, :, None] & columns[:, None, :] & (chance < probability)[:, None, None]
    return images.masked_fill(hidden[:, None].to(images.device), 0)


def _between(places: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """(N, places): which places lie in each stretch."""
    return (places >= start[:, None]) & (places < (start + length)[:, None])
