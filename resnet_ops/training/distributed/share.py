"""Which images of a batch one worker trains on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from resnet_ops.errors import ConfigError

__all__ = ["Share", "share_of"]


@dataclass(frozen=True)
class Share:
    """One worker's share of every part in which a batch passes through the network."""

    size: int
    """Images of the whole batch."""
    places: slice | Tensor
    """Of the batch, the images that are augmented here: the own ones, and before those of each part their neighbour in
    the batch, which is mixed into the first of them."""
    own: slice | Tensor
    """Of these images, the own ones."""
    parts: tuple[int, ...]
    """How many own images each part has."""


def share_of(size: int, parts: int, rank: int, workers: int) -> Share:
    """The share of worker `rank` in a batch of `size` images that is trained on in `parts` parts of equal size.

    Each part is divided by itself, so that normalisation sees the same images together as in one process. Raises
    ConfigError where a part has fewer images than there are workers.
    """
    length = -(-size // parts)
    lengths = [min(length, size - start) for start in range(0, size, length)]
    if workers == 1:
        return Share(size, slice(None), slice(None), tuple(lengths))
    if min(lengths) < workers:
        raise ConfigError(
            f"{workers} workers cannot share {min(lengths)} image(s), the smallest part of a batch of {size} in "
            f"{parts} part(s). Raise the recipe's batch_size, lower its accumulate, or start fewer workers."
        )
    places, own, counts = [], [], []
    for part, images in enumerate(lengths):
        first, last = (images * place // workers for place in (rank, rank + 1))
        places.append(torch.arange(first - 1, last) + part * length)
        own.append(torch.arange(first - 1, last) >= first)
        counts.append(last - first)
    return Share(size, torch.cat(places) % size, torch.nonzero(torch.cat(own)).flatten(), tuple(counts))
