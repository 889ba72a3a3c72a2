"""Which images an epoch draws, where it does not take each of them once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from resnet_ops.training.rare_classes.imbalance import Imbalance, Sampling

__all__ = ["ClassSampler", "drawn_shares", "sampler_of"]


def drawn_shares(counts: Tensor, sampling: Sampling) -> Tensor:
    """(K,) float64: the share of each class among the images that an epoch draws; sums to 1.

    counts: (K,) images of each class in the training split, each above 0.
    """
    power = {"natural": 1.0, "square_root": 0.5, "balanced": 0.0}[sampling]
    wanted = counts.double() ** power
    return wanted / wanted.sum()


@dataclass(frozen=True)
class ClassSampler:
    """Draws a class by its share, then one of its images, all equally likely; with replacement."""

    shares: Tensor
    """(K,) float64."""
    rows: Tensor
    """(N,) int64, images in the order of their classes."""
    counts: Tensor
    """(K,) images of each class."""

    def draw(self, images: int, generator: torch.Generator) -> Tensor:
        """(images,) int64 rows. generator: on the CPU."""
        chance, place = torch.rand(2, images, generator=generator, dtype=torch.float64)
        label = torch.searchsorted(self.shares.cumsum(0), chance, right=True).clamp(max=len(self.shares) - 1)
        size = self.counts[label]
        within = (place * size).long().minimum(size - 1)  # the product may be rounded up
        return self.rows[self.counts.cumsum(0)[label] - size + within]


def sampler_of(imbalance: Imbalance | None, labels: Tensor, classes: int) -> ClassSampler | None:
    """The sampler that a recipe asks for; None where each image is taken once an epoch.

    labels: (N,) int64 of the training split, on the CPU.
    """
    if imbalance is None or imbalance.sampling == "natural":
        return None
    counts = labels.bincount(minlength=classes)
    return ClassSampler(drawn_shares(counts, imbalance.sampling), labels.argsort(stable=True), counts)
