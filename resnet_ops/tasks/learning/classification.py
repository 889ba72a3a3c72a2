"""How classification is learned: labels that follow mixed images, and a loss for rare classes."""

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError
from resnet_ops.model import ImageClassifier
from resnet_ops.tasks.task import tiles_of
from resnet_ops.training.augmentation.mixing import Targets
from resnet_ops.training.batches import augment_batch
from resnet_ops.training.checks import check_classes, check_range
from resnet_ops.training.distributed.share import Share
from resnet_ops.training.plan import Plan
from resnet_ops.training.rare_classes.loss import TrainingLoss, loss_of
from resnet_ops.training.recipe import Recipe

__all__ = ["ClassificationLearning"]


class ClassificationLearning:
    """See `resnet_ops.tasks.learning.learning.Learning`. Targets are (N,) labels; score: right or not."""

    at_once = 1024

    def check(self, plan: Plan, train: PreparedData, validation: PreparedData) -> None:
        if plan.recipe.loss == "dice":
            raise ConfigError(
                f"{plan.name}: the recipe's loss is dice, which is of masks. In params.yaml set it to cross_entropy."
            )
        tiles = tiles_of(train.task)
        if plan.recipe.loss == "binary" and tiles is not None and tiles.pool == "mean":
            raise ConfigError(
                f"{plan.name}: the recipe's loss is binary, which judges each class alone, but data.tiles.pool is "
                "mean, of probabilities that sum to 1. In params.yaml set loss to cross_entropy, or pool to max."
            )
        for part in (train, validation):
            check_range(part)
        check_classes(train)

    def augment(
        self,
        classifier: ImageClassifier,
        images: Tensor,
        targets: Tensor,
        recipe: Recipe,
        generator: torch.Generator,
        share: Share,
    ) -> tuple[Tensor, Targets]:
        return augment_batch(classifier, images, targets, recipe, generator, share)

    def loss(self, recipe: Recipe, train: PreparedData, device: torch.device) -> TrainingLoss:
        counts = torch.from_numpy(train.labels).bincount(minlength=len(train.classes))
        return loss_of(recipe, counts, device)

    def shown(self, targets: Tensor) -> tuple[()]:
        return ()

    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        loss = F.cross_entropy(outputs.float(), targets, reduction="sum")
        hits = (outputs.float().argmax(1) == targets).sum()
        return torch.stack([loss.double(), hits.double()])
