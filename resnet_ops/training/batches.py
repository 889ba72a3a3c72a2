"""A batch of images as the network takes it, augmented as the recipe says."""

import torch
from torch import Tensor

from resnet_ops.model import ImageClassifier
from resnet_ops.training.augmentation.augment import random_crop_flip, resized_crop
from resnet_ops.training.augmentation.draws import Draws, send
from resnet_ops.training.augmentation.mixing import Targets, erase, mix
from resnet_ops.training.augmentation.randaugment import rand_augment
from resnet_ops.training.distributed.share import Share
from resnet_ops.training.recipe import Recipe

__all__ = ["augment_batch"]


def augment_batch(
    classifier: ImageClassifier,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    share: Share,
) -> tuple[Tensor, Targets]:
    """Images (N, H, W, C) as the network takes them, (N, C, H, W) and channels-last, and what they show.

    images, labels: those at the share's places in the batch; the result is of the share's own ones.
    """
    draws = Draws(generator, share.size, share.places)
    images = resized_crop(images, recipe.crop_area, recipe.image_size, draws)
    images = rand_augment(images, recipe.rand_augment, recipe.rand_augment_spread, draws)
    inputs = classifier.normalise(images)
    inputs = random_crop_flip(inputs, recipe.crop_padding, recipe.flip, draws)
    inputs = erase(inputs, recipe.erasing, draws)
    inputs, targets = mix(inputs, labels, recipe.mixup, recipe.cutmix, draws)
    own = share.own if isinstance(share.own, slice) else send(share.own, images.device)
    return inputs[own].contiguous(memory_format=torch.channels_last), targets.of(own)
