"""How detection is learned: boxes that move with their images, and the loss that a detector makes of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.model import ImageClassifier
from resnet_ops.tasks.detection.pairing import image_precision
from resnet_ops.tasks.detection.prepared import THINNEST, VISIBLE
from resnet_ops.tasks.heads.detection import Found, Judged
from resnet_ops.tasks.task import Detection
from resnet_ops.training.augmentation.augment import draw_crop, draw_shift
from resnet_ops.training.augmentation.draws import Draws, send
from resnet_ops.training.batches import augment_batch
from resnet_ops.training.distributed.share import Share
from resnet_ops.training.plan import Plan
from resnet_ops.training.recipe import Recipe

__all__ = ["Boxes", "DetectionLearning", "move_boxes"]


@dataclass(frozen=True)
class Boxes:
    """What (N, H, W) images show, in torchvision's form."""

    images: list[Found]

    @property
    def shown(self) -> tuple[list[Found]]:
        return (self.images,)

    def of(self, places: slice | Tensor) -> "Boxes":
        if isinstance(places, slice):
            return Boxes(self.images[places])
        return Boxes([self.images[place] for place in places.tolist()])

    def hits(self, outputs: Tensor) -> Tensor:
        """Not a number: a detector in training gives its loss, and no boxes."""
        return torch.full_like(outputs.detach(), torch.nan)


class DetectorLoss:
    """The detector's own, a mean over the images of its classification and box losses, each with weight 1."""

    def of(self, targets: Boxes, outputs: Tensor) -> Tensor:
        return outputs


def asked_of(targets: Tensor) -> list[Found]:
    """What the images show that counts, of (N, M, 6) targets as prepared data have them."""
    counted = (targets[..., 4] > 0) & (targets[..., 5] == 0)
    return [
        {"boxes": rows[kept, :4], "labels": rows[kept, 4].long()}
        for rows, kept in zip(targets, counted, strict=True)
    ]


def move_boxes(
    targets: Tensor, side: int, recipe: Recipe, generator: torch.Generator, share: Share
) -> Tensor:
    """(N, M, 6): targets as `augment_batch` moves their images of `side` pixels with this generator.

    An object of which less than VISIBLE is left in the image, or a side below THINNEST, is not asked for any more.
    """
    draws = Draws(generator, share.size, share.places)
    boxes = targets[..., :4].reshape(len(targets), -1, 2, 2)  # corners, each across and down
    before = _areas(boxes)
    out = recipe.image_size or side
    if recipe.crop_area:
        top, tall, left, wide = send(draw_crop(recipe.crop_area, side, side, draws), targets.device)
        start, size = torch.stack([left, top], 1), torch.stack([wide, tall], 1)
        scale = out / size[:, None, None]
        boxes = ((boxes - start[:, None, None]) * scale).clamp(0, out)
        before = before * scale.prod(-1)[..., 0]
    else:
        out = side
    if recipe.crop_padding or recipe.flip:
        drawn = send(draw_shift(recipe.crop_padding, recipe.flip, draws), targets.device)
        down, across, mirrored = drawn[:, :, None, None]
        boxes = boxes - torch.stack([across - recipe.crop_padding, down - recipe.crop_padding], -1)
        swapped = torch.stack([out - boxes[..., 0].flip(-1), boxes[..., 1]], -1)
        boxes = torch.where(mirrored[..., None] > 0, swapped, boxes)
    boxes = boxes.clamp(0, out)
    left_of_it = (_areas(boxes) >= VISIBLE * before) & (
        (boxes[:, :, 1] - boxes[:, :, 0]).amin(-1) >= THINNEST
    )
    rest = targets[..., 4:] * torch.stack([left_of_it, torch.ones_like(left_of_it)], -1)
    return torch.cat([boxes.reshape(*targets.shape[:2], 4), rest], -1)


def _areas(boxes: Tensor) -> Tensor:
    """(N, M) of (N, M, 2, 2)."""
    return (boxes[:, :, 1] - boxes[:, :, 0]).prod(-1)


class DetectionLearning:
    """See `resnet_ops.tasks.learning.learning.Learning`. Targets are boxes, the score `image_precision`."""

    at_once = 8

    def __init__(self, settings: Detection) -> None:
        self.settings = settings

    def check(self, plan: Plan, train: PreparedData, validation: PreparedData) -> None:
        _check_recipe(plan)
        counts = np.bincount(_kinds(train), minlength=len(train.classes))
        if missing := [name for name, count in zip(train.classes[1:], counts[1:], strict=True) if not count]:
            raise DataError(
                f"No training image has an object of class {', '.join(missing)}. Add images or raise data.split.train."
            )
        if not len(_kinds(validation)):
            raise DataError(
                f"None of {len(validation)} validation images has an object that counts. Add images or raise "
                "data.split.validation."
            )

    def augment(
        self,
        classifier: ImageClassifier,
        images: Tensor,
        targets: Tensor,
        recipe: Recipe,
        generator: torch.Generator,
        share: Share,
    ) -> tuple[Tensor, Boxes]:
        if not isinstance(share.places, slice):
            raise ConfigError(
                "Boxes are learned by one process. In params.yaml set train.processes to 1, and start without torchrun."
            )
        again = torch.Generator()
        again.set_state(generator.get_state())
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        inputs, _ = augment_batch(classifier, images, labels, recipe, generator, share)
        return inputs, Boxes(asked_of(move_boxes(targets, images.shape[1], recipe, again, share)))

    def loss(self, recipe: Recipe, train: PreparedData, device: torch.device) -> DetectorLoss:
        return DetectorLoss()

    def shown(self, targets: Tensor) -> tuple[Any, ...]:
        return (asked_of(targets),)

    def sums(self, outputs: Judged, targets: Tensor) -> Tensor:
        pairs = zip(outputs.rows.cpu().numpy(), targets.cpu().numpy(), strict=True)
        scores = sum(image_precision(rows, target) for rows, target in pairs)
        return torch.stack([outputs.loss.double() * len(targets), outputs.loss.new_tensor(scores).double()])


def _kinds(data: PreparedData) -> np.ndarray:
    """(M,) the classes of all objects that count."""
    asked = torch.from_numpy(np.array(data.asked))
    return torch.cat([each["labels"] for each in asked_of(asked)]).numpy()


def _check_recipe(plan: Plan) -> None:
    """Raise ConfigError where a plan asks for what boxes cannot follow, or a detector's loss does not have."""
    recipe = plan.recipe
    moving = ("rand_augment", "erasing", "mixup", "cutmix")
    if asked := [name for name in (*moving, "label_smoothing") if getattr(recipe, name)]:
        raise ConfigError(
            f"{plan.name}: the recipe's {', '.join(asked)} must be 0 where objects are in boxes. Crops (crop_padding, "
            "crop_area) and flip move boxes with their images."
        )
    if recipe.imbalance is not None or recipe.loss != "cross_entropy":
        raise ConfigError(
            f"{plan.name}: a detector has its own loss. In params.yaml set the recipe's loss to cross_entropy, and its "
            "imbalance to null."
        )
    if plan.engine.compile:
        raise ConfigError(
            f"{plan.name}: train.compile is {plan.engine.compile}, but each image has another number of boxes, which "
            "cannot be compiled. In params.yaml set it to false."
        )
