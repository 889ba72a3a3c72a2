"""What one pass over the training split gave."""

from dataclasses import dataclass

__all__ = ["Epoch"]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one pass over the training split gave. Losses are means in nats, scores fractions, such as top-1."""

    epoch: int
    """Counted from 1."""
    learning_rate: float
    """At the end of the epoch, as given to the optimiser."""
    train_loss: float
    """As the recipe asks: with its label smoothing, and weights of classes."""
    train_score: float
    """On augmented images, while the weights moved; not a number where a network in training does not answer."""
    validation_loss: float
    """Of the images as they are, without what the recipe adds to the loss."""
    validation_score: float
    images_per_second: float
    """Training only; the one value here that a repeat does not reproduce."""
