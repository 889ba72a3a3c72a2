"""Which training this is: everything that its bits depend on, as one digest."""

import hashlib
from dataclasses import asdict

import numpy as np
import torch

from resnet_ops.data import ManifestRow, PreparedData
from resnet_ops.data.digests import pixel_digests
from resnet_ops.data.padding import with_padding
from resnet_ops.data.votes import with_votes
from resnet_ops.errors import DataError
from resnet_ops.files import canonical_json
from resnet_ops.training.plan import Plan

__all__ = ["training_key"]

LEFT_OUT = ("images", "processes")
"""Settings of the engine that may differ when a checkpoint is continued."""
SHOWN = 5
"""Changed images that are named."""


def training_key(plan: Plan, data: PreparedData) -> str:
    """The sha256 over settings, seed, images, labels, torch's version and the processor's instruction set.

    Trainings with equal keys give equal bits, so that a checkpoint of one may be continued by the other; with another
    number of workers, equal to rounding. Raises DataError when an image is not the one of its row in the manifest.
    """
    images = hashlib.sha256()
    for split in ("train", "validation"):
        part = data.split(split)
        if split == "train":
            part = with_votes(part, plan.name) if plan.recipe.soft_labels else with_padding(part)
        digests = pixel_digests(part.images)
        _require(digests, part.rows)
        images.update(repr((split, part.images.shape)).encode())
        images.update("".join(digests).encode())
        images.update(np.ascontiguousarray(part.asked).data)
    where = torch.cuda.get_device_name() if plan.engine.device == "cuda" and torch.cuda.is_available() else ""
    depends_on = {
        "task": {"name": data.task.name, **asdict(data.task)},
        "member": asdict(plan.member),
        "recipe": plan.recipe.as_dict(),
        "engine": {name: value for name, value in asdict(plan.engine).items() if name not in LEFT_OUT},
        "seed": plan.seed,
        "classes": data.classes,
        "images": images.hexdigest(),
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": where,
    }
    return hashlib.sha256(canonical_json(depends_on)).hexdigest()


def _require(digests: list[str], rows: list[ManifestRow]) -> None:
    changed = [row.path for digest, row in zip(digests, rows, strict=True) if digest != row.sha256]
    if changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise DataError(
            f"{len(changed)} of {len(rows)} prepared images are not those of their manifest: "
            f"{', '.join(changed[:SHOWN])}{more}. Delete the prepared data and run: dvc repro"
        )
