"""CIFAR-style residual networks with pre-activation (He et al. 2016, "Identity Mappings in Deep Residual Networks")."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_ops.families.layers import run_blocks
from resnet_ops.families.preactivation_member import PreActivationMember

__all__ = ["PreActivationResNet"]


class PreActivationBlock(nn.Module):
    """Normalisation and ReLU before each convolution; nothing after the sum, so that signals pass unchanged.

    kernels: side and width of each convolution; the stride is on the first 3x3.
    """

    def __init__(self, inputs: int, kernels: list[tuple[int, int]], stride: int) -> None:
        super().__init__()
        self.norms, self.convolutions = nn.ModuleList(), nn.ModuleList()
        channels, left = inputs, stride
        for side, outputs in kernels:
            here, left = (left, 1) if side == 3 else (1, left)
            self.norms.append(nn.BatchNorm2d(channels))
            self.convolutions.append(nn.Conv2d(channels, outputs, side, here, padding=side // 2, bias=False))
            channels = outputs
        same = stride == 1 and inputs == channels
        self.shortcut = None if same else nn.Conv2d(inputs, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norms[0](x))
        kept = x if self.shortcut is None else self.shortcut(out)
        out = self.convolutions[0](out)
        for norm, convolution in zip(self.norms[1:], self.convolutions[1:], strict=True):
            out = convolution(F.relu(norm(out)))
        return out + kept  # type: ignore[no-any-return]


class PreActivationResNet(nn.Module):
    """Three stages. `forward` takes (N, C, H, W) floats and gives (N, classes) logits."""

    PARTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "stem": ("stem",),
        "stage1": ("stages.0",),
        "stage2": ("stages.1",),
        "stage3": ("stages.2", "norm"),
        "head": ("head",),
    }
    """The modules of each part that has a name of its own in settings; together they hold every weight."""

    def __init__(self, member: PreActivationMember, in_channels: int, classes: int) -> None:
        super().__init__()
        self.checkpointing = member.checkpointing
        bottleneck = member.block == "bottleneck"
        blocks = (member.depth - 2) // (9 if bottleneck else 6)
        channels = member.widths[0]
        self.stem = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        stages = []
        for index, width in enumerate(member.widths):
            kernels = [(1, width), (3, width), (1, 4 * width)] if bottleneck else [(3, width), (3, width)]
            parts = []
            for place in range(blocks):
                parts.append(PreActivationBlock(channels, kernels, 2 if index and not place else 1))
                channels = kernels[-1][1]
            stages.append(nn.Sequential(*parts))
        self.stages = nn.ModuleList(stages)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stage_features(self, x: Tensor) -> dict[str, Tensor]:
        """Maps (N, C, H, W) of each part, from `stem` to `stage3`, for detection and segmentation.

        The last is normalised and activated; the others are raw sums, as the next stage takes them.
        """
        x = self.stem(x)
        maps = {"stem": x}
        for number, stage in enumerate(self.stages, 1):
            x = maps[f"stage{number}"] = run_blocks(stage, x, self.checkpointing)  # type: ignore[arg-type]
        maps["stage3"] = F.relu(self.norm(x))
        return maps

    def features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) floats -> (N, F) embeddings: the last stage, averaged over its pixels."""
        return torch.flatten(F.adaptive_avg_pool2d(self.stage_features(x)["stage3"], 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))  # type: ignore[no-any-return]
