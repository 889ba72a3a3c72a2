"""Augmentation of whole batches as tensors, on the device where they are trained on."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["random_crop_flip"]


def random_crop_flip(images: Tensor, padding: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Cut each image at its own random place after zero padding, and mirror half of them where `flip` is set.

    images: (N, C, H, W), any type; the result has the same shape. generator: on the CPU, so that the same seed
    gives the same crops on every device.
    """
    n, channels, height, width = images.shape
    if not padding and not flip:
        return images
    offsets = torch.randint(0, 2 * padding + 1, (2, n), generator=generator)
    mirrored = torch.randint(0, 2 if flip else 1, (n,), generator=generator, dtype=torch.bool)
    rows = torch.arange(height) + offsets[0, :, None]
    columns = torch.arange(width).expand(n, width)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns) + offsets[1, :, None]
    padded_width, padded_height = width + 2 * padding, height + 2 * padding
    flat = (rows[:, :, None] * padded_width + columns[:, None, :]).view(n, 1, height * width)
    padded = F.pad(images, (padding, padding, padding, padding)).view(
        n, channels, padded_height * padded_width
    )
    index = flat.expand(n, channels, height * width).to(images.device)
    return padded.gather(2, index).view(n, channels, height, width)
