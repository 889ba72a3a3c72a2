"""CIFAR-style residual networks of depth 6n+2 (He et al. 2015, "Deep Residual Learning", section 4.2).

Three stages of n basic blocks each; the first keeps the resolution, the other two halve it. The embedding is
the global average of the last stage.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_ops.families.member import Member, Shortcut

__all__ = ["ResNet", "build_member"]


class ZeroPadShortcut(nn.Module):
    """Option A: take every `stride`-th pixel and pad the new channels with zeros."""

    def __init__(self, added_channels: int, stride: int) -> None:
        super().__init__()
        self.added_channels = added_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        front = self.added_channels // 2
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, front, self.added_channels - front))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, normalised after each convolution."""

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module
        if stride == 1 and in_channels == channels:
            self.shortcut = nn.Identity()
        elif shortcut == "identity":
            self.shortcut = ZeroPadShortcut(channels - in_channels, stride)
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class ResNet(nn.Module):
    """A CIFAR-style residual network.

    `forward` takes (N, C, H, W) floats and gives (N, classes) logits; `features` gives the (N, F) embeddings
    that `head` turns into logits.
    """

    PARTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "stem": ("stem",),
        "stage1": ("stages.0",),
        "stage2": ("stages.1",),
        "stage3": ("stages.2",),
        "head": ("head",),
    }
    """The modules of each part that has a name of its own in settings; together they hold every weight."""

    def __init__(self, member: Member, in_channels: int, classes: int) -> None:
        super().__init__()
        blocks = (member.depth - 2) // 6
        width = member.widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(
                in_channels,
                width,
                member.stem_kernel,
                member.stem_stride,
                padding=member.stem_kernel // 2,
                bias=False,
            ),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        stages = []
        for index, channels in enumerate(member.widths):
            first = BasicBlock(width, channels, 1 if index == 0 else 2, member.shortcut)
            rest = [BasicBlock(channels, channels, 1, member.shortcut) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
            width = channels
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stage_features(self, x: Tensor) -> dict[str, Tensor]:
        """Maps (N, C, H, W) of each part, from `stem` to `stage3`, for detection and segmentation."""
        maps = {"stem": self.stem(x)}
        x = maps["stem"]
        for number, stage in enumerate(self.stages, 1):
            x = maps[f"stage{number}"] = stage(x)
        return maps

    def features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) floats -> (N, F) embeddings: the last stage, averaged over its pixels."""
        return torch.flatten(F.adaptive_avg_pool2d(self.stages(self.stem(x)), 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))  # type: ignore[no-any-return]


def build_member(member: Member, in_channels: int, classes: int) -> ResNet:
    """A network with fresh weights, drawn from torch's global random state."""
    return ResNet(member, in_channels, classes)
