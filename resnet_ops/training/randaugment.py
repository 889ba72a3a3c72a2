"""RandAugment on whole batches: images that drew the same operation pass through torchvision together."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from resnet_ops.training.draws import Draws

__all__ = ["OPERATIONS", "rand_augment"]

LAYERS, HIGHEST = 2, 10
"""Operations on each image, and the magnitude at which an operation is strongest: both the paper's."""


def rand_augment(images: Tensor, magnitude: float, spread: float, draws: Draws) -> Tensor:
    """Pass each image through two operations drawn from the 14 of Cubuk et al. 2019, arXiv:1909.13719.

    images: (N, H, W, C) uint8 with 1 or 3 channels, as is the result; what needs colour leaves grey images as they are.
    magnitude: 0 to 10, 0 for none. spread: standard deviation of the magnitude, drawn anew in each batch for each
    operation.
    """
    if not magnitude:
        return images
    rng = draws.for_the_batch()
    pictures = images.permute(0, 3, 1, 2).clone()
    for _ in range(LAYERS):
        (drawn,) = draws.integers(len(OPERATIONS), 1)
        negative = draws.booleans()
        strengths = rng.normal(magnitude, spread, len(OPERATIONS)).clip(0, HIGHEST) / HIGHEST
        for place, (name, strength) in enumerate(zip(OPERATIONS, strengths, strict=True)):
            for sign in (False, True):
                rows = torch.nonzero((drawn == place) & (negative == sign)).flatten().to(images.device)
                if len(rows):
                    signed = -float(strength) if sign else float(strength)
                    pictures[rows] = OPERATIONS[name](pictures[rows], signed)
    return pictures.permute(0, 2, 3, 1)


Operation = Callable[[Tensor, float], Tensor]
"""From (N, C, H, W) uint8 and a strength of -1 to 1 to the same shape."""

_move = partial(F.affine, angle=0.0, scale=1.0)


def _shear(images: Tensor, right: float, down: float) -> Tensor:
    angles = [math.degrees(math.atan(0.3 * share)) for share in (right, down)]
    return _move(images, translate=[0, 0], shear=angles, center=[0, 0])  # type: ignore[no-any-return]


def _translate(images: Tensor, right: float, down: float) -> Tensor:
    height, width = images.shape[2:]
    way = [int(150 / 331 * side * share) for side, share in ((width, right), (height, down))]
    return _move(images, translate=way, shear=[0.0, 0.0])  # type: ignore[no-any-return]


OPERATIONS: dict[str, Operation] = {
    "identity": lambda images, _: images,
    "shear_x": lambda images, strength: _shear(images, strength, 0),
    "shear_y": lambda images, strength: _shear(images, 0, strength),
    "translate_x": lambda images, strength: _translate(images, strength, 0),
    "translate_y": lambda images, strength: _translate(images, 0, strength),
    "rotate": lambda images, strength: F.rotate(images, 30 * strength),
    "brightness": lambda images, strength: F.adjust_brightness(images, 1 + 0.9 * strength),
    "color": lambda images, strength: F.adjust_saturation(images, 1 + 0.9 * strength),
    "contrast": lambda images, strength: F.adjust_contrast(images, 1 + 0.9 * strength),
    "sharpness": lambda images, strength: F.adjust_sharpness(images, 1 + 0.9 * strength),
    "posterize": lambda images, strength: F.posterize(images, 8 - round(4 * abs(strength))),
    "solarize": lambda images, strength: F.solarize(images, 255 * (1 - abs(strength))),
    "autocontrast": lambda images, _: F.autocontrast(images),
    "equalize": lambda images, _: F.equalize(images),
}
