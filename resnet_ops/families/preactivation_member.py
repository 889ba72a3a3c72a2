"""Settings of a CIFAR-style member with pre-activation, up to more than a thousand layers."""

from dataclasses import dataclass
from typing import Literal

from resnet_ops.params import Settings

__all__ = ["PreActivationMember"]


@dataclass(frozen=True, kw_only=True)
class PreActivationMember(Settings):
    """In `params.yaml` under `members`, with `family: preactivation` (He et al. 2016, "Identity Mappings")."""

    family: Literal["preactivation"]
    """Which settings these are."""
    block: Literal["basic", "bottleneck"]
    """Two 3x3 convolutions, or 1x1, 3x3, 1x1 with four times the width at its end."""
    depth: int
    """Number of weighted layers: 6n+2 of basic blocks (110, 1202), 9n+2 of bottlenecks (164, 1001)."""
    widths: tuple[int, int, int]
    """Channels of the 3x3 convolutions in the three stages; the paper has 16, 32, 64."""
    checkpointing: bool
    """Keep only the input of each block while training and compute the rest again: less memory, the same bits."""

    def __post_init__(self) -> None:
        step = 6 if self.block == "basic" else 9
        if self.depth < step + 2 or (self.depth - 2) % step:
            raise ValueError(f"depth is {self.depth}, but must be {step}n+2 where block is {self.block}")
        if any(width < 1 for width in self.widths) or list(self.widths) != sorted(self.widths):
            raise ValueError(f"widths are {list(self.widths)}, but must be positive and not fall")
