"""The learning rate over a training."""

import math

from resnet_ops.training.recipe import Recipe

__all__ = ["learning_rate"]


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of one step (counted from 0) of `steps`."""
    peak = recipe.peak_lr * recipe.batch_size / 256
    rise = max(1, round(recipe.warmup * steps))
    if step < rise:
        return peak * (step + 1) / rise
    if recipe.schedule == "step":
        return peak * recipe.drop ** sum(step >= share * steps for share in recipe.milestones)
    left = (steps - step) / (steps - rise + 1)
    return peak * left if recipe.schedule == "one_cycle" else peak * (1 - math.cos(math.pi * left)) / 2
