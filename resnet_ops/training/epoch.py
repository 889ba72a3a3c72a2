"""What one pass over the training split gave."""

from dataclasses import dataclass

__all__ = ["Epoch"]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one pass over the training split gave. Losses are means in nats, top1 fractions."""

    epoch: int
    """Counted from 1."""
    learning_rate: float
    """At the end of the epoch, as given to the optimiser."""
    train_loss: float
    """As the recipe asks: with its label smoothing, and weights of classes."""
    train_top1: float
    """On augmented images, while the weights moved."""
    validation_loss: float
    """Cross-entropy of the images as they are, whatever the recipe's loss."""
    validation_top1: float
    images_per_second: float
    """Training only; the one value here that a repeat does not reproduce."""
