"""RandAugment on whole batches: images that drew the same operation pass through it together.

Those of torchvision that make a GPU wait for numbers from the host are written anew here, with the same results.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as vision

from resnet_ops.training.augmentation.draws import Draws, send

__all__ = ["MOVES", "OPERATIONS", "rand_augment"]

LAYERS, HIGHEST = 2, 10
"""Operations on each image, and the magnitude at which an operation is strongest: both the paper's."""


Operation = Callable[[Tensor, float], Tensor]
"""From (N, C, H, W) uint8 and a strength of -1 to 1 to the same shape."""


def rand_augment(
    images: Tensor,
    magnitude: float,
    spread: float,
    draws: Draws,
    operations: Mapping[str, Operation] | None = None,
) -> Tensor:
    """Pass each image through two operations drawn from the 14 of Cubuk et al. 2019, arXiv:1909.13719.

    images: (N, H, W, C) uint8 with 1 or 3 channels, as is the result; what needs colour leaves grey images as they are.
    magnitude: 0 to 10, 0 for none. spread: standard deviation of the magnitude, drawn anew in each batch for each
    operation. operations: OPERATIONS where it is None, or as many others in their places, such as MOVES for masks.
    """
    if not magnitude:
        return images
    operations = OPERATIONS if operations is None else operations
    rng = draws.for_the_batch()
    pictures = images.permute(0, 3, 1, 2)
    for _ in range(LAYERS):
        (drawn,) = draws.integers(len(operations), 1)
        negative = draws.booleans()
        strengths = rng.normal(magnitude, spread, len(operations)).clip(0, HIGHEST) / HIGHEST
        group = drawn + len(operations) * negative
        order = group.argsort(stable=True)
        there, back = send(torch.stack([order, order.argsort()]), images.device)
        ways = zip(2 * list(operations.values()), [*strengths, *-strengths], strict=True)
        groups = pictures[there].split(torch.bincount(group, minlength=2 * len(operations)).tolist())
        done = [
            operation(each, float(strength))
            for (operation, strength), each in zip(ways, groups, strict=True)
            if len(each)
        ]
        pictures = torch.cat(done)[back]
    return pictures.permute(0, 2, 3, 1)


def _move(images: Tensor, rows: list[list[float]]) -> Tensor:
    """Fetch each pixel from the nearest place that a (2, 3) matrix gives for (x, y, 1), counted from the middle."""
    height, width = images.shape[2:]
    matrix = torch.tensor(rows) / torch.tensor([[0.5 * width], [0.5 * height]])
    down, across = (torch.arange(side, device=images.device) - (side - 1) / 2 for side in (height, width))
    places = torch.stack(
        [across.expand(height, width), down[:, None].expand(height, width), across.new_ones(height, width)], 2
    )
    sources = (places.view(height * width, 3) @ send(matrix, images.device).mT).view(1, height, width, 2)
    moved = F.grid_sample(
        images.float(), sources.expand(len(images), -1, -1, -1), mode="nearest", align_corners=False
    )
    return moved.to(torch.uint8)


def _shear(images: Tensor, right: float, down: float) -> Tensor:
    """About the upper left corner."""
    height, width = images.shape[2:]
    right, down = 0.3 * right, 0.3 * down
    return _move(images, [[1, right, right * height / 2], [down, 1, down * width / 2]])


def _translate(images: Tensor, right: float, down: float) -> Tensor:
    height, width = images.shape[2:]
    across, along = (int(150 / 331 * side * share) for side, share in ((width, right), (height, down)))
    return _move(images, [[1, 0, -across], [0, 1, -along]])


def _rotate(images: Tensor, degrees: float) -> Tensor:
    """Counterclockwise."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _move(images, [[cosine, -sine, 0], [sine, cosine, 0]])


def _sharpen(images: Tensor, factor: float) -> Tensor:
    """Away from, or below 1 towards, the mean of each pixel's neighbourhood, where it weighs 5 and they 1 each."""
    if min(images.shape[2:]) < 3:
        return images
    pixels = images.float()
    inner = pixels[:, :, 1:-1, 1:-1]
    smooth = ((9 * F.avg_pool2d(pixels, 3, 1) + 4 * inner) / 13).round_()
    inner.add_(smooth.sub_(inner), alpha=1 - factor)
    return pixels.clamp_(0, 255).to(torch.uint8)


def _stretch_contrast(images: Tensor) -> Tensor:
    """Each channel's darkest pixel to 0 and its brightest to 255; one of a single value stays."""
    pixels = images.float()
    low, high = pixels.amin((2, 3), keepdim=True), pixels.amax((2, 3), keepdim=True)
    flat = low == high
    scale = ((high - low) * (1 / 255)).masked_fill_(flat, 1)
    return ((pixels - low.masked_fill_(flat, 0)) / scale).clamp_(0, 255).to(torch.uint8)


OPERATIONS: dict[str, Operation] = {
    "identity": lambda images, _: images,
    "shear_x": lambda images, strength: _shear(images, strength, 0),
    "shear_y": lambda images, strength: _shear(images, 0, strength),
    "translate_x": lambda images, strength: _translate(images, strength, 0),
    "translate_y": lambda images, strength: _translate(images, 0, strength),
    "rotate": lambda images, strength: _rotate(images, 30 * strength),
    "brightness": lambda images, strength: vision.adjust_brightness(images, 1 + 0.9 * strength),
    "color": lambda images, strength: vision.adjust_saturation(images, 1 + 0.9 * strength),
    "contrast": lambda images, strength: vision.adjust_contrast(images, 1 + 0.9 * strength),
    "sharpness": lambda images, strength: _sharpen(images, 1 + 0.9 * strength),
    "posterize": lambda images, strength: vision.posterize(images, 8 - round(4 * abs(strength))),
    "solarize": lambda images, strength: vision.solarize(images, 255 * (1 - abs(strength))),
    "autocontrast": lambda images, _: _stretch_contrast(images),
    "equalize": lambda images, _: vision.equalize(images),
}

_MOVING = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
MOVES: dict[str, Operation] = {
    name: operation if name in _MOVING else OPERATIONS["identity"] for name, operation in OPERATIONS.items()
}
"""What OPERATIONS do to the places of pixels: for masks, which keep their values."""
