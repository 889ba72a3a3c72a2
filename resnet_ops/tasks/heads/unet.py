"""A U-Net's way back up (Ronneberger et al. 2015): from a member's last map through all that it made before."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["UNetDecoder"]


class _Step(nn.Sequential):
    """Two 3x3 convolutions, each normalised."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        for channels in (inputs, outputs):
            self.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=False))
            self.append(nn.BatchNorm2d(outputs))
            self.append(nn.ReLU(inplace=True))


class UNetDecoder(nn.Module):
    """Each step enlarges the map to that of the stage before, puts the two together and convolves them twice.

    channels: of a member's maps by name, from `stem` to the last stage. A step is as wide as the stem where it joins
    that or the first stage, and twice as wide from stage to stage. `forward` takes these maps, and gives (N, K, H, W)
    logits at the stem's size.
    """

    def __init__(self, channels: Mapping[str, int], classes: int) -> None:
        super().__init__()
        stem, *stages, below = channels.values()
        steps = []
        for place, skipped in reversed(list(enumerate([stem, *stages]))):
            width = stem * 2 ** max(0, place - 1)
            steps.append(_Step(below + skipped, width))
            below = width
        self.steps = nn.ModuleList(steps)
        self.logits = nn.Conv2d(below, classes, 1)

    def forward(self, maps: Mapping[str, Tensor]) -> Tensor:
        *skipped, x = maps.values()
        for step, beside in zip(self.steps, reversed(skipped), strict=True):
            x = F.interpolate(x, size=beside.shape[-2:], mode="bilinear", align_corners=False)
            x = step(torch.cat([x, beside], dim=1))
        logits: Tensor = self.logits(x)
        return logits
