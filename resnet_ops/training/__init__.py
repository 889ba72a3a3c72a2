"""Training: recipe, augmentation and the loop."""

from resnet_ops.training.loop import Epoch, fit
from resnet_ops.training.recipe import Recipe

__all__ = ["Epoch", "Recipe", "fit"]
