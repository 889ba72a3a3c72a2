"""A network whose weights are the moving average of another's."""

import copy

import torch
from torch import nn

from resnet_ops.families.build import Network

__all__ = ["WeightAverage"]


class WeightAverage:
    """The exponential moving average of a network's weights and normalisation statistics (Polyak & Juditsky 1992)."""

    def __init__(self, network: Network, decay: float) -> None:
        """decay: of the average at each step, a fraction."""
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the weights after a step in; counters are copied."""
        theirs = network.state_dict()
        for name, mine in self.network.state_dict().items():
            if mine.is_floating_point():
                mine.lerp_(theirs[name], 1 - self.decay)
            else:
                mine.copy_(theirs[name])
