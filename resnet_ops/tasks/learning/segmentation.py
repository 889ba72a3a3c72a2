"""How segmentation is learned: masks that move with their images, and a loss for each pixel."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.model import ImageClassifier
from resnet_ops.tasks.task import IGNORED, PADDED, Segmentation
from resnet_ops.training.augmentation.augment import random_crop_flip, resized_crop
from resnet_ops.training.augmentation.draws import Draws, send
from resnet_ops.training.augmentation.mixing import erase, mix
from resnet_ops.training.augmentation.randaugment import MOVES, rand_augment
from resnet_ops.training.batches import augment_batch
from resnet_ops.training.distributed.share import Share
from resnet_ops.training.plan import Plan
from resnet_ops.training.rare_classes.loss import class_weights
from resnet_ops.training.recipe import Recipe

__all__ = ["Masks", "PixelLoss", "SegmentationLearning", "image_scores", "move_masks", "soft_dice"]

AUXILIARY = 0.5
"""Weight of the auxiliary head's loss, as in torchvision's reference training."""
BESIDE = 0.1
"""Weight of a pixel beside an image: it is easily told, and is not to outvote finds at the image's edge."""


@dataclass(frozen=True)
class Masks:
    """(N, H, W) int64 classes of pixels, IGNORED where nothing is asked, PADDED beside the images."""

    pixels: Tensor
    shown: ClassVar[tuple[()]] = ()
    """What a network gets beside the images: nothing."""

    @property
    def asked(self) -> Tensor:
        """The masks, IGNORED beside the images."""
        return torch.where(self.pixels == PADDED, IGNORED, self.pixels)

    @property
    def beside(self) -> Tensor:
        """Likewise: background beside the images, IGNORED in them."""
        return torch.where(self.pixels == PADDED, 0, IGNORED)

    def of(self, places: slice | Tensor) -> "Masks":
        return Masks(self.pixels[places])

    def hits(self, outputs: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        logits = outputs[0] if isinstance(outputs, tuple) else outputs
        return image_scores(logits.argmax(1), self.asked, logits.shape[1]).sum()


def image_scores(predicted: Tensor, masks: Tensor, classes: int) -> Tensor:
    """(N,) the score of each image: IoU, averaged over the classes that are in its mask or in the answer.

    predicted, masks: (N, H, W). Pixels that are IGNORED do not count; an image without others has 1.
    """
    counted = masks != IGNORED
    image = torch.arange(len(masks), device=masks.device)[:, None, None]
    cells = ((image * classes + masks) * classes + predicted)[counted]
    confusion = torch.bincount(cells, minlength=len(masks) * classes**2).view(-1, classes, classes)
    both = confusion.diagonal(dim1=1, dim2=2)
    either = confusion.sum(1) + confusion.sum(2) - both
    there = either > 0
    return (both / either.clamp(min=1)).sum(1) / there.sum(1).clamp(min=1) + (~there).all(1)


@dataclass(frozen=True)
class PixelLoss:
    """Cross-entropy over the pixels, divided by all pixels of the batch, ignored ones too; and Dice, if asked for.

    So an image counts the same in whichever batch, part of a batch or worker's share it is.
    """

    label_smoothing: float
    weights: Tensor | None = None
    """(K,) float32 on the device, by which pixels of each class are weighed."""
    dice: bool = False
    """Whether one minus the soft Dice is added."""
    padded: bool = False
    """Whether pixels are PADDED, where background is learned by cross-entropy with weight BESIDE."""

    def of(self, targets: Masks, outputs: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """A scalar in nats, for (N, K, H, W) logits, or those of the head and of the auxiliary one."""
        if isinstance(outputs, tuple):
            return self._of(outputs[0], targets) + AUXILIARY * self._of(outputs[1], targets)
        return self._of(outputs, targets)

    def _of(self, logits: Tensor, targets: Masks) -> Tensor:
        masks = targets.asked
        losses = pixel_losses(logits, masks, self.label_smoothing, self.weights)
        if self.padded:
            losses = losses + BESIDE * pixel_losses(logits, targets.beside)
        loss = losses / masks.numel()
        return loss + 1 - soft_dice(logits, masks).mean() if self.dice else loss


def soft_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """(N,) the Dice of each image, averaged over classes, of probabilities (Milletari et al. 2016).

    logits: (N, K, H, W). masks: (N, H, W). Pixels that are IGNORED do not count. One pixel is added to what is right
    and to all, so that a class which is neither in the mask nor in the answer has 1.
    """
    answer = logits.float().softmax(1) * (masks != IGNORED)[:, None]
    truth = masks[:, None] == torch.arange(logits.shape[1], device=masks.device)[:, None, None]
    both, either = (answer * truth).sum((2, 3)), (answer + truth).sum((2, 3))
    return ((2 * both + 1) / (either + 1)).mean(1)


def pixel_losses(
    logits: Tensor, masks: Tensor, label_smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """The sum over pixels. Flat, because torch has no deterministic loss of maps on a GPU."""
    rows = logits.float().permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    return F.cross_entropy(
        rows,
        masks.reshape(-1),
        weights,
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )


def move_masks(masks: Tensor, recipe: Recipe, generator: torch.Generator, share: Share) -> Tensor:
    """(N, H, W) int64 of the share's own images: masks as `augment_batch` moves their images with this generator.

    masks: (N, H, W) uint8 at the share's places. What comes from outside of an image, or is erased, is IGNORED.
    """
    draws = Draws(generator, share.size, share.places)
    moved = (masks + 1)[..., None]  # so that IGNORED becomes 0, which is what the images are filled with
    moved = resized_crop(moved, recipe.crop_area, recipe.image_size, draws, nearest=True)
    moved = rand_augment(moved, recipe.rand_augment, recipe.rand_augment_spread, draws, MOVES)
    planes = random_crop_flip(moved.permute(0, 3, 1, 2).float(), recipe.crop_padding, recipe.flip, draws)
    planes = erase(planes, recipe.erasing, draws)
    planes, _ = mix(planes, masks.new_zeros(len(masks)), 0, recipe.cutmix, draws)
    own = share.own if isinstance(share.own, slice) else send(share.own, masks.device)
    pixels = planes[own][:, 0].long() - 1
    return torch.where(pixels < 0, IGNORED, pixels)


class SegmentationLearning:
    """See `resnet_ops.tasks.learning.learning.Learning`. Targets are masks, the score that of `image_scores`."""

    at_once = 64

    def __init__(self, settings: Segmentation) -> None:
        self.settings = settings

    def check(self, plan: Plan, train: PreparedData, validation: PreparedData) -> None:
        _check_recipe(plan, self.settings, len(train))
        missing = [
            name for name, count in zip(train.classes, _pixels(train).tolist(), strict=True) if not count
        ]
        if missing:
            raise DataError(
                f"No training image has a pixel of class {', '.join(missing)}. Add images or raise data.split.train."
            )

    def augment(
        self,
        classifier: ImageClassifier,
        images: Tensor,
        targets: Tensor,
        recipe: Recipe,
        generator: torch.Generator,
        share: Share,
    ) -> tuple[Tensor, Masks]:
        again = torch.Generator()
        again.set_state(generator.get_state())
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        inputs, _ = augment_batch(classifier, images, labels, recipe, generator, share)
        return inputs, Masks(move_masks(targets, recipe, again, share))

    def loss(self, recipe: Recipe, train: PreparedData, device: torch.device) -> PixelLoss:
        weights = None
        if recipe.imbalance is not None:
            weights = class_weights(torch.from_numpy(_pixels(train)), recipe.imbalance.weights)
        weights = None if weights is None else weights.float().to(device)
        return PixelLoss(recipe.label_smoothing, weights, recipe.loss == "dice", train.padded)

    def shown(self, targets: Tensor) -> tuple[()]:
        return ()

    def sums(self, outputs: Tensor, targets: Tensor) -> Tensor:
        masks = targets.long()
        loss = pixel_losses(outputs, masks) / masks[0].numel()
        scores = image_scores(outputs.argmax(1), masks, outputs.shape[1])
        return torch.stack([loss.double(), scores.double().sum()])


def _pixels(data: PreparedData) -> np.ndarray:
    """(K,) how many pixels are of each class."""
    found = np.zeros(IGNORED + 1, np.int64)
    for start in range(0, len(data), 64):  # they may not fit into memory
        found += np.bincount(np.asarray(data.asked[start : start + 64]).ravel(), minlength=IGNORED + 1)
    return found[: len(data.classes)]


def _check_recipe(plan: Plan, settings: Segmentation, images: int) -> None:
    """Raise ConfigError where a recipe asks for what masks cannot follow, or a head cannot take."""
    recipe = plan.recipe
    if recipe.mixup:
        raise ConfigError(
            f"{plan.name}: the recipe's mixup is {recipe.mixup:g}, which gives a pixel two classes. In params.yaml set "
            "it to 0; cutmix moves masks with their images."
        )
    rare = recipe.imbalance
    if rare is not None and (rare.sampling, rare.focal, rare.logit_adjustment) != ("natural", 0, 0):
        raise ConfigError(
            f"{plan.name}: of the recipe's imbalance only weights are for pixels. In params.yaml set its sampling to "
            "natural, and focal and logit_adjustment to 0."
        )
    if recipe.loss == "binary":
        raise ConfigError(
            f"{plan.name}: the recipe's loss is binary, but a pixel is of one class. In params.yaml set it to "
            "cross_entropy or dice."
        )
    size = min(recipe.batch_size, images)
    length = -(-size // recipe.accumulate)
    if settings.head == "deeplabv3" and min(length, (size - 1) % length + 1) < 2:
        raise ConfigError(
            f"{plan.name}: a part of a batch has one image, whose map DeepLabV3 pools to one value a channel, which "
            "cannot be normalised. In params.yaml raise the recipe's batch_size, or lower its accumulate."
        )
