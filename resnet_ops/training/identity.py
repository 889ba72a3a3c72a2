"""Which training this is: everything that its bits depend on, as one digest."""

import hashlib
from dataclasses import asdict

import torch

from resnet_ops.data import PreparedData
from resnet_ops.families.any_member import AnyMember
from resnet_ops.files import canonical_json
from resnet_ops.training.recipe import Recipe

__all__ = ["training_key"]


def training_key(member: AnyMember, recipe: Recipe, data: PreparedData, seed: int) -> str:
    """The sha256 over settings, seed, images, labels, torch's version and the processor's instruction set.

    Trainings with equal keys give equal bits, so that a
    checkpoint of one may be continued by the other.
    """
    images = hashlib.sha256()
    for split in ("train", "validation"):
        part = data.split(split)
        images.update(repr((split, part.images.shape)).encode())
        images.update(part.images.data)
        images.update(part.labels.data)
    where = torch.cuda.get_device_name() if recipe.device == "cuda" and torch.cuda.is_available() else ""
    depends_on = {
        "member": asdict(member),
        "recipe": asdict(recipe),
        "seed": seed,
        "classes": data.classes,
        "images": images.hexdigest(),
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": where,
    }
    return hashlib.sha256(canonical_json(depends_on)).hexdigest()
