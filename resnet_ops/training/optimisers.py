"""The optimisers by name, and LAMB, the one for large batches."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from resnet_ops.families.build import Network
from resnet_ops.training.parts import rate_groups
from resnet_ops.training.recipe import Recipe

__all__ = ["EPSILON", "Lamb", "build_optimiser"]

EPSILON = 1e-6


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


class Lamb(torch.optim.Optimizer):
    """Layer-wise adaptive moments (You et al. 2019, arXiv:1904.00962, algorithm 2).

    Adam's step and the decay of each tensor together are made as long as the tensor itself, and then scaled by the
    rate. As in the authors' code, tensors of a group without decay (biases, normalisation) take Adam's plain step.
    """

    def __init__(self, groups: ParamsT, lr: float, betas: tuple[float, float]) -> None:
        """groups: each with its `weight_decay`. betas: decays of the first and the second moment."""
        super().__init__(groups, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Go down the gradients. closure: not used."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    way = self._adam(weight, *group["betas"])
                    if group["weight_decay"]:
                        way.add_(weight, alpha=group["weight_decay"])
                        way.mul_(_trust(weight.norm(), way.norm()))
                    weight.sub_(way, alpha=group["lr"])

    def _adam(self, weight: Tensor, first: float, second: float) -> Tensor:
        """The step that Adam would take at rate 1, without the bias of the moments' start at 0."""
        state = self.state[weight]
        if not state:
            state.update(step=0, mean=torch.zeros_like(weight), square=torch.zeros_like(weight))
        state["step"] += 1
        state["mean"].lerp_(weight.grad, 1 - first)
        state["square"].mul_(second).addcmul_(weight.grad, weight.grad, value=1 - second)
        spread = (state["square"] / (1 - second ** state["step"])).sqrt_().add_(EPSILON)
        mean: Tensor = state["mean"] / (1 - first ** state["step"])
        return mean.div_(spread)


def _trust(weight: Tensor, way: Tensor) -> Tensor:
    """Of two lengths, what brings the second to the first; 1 where one is 0."""
    return torch.where((weight > 0) & (way > 0), weight / way, 1.0)
