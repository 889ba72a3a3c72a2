"""The architecture of a family member, as it is configured."""

from dataclasses import dataclass
from typing import Literal

from resnet_ops.params import Settings

__all__ = ["Member", "Shortcut"]

Shortcut = Literal["identity", "projection"]


@dataclass(frozen=True, kw_only=True)
class Member(Settings):
    """The architecture of one family member, as configured in `params.yaml` under `members`."""

    depth: int
    """Number of weighted layers, 6n+2: 8, 14, 20, 32, 44, 56, 110."""
    widths: tuple[int, int, int]
    """Channels of the three stages; the paper has 16, 32, 64."""
    stem_kernel: int
    """Side of the first convolution's kernel in pixels, odd; the paper has 3."""
    stem_stride: int
    """Stride of the first convolution; 1 keeps the resolution, 2 suits images larger than about 64 pixels."""
    shortcut: Shortcut
    """What joins stages of different width: `identity` pads with zeros (the paper's option A, no parameters),
    `projection` is a 1x1 convolution (option B)."""

    def __post_init__(self) -> None:
        if self.depth < 8 or (self.depth - 2) % 6:
            raise ValueError(f"depth is {self.depth}, but must be 6n+2: 8, 14, 20, 26, 32, ...")
        if any(width < 1 for width in self.widths) or list(self.widths) != sorted(self.widths):
            raise ValueError(f"widths are {list(self.widths)}, but must be positive and not fall")
        if self.stem_kernel < 1 or self.stem_kernel % 2 == 0:
            raise ValueError(f"stem_kernel is {self.stem_kernel}, but must be odd: 3, 5 or 7")
        if self.stem_stride not in (1, 2, 4):
            raise ValueError(f"stem_stride is {self.stem_stride}, but must be 1, 2 or 4")
