"""The random numbers of one batch, the same ones on every device and however the batch is shared out.

They are drawn, and few numbers an image are computed from them, on the CPU; what has as many numbers as the images have
pixels is made on the images' device from what `send` brings there.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Draws", "send"]


@dataclass(frozen=True)
class Draws:
    """Draws for a batch of `size` images, from one generator on the CPU, and gives those of the images in `share`."""

    generator: torch.Generator
    size: int
    """Images of the whole batch."""
    share: slice | Tensor
    """Of the whole batch, the places of those that are augmented here."""

    def integers(self, below: int, count: int) -> Tensor:
        """(count, N) int64, from 0."""
        return torch.randint(0, below, (count, self.size), generator=self.generator)[:, self.share]

    def booleans(self) -> Tensor:
        """(N,) fair coins."""
        return torch.randint(0, 2, (self.size,), generator=self.generator, dtype=torch.bool)[self.share]

    def fractions(self, count: int) -> Tensor:
        """(count, N) in [0, 1)."""
        return torch.rand(count, self.size, generator=self.generator)[:, self.share]

    def for_the_batch(self) -> np.random.Generator:
        """A source for what is drawn once for all images."""
        return np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))


def send(numbers: Tensor, device: torch.device) -> Tensor:
    """Numbers of the CPU on the device. Nobody waits for them: not the CPU for the device, nor the device's queue."""
    if device.type == "cuda":
        numbers = numbers.pin_memory()
    return numbers.to(device, non_blocking=True)
