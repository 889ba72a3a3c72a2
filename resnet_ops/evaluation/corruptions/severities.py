"""How strong each severity is: the published settings for CIFAR-C (32 pixels) and ImageNet-C (224 pixels).

From the code that made these data sets (github.com/hendrycks/robustness, make_cifar_c.py and make_imagenet_c.py).
Lengths are in pixels of such images, those of `elastic_transform` in sides of the image.
"""

import math
from dataclasses import dataclass

__all__ = ["Setting", "setting"]

Values = tuple[float, ...]

SMALL, LARGE = 32, 224

CIFAR_C: dict[str, tuple[Values, ...]] = {
    "gaussian_noise": ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,)),
    "shot_noise": ((500,), (250,), (100,), (75,), (50,)),
    "impulse_noise": ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    "zoom_blur": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    "snow": (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)),
    "contrast": ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),
    "elastic_transform": ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    "pixelate": ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)),
    "jpeg_compression": ((80,), (65,), (58,), (50,), (40,)),
}  # fmt: skip

ELASTIC = 244 / 224
"""ImageNet-C takes 244 for the side of its images of 224."""

IMAGENET_C: dict[str, tuple[Values, ...]] = {
    "gaussian_noise": ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),
    "shot_noise": ((60,), (25,), (12,), (5,), (3,)),
    "impulse_noise": ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),
    "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    "zoom_blur": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    "snow": (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    "frost": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    "brightness": ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),
    "contrast": ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
    "elastic_transform": (
        (2 * ELASTIC, 0.7 * ELASTIC, 0.1 * ELASTIC),
        (2 * ELASTIC, 0.08 * ELASTIC, 0.2 * ELASTIC),
        (0.05 * ELASTIC, 0.01 * ELASTIC, 0.02 * ELASTIC),
        (0.07 * ELASTIC, 0.01 * ELASTIC, 0.02 * ELASTIC),
        (0.12 * ELASTIC, 0.01 * ELASTIC, 0.02 * ELASTIC),
    ),
    "pixelate": ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),
    "jpeg_compression": ((25,), (18,), (15,), (10,), (7,)),
}


@dataclass(frozen=True)
class Setting:
    """One severity for images of one size: the published values, and what lengths among them are multiplied by."""

    values: Values
    scale: float
    white: int = 255
    """The brightest level of the images."""


def setting(name: str, severity: int, side: int) -> Setting:
    """The setting of a corruption at severity 1 to 5 for images of `side` pixels.

    Of the two published sizes the nearer one's (by ratio: 85 pixels lie between). Lengths grow and shrink with the
    image, but are never below those for 32 pixels: a blur of a quarter of a pixel is none.
    """
    if side < math.sqrt(SMALL * LARGE):
        return Setting(CIFAR_C[name][severity - 1], max(1.0, side / SMALL))
    return Setting(IMAGENET_C[name][severity - 1], side / LARGE)
