"""Settings of an ImageNet-style member: ResNet, ResNeXt, Wide-ResNet, ResNet-D, SE, BoTNet, depthwise-separable."""

from dataclasses import dataclass
from typing import Literal

from resnet_ops.params import Settings

__all__ = ["Block", "Downsample", "ImageNetMember", "Stem"]

Block = Literal["basic", "bottleneck", "separable"]
Stem = Literal["standard", "deep", "small"]
Downsample = Literal["convolution", "average"]


@dataclass(frozen=True, kw_only=True)
class ImageNetMember(Settings):
    """In `params.yaml` under `members`, with `family: imagenet`: four stages (He et al. 2015, table 1)."""

    family: Literal["imagenet"]
    """Which settings these are."""
    block: Block
    """`basic` is two 3x3 convolutions, `bottleneck` 1x1, 3x3, 1x1 with the stride on the 3x3 (torchvision's), and
    `separable` is basic with each 3x3 split into a depthwise 3x3 and a 1x1 (Howard et al. 2017)."""
    layers: tuple[int, int, int, int]
    """Blocks in each stage: 2, 2, 2, 2 for ResNet-18; 3, 4, 6, 3 for 34 (basic) and 50 (bottleneck)."""
    width: int
    """Channels of the first stage, doubled by each other; the papers have 64."""
    groups: int
    """Of the 3x3 in a bottleneck; 1, or 32 for ResNeXt (Xie et al. 2016)."""
    width_per_group: int
    """Channels of each group in the first stage where width is 64: 64, 4 for ResNeXt 32x4d, 128 for Wide-ResNet."""
    stem: Stem
    """`standard` is 7x7 with stride 2 and a pooling; `deep` has three 3x3 instead (He et al. 2018, ResNet-C);
    `small` is one 3x3 that keeps the resolution, for images up to about 64 pixels."""
    downsample: Downsample
    """How a shortcut halves the resolution: a strided `convolution`, or an `average` before it (ResNet-D)."""
    squeeze: int
    """Reduction of squeeze-and-excitation (Hu et al. 2017), 16 in the paper; 0 for none."""
    attention: int
    """Side in pixels of the map that enters the last stage where self-attention takes the place of its 3x3
    convolutions (Srinivas et al. 2021, BoTNet), 14 for images of 224; 0 for none."""
    zero_init: bool
    """Start the last normalisation of each block at 0, so that a block starts as its shortcut (Goyal et al. 2017)."""
    checkpointing: bool
    """Keep only the input of each block while training and compute the rest again: less memory, the same bits."""

    def __post_init__(self) -> None:
        if min(self.layers) < 1:
            raise ValueError(f"layers are {list(self.layers)}, but each stage needs at least one block")
        for name in ("width", "groups", "width_per_group"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 1")
        if self.block != "bottleneck" and (self.groups, self.width_per_group) != (1, 64):
            raise ValueError(f"groups must be 1 and width_per_group 64 where block is {self.block}")
        if int(self.width * (self.width_per_group / 64)) < 1:
            raise ValueError(f"width {self.width} leaves nothing of width_per_group {self.width_per_group}")
        if not 0 <= self.squeeze <= self.width:
            raise ValueError(
                f"squeeze is {self.squeeze}, but must be at least 0 and at most width {self.width}"
            )
        if self.attention and (self.block != "bottleneck" or self.groups != 1 or self.attention % 2):
            raise ValueError("attention needs an even side, block bottleneck and groups 1")
        if self.attention < 0 or (self.attention and self.width * self.width_per_group % 32):
            raise ValueError(
                "attention must not be negative, and width times width_per_group a multiple of 32"
            )
