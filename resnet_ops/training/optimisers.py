"""The optimisers by name."""

import torch

from resnet_ops.families.build import Network
from resnet_ops.training.lamb import Lamb
from resnet_ops.training.parts import rate_groups
from resnet_ops.training.recipe import Recipe

__all__ = ["build_optimiser"]


def build_optimiser(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser for all weights; biases and normalisation are not decayed.

    Each group holds the `factor` by which the learning rate of its weights is multiplied.
    """
    groups = []
    for factor, parameters in rate_groups(network, recipe.start):
        decayed, spared = ([p for p in parameters if (p.ndim > 1) == many] for many in (True, False))
        groups.append({"params": decayed, "weight_decay": recipe.weight_decay, "factor": factor})
        groups.append({"params": spared, "weight_decay": 0.0, "factor": factor})
    fused = next(network.parameters()).is_cuda or None
    betas = (recipe.momentum, recipe.second_moment)
    if recipe.optimiser == "lamb":
        return Lamb(groups, recipe.peak_lr, betas)
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.peak_lr, betas=betas, fused=fused)
    nesterov = recipe.momentum > 0
    return torch.optim.SGD(
        groups, lr=recipe.peak_lr, momentum=recipe.momentum, nesterov=nesterov, fused=fused
    )
