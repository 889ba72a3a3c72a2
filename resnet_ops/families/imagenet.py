"""ImageNet-style residual networks with torchvision's parameter names, so that its weights fit.

ResNet (He et al. 2015), ResNeXt (Xie et al. 2016), Wide-ResNet (Zagoruyko & Komodakis 2016), ResNet-D (He et al. 2018),
squeeze-and-excitation (Hu et al. 2017), BoTNet (Srinivas et al. 2021), depthwise-separable (Howard et al. 2017).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.layers import SelfAttention, SqueezeExcitation, run_blocks

__all__ = ["ImageNetResNet"]


class PlainBlock(nn.Module):
    """Two 3x3 convolutions, each whole or depthwise-separable, and a shortcut."""

    def __init__(self, member: ImageNetMember, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _spatial(member, inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _spatial(member, outputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.se = SqueezeExcitation(outputs, member.squeeze) if member.squeeze else nn.Identity()
        self.downsample = _shortcut(member, inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.se(self.bn2(self.conv2(out)))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 (whole, grouped, or self-attention), 1x1 and a shortcut; the stride is on the 3x3."""

    def __init__(
        self, member: ImageNetMember, inputs: int, outputs: int, stride: int, attention_side: int
    ) -> None:
        super().__init__()
        inner = int(outputs // 4 * (member.width_per_group / 64)) * member.groups
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2: nn.Module
        if attention_side:
            attention = SelfAttention(inner, attention_side)
            self.conv2 = (
                nn.Sequential(attention, nn.AvgPool2d(2, ceil_mode=True)) if stride == 2 else attention
            )
        else:
            self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=member.groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.se = SqueezeExcitation(outputs, member.squeeze) if member.squeeze else nn.Identity()
        self.downsample = _shortcut(member, inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.se(self.bn3(self.conv3(out)))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ImageNetResNet(nn.Module):
    """Four stages after a stem. `forward` takes (N, C, H, W) floats and gives (N, classes) logits."""

    PARTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "stem": ("conv1", "bn1"),
        "stage1": ("layer1",),
        "stage2": ("layer2",),
        "stage3": ("layer3",),
        "stage4": ("layer4",),
        "head": ("fc",),
    }
    """The modules of each part that has a name of its own in settings; together they hold every weight."""

    def __init__(self, member: ImageNetMember, in_channels: int, classes: int) -> None:
        super().__init__()
        self.checkpointing = member.checkpointing
        width = member.width
        self.conv1 = _stem(member, in_channels)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if member.stem == "small" else nn.MaxPool2d(3, 2, padding=1)
        expansion = 4 if member.block == "bottleneck" else 1
        channels = width
        for stage, count in enumerate(member.layers):
            outputs = width * 2**stage * expansion
            blocks = []
            for place in range(count):
                stride = 2 if stage > 0 and place == 0 else 1
                attention = 0 if stage < 3 else member.attention // (1 if place == 0 else 2)
                blocks.append(_block(member, channels, outputs, stride, attention))
                channels = outputs
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, classes)
        self._initialise(member.zero_init)

    def _initialise(self, zero_init: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules() if zero_init else ():
            if isinstance(module, PlainBlock):
                nn.init.zeros_(module.bn2.weight)
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    @property
    def head(self) -> nn.Linear:
        """What turns embeddings into logits."""
        return self.fc

    def stage_features(self, x: Tensor) -> dict[str, Tensor]:
        """Maps (N, C, H, W) of each part, from `stem` to `stage4`, for detection and segmentation."""
        maps = {"stem": self.relu(self.bn1(self.conv1(x)))}
        x = self.maxpool(maps["stem"])
        for stage in range(1, 5):
            x = maps[f"stage{stage}"] = run_blocks(self.get_submodule(f"layer{stage}"), x, self.checkpointing)  # type: ignore[arg-type]
        return maps

    def features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) floats -> (N, F) embeddings: the last stage, averaged over its pixels."""
        return torch.flatten(F.adaptive_avg_pool2d(self.stage_features(x)["stage4"], 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))  # type: ignore[no-any-return]


def _block(member: ImageNetMember, inputs: int, outputs: int, stride: int, attention: int) -> nn.Module:
    if member.block == "bottleneck":
        return Bottleneck(member, inputs, outputs, stride, attention)
    return PlainBlock(member, inputs, outputs, stride)


def _stem(member: ImageNetMember, inputs: int) -> nn.Module:
    width = member.width
    if member.stem == "standard":
        return nn.Conv2d(inputs, width, 7, 2, padding=3, bias=False)
    if member.stem == "small":
        return nn.Conv2d(inputs, width, 3, padding=1, bias=False)
    half = max(1, width // 2)
    parts: list[nn.Module] = []
    for channels, stride in ((inputs, 2), (half, 1)):
        parts += [
            nn.Conv2d(channels, half, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(),
        ]
    return nn.Sequential(*parts, nn.Conv2d(half, width, 3, padding=1, bias=False))


def _spatial(member: ImageNetMember, inputs: int, outputs: int, stride: int) -> nn.Module:
    if member.block != "separable":
        return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
    )


def _shortcut(member: ImageNetMember, inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    if member.downsample == "convolution" or stride == 1:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return nn.Sequential(
        nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    )
