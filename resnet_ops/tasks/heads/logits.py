"""What logits say."""

from torch import Tensor

from resnet_ops.predictions import Predictions

__all__ = ["of_logits"]


def of_logits(logits: Tensor, embeddings: Tensor) -> Predictions:
    """Of (N, K, ...) logits the largest is the answer."""
    return Predictions(
        logits=logits.numpy(),
        probabilities=logits.softmax(1).numpy(),
        embeddings=embeddings.numpy(),
        predicted=logits.argmax(1).numpy(),
    )
