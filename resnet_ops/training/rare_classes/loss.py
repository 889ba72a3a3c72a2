"""The loss that is trained on, with what a recipe does for rare classes."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_ops.training.augmentation.mixing import Targets
from resnet_ops.training.rare_classes.imbalance import Weights
from resnet_ops.training.rare_classes.sampler import drawn_shares
from resnet_ops.training.recipe import Loss, Recipe

__all__ = ["TrainingLoss", "class_weights", "loss_of"]


def class_weights(drawn: Tensor, weights: Weights) -> Tensor | None:
    """(K,) float64 by which images of each class are weighed; None for none. Their mean over the images is 1.

    drawn: (K,) how many images of each class an epoch draws, not always whole numbers; n in all.
    `balanced` is n / (K drawn), as scikit-learn's `class_weight="balanced"`. `effective` is inverse to the effective
    number (1 - beta ** drawn) / (1 - beta) of Cui et al. 2019, equation 2, with beta = (m - 1) / m. Their m, how many
    images say all that there is to say about a class, is not known; here it is the average size n / K.
    """
    if weights == "none":
        return None
    number = drawn.double()
    if weights == "effective":
        number = 1 - (1 - len(drawn) / number.sum()) ** number
    return number.reciprocal() * drawn.sum() / (drawn / number).sum()


@dataclass(frozen=True)
class TrainingLoss:
    """Mean over images of each one's loss times the weight of its class.

    The mean is over the number of images, not over the sum of their weights as in `F.cross_entropy(weight=...)`: so an
    image counts the same in whichever batch, part of a batch or worker's share it is.
    """

    kind: Loss
    label_smoothing: float
    focal: float = 0.0
    weights: Tensor | None = None
    """(K,) float32 on the device."""
    adjustment: Tensor | None = None
    """(K,) float32 on the device, added to the logits."""

    def of(self, targets: Targets, logits: Tensor) -> Tensor:
        """A scalar in nats, for (N, K) logits. Each label of a mixed image brings its weight, by its share."""
        logits = logits.float() if logits.dtype == torch.bfloat16 else logits
        if self.adjustment is not None:
            logits = logits + self.adjustment
        if self.weights is None and not self.focal:
            return targets.loss(logits, self.kind, self.label_smoothing)
        if self.kind == "binary":
            return (self._binary(targets, logits) * self._image_weights(targets)).mean()
        loss = (self._cross_entropy(logits, targets.first) * self._weights_of(targets.first)).mean()
        if targets.share == 1:
            return loss
        other = (self._cross_entropy(logits, targets.second) * self._weights_of(targets.second)).mean()
        return targets.share * loss + (1 - targets.share) * other

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N,) losses. Of a smoothed target each class brings its own focal factor, by its share."""
        if not self.focal:
            return F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.label_smoothing)
        logs = F.log_softmax(logits, dim=1)
        terms = -logs * self._factor(-torch.expm1(logs))
        own = F.nll_loss(
            -terms, labels, reduction="none"
        )  # picks; indexing has no deterministic gradient on a GPU
        return (1 - self.label_smoothing) * own + self.label_smoothing * terms.mean(1)

    def _binary(self, targets: Targets, logits: Tensor) -> Tensor:
        """(N,) losses, means over the classes."""
        wanted = targets.wanted(logits.shape[1], self.label_smoothing)
        if not self.focal:
            return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1)
        present = -F.logsigmoid(logits) * self._factor(torch.sigmoid(-logits))
        absent = -F.logsigmoid(-logits) * self._factor(torch.sigmoid(logits))
        return (wanted * present + (1 - wanted) * absent).mean(1)

    def _factor(self, missing: Tensor) -> Tensor:
        """missing: probability that is not on what is wanted. The gradient of a root at 0 would be no number."""
        return missing.clamp(min=torch.finfo(missing.dtype).tiny) ** self.focal

    def _weights_of(self, labels: Tensor) -> Tensor | float:
        return 1.0 if self.weights is None else self.weights[labels]

    def _image_weights(self, targets: Targets) -> Tensor | float:
        first, second = self._weights_of(targets.first), self._weights_of(targets.second)
        return targets.share * first + (1 - targets.share) * second


def loss_of(recipe: Recipe, counts: Tensor, device: torch.device) -> TrainingLoss:
    """The loss of a recipe, its tensors on the device.

    counts: (K,) images of each class in the training split, each above 0 where the recipe has an `imbalance`.
    """
    if recipe.imbalance is None:
        return TrainingLoss(recipe.loss, recipe.label_smoothing)
    shares = drawn_shares(counts, recipe.imbalance.sampling)
    weights = class_weights(shares * counts.sum(), recipe.imbalance.weights)
    tau = recipe.imbalance.logit_adjustment
    return TrainingLoss(
        recipe.loss,
        recipe.label_smoothing,
        recipe.imbalance.focal,
        None if weights is None else weights.float().to(device),
        (tau * shares.log()).float().to(device) if tau else None,
    )
