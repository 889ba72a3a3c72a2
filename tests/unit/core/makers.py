"""Small members, recipes and data sets that the core's tests share."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resnet_ops.data import ManifestRow, PreparedData
from resnet_ops.data.raw import RawData
from resnet_ops.data.sources import DataParams, SplitParams, read_source
from resnet_ops.data.splits import split_images
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.build import build_network
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.model import TrainedModel, save_model
from resnet_ops.model_files import model_digest
from resnet_ops.tasks.heads.head import head_of
from resnet_ops.tasks.task import Task
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.engine import Engine
from resnet_ops.training.loop import Training, fit
from resnet_ops.training.plan import Plan
from resnet_ops.training.rare_classes.imbalance import Imbalance
from resnet_ops.training.recipe import Recipe

SHARES = SplitParams(train=0.5, validation=0.1, test=0.2, production=0.2)


def make_data_params(**changes: Any) -> DataParams:
    """The digits as params.yaml has them, with `changes`."""
    base: dict[str, Any] = {
        "source": "digits",
        "root": None,
        "image_size": 8,
        "channels": 1,
        "fit": "crop",
        "background": 255,
        "grey_bits": "auto",
        "window": None,
        "similar_classes": "ask",
        "conflicts": "stop",
        "group": None,
        "split": SHARES,
    }
    return DataParams(**{**base, **changes})


def make_raw_data(labels: list[int], pixels: Sequence[int] | None = None, **extra: list[str]) -> RawData:
    """Images of one pixel value each: equal numbers are equal images. extra: columns."""
    n = len(labels)
    return RawData(
        images=np.zeros((n, 2, 2, 1), np.uint8),
        labels=np.array(labels, dtype=np.int64),
        paths=[f"{place}.png" for place in range(n)],
        sizes=[(2, 2)] * n,
        classes=tuple(str(each) for each in range(max(labels) + 1)),
        digests=[f"{number:064x}" for number in pixels or range(n)],
        extra=extra,
    )


TINY = Member(depth=8, widths=(4, 8, 8), stem_kernel=3, stem_stride=1, shortcut="identity")


def make_recipe(**changes: Any) -> Recipe:
    """A recipe that trains in a moment, with `changes`."""
    base = Recipe(
        source="made up",
        epochs=2,
        batch_size=32,
        peak_lr=0.4,
        momentum=0.9,
        weight_decay=0.0005,
        schedule="one_cycle",
        warmup=0.25,
        loss="cross_entropy",
        label_smoothing=0.05,
        image_size=0,
        crop_area=0.0,
        rand_augment=0.0,
        rand_augment_spread=0.0,
        crop_padding=1,
        flip=False,
        accumulate=1,
        optimiser="sgd",
        second_moment=0.999,
        clip=0.0,
        milestones=(),
        drop=0.1,
        erasing=0.0,
        mixup=0.0,
        cutmix=0.0,
        ema=0.0,
        patience=0,
        start=None,
    )
    return replace(base, **changes)


def make_imbalance(**changes: Any) -> Imbalance:
    """One that does nothing, with `changes`."""
    base: dict[str, Any] = {"weights": "none", "sampling": "natural", "focal": 0.0, "logit_adjustment": 0.0}
    return Imbalance(**{**base, **changes})


ENGINE = Engine(
    device="cpu", processes=1, threads=1, precision="fp32", compile=False, exact=True, images="memory"
)


def make_plan(recipe: Recipe | None = None, seed: int = 0, member: AnyMember = TINY, **engine: Any) -> Plan:
    """A plan of one training on one thread, with changes to its engine."""
    settings = recipe or make_recipe()
    return Plan(name="tiny", member=member, recipe=settings, engine=replace(ENGINE, **engine), seed=seed)


def make_imagenet_member(**changes: Any) -> ImageNetMember:
    """One small bottleneck in each stage, for small images, with `changes`."""
    base: dict[str, Any] = {
        "block": "bottleneck",
        "layers": (1, 1, 1, 1),
        "width": 8,
        "groups": 1,
        "width_per_group": 64,
        "stem": "small",
        "downsample": "convolution",
        "squeeze": 0,
        "attention": 0,
        "zero_init": False,
        "checkpointing": False,
    }
    return ImageNetMember(family="imagenet", **{**base, **changes})


def digits() -> PreparedData:
    """scikit-learn's digits, split with seed 0."""
    return split_images(read_source(make_data_params()), SHARES, seed=0)


def take(data: PreparedData, **counts: int) -> PreparedData:
    """The first rows of each named split."""
    keep: list[int] = []
    for name, count in counts.items():
        keep += [place for place, row in enumerate(data.rows) if row.split == name][:count]
    return PreparedData(data.images[keep], data.labels[keep], [data.rows[i] for i in keep], data.classes)


def make_data(labels: dict[str, list[int]], classes: tuple[str, ...], seed: int = 0) -> PreparedData:
    """Random 8x8 grey images with these labels in each split."""
    rng = np.random.default_rng(seed)
    flat = [(split, label) for split, each in labels.items() for label in each]
    images = rng.integers(0, 256, (len(flat), 8, 8, 1), dtype=np.uint8)
    rows = [
        ManifestRow(
            index=index,
            path=f"made/{index}",
            label=label,
            class_name=str(label),
            split=split,
            sha256=hashlib.sha256(images[index].data).hexdigest(),
            width=8,
            height=8,
        )
        for index, (split, label) in enumerate(flat)
    ]
    return PreparedData(images, np.array([label for _, label in flat], np.int64), rows, classes)


def untrained(
    member: AnyMember = TINY, channels: int = 1, image_size: int = 8, seed: int = 0
) -> TrainedModel:
    """A model with fresh weights and ten classes."""
    torch.manual_seed(seed)
    return TrainedModel(
        network=build_network(member, channels, 10).eval(),
        name="tiny",
        member=member,
        classes=tuple("0123456789"),
        image_size=image_size,
        channels=channels,
        mean=(0.3, 0.4, 0.5)[:channels],
        std=(0.25, 0.2, 0.3)[:channels],
    )


def untrained_for(task: Task, classes: tuple[str, ...], image_size: int) -> TrainedModel:
    """The smallest model of a task with fresh weights, for grey images."""
    torch.manual_seed(0)
    return TrainedModel(
        network=head_of(task, classes).network(TINY, 1, len(classes)).eval(),
        name="tiny",
        member=TINY,
        classes=classes,
        image_size=image_size,
        channels=1,
        mean=(0.5,),
        std=(0.25,),
        task=task,
    )


def random_images(count: int, channels: int = 1, size: int = 8, seed: int = 0) -> np.ndarray:
    """(count, size, size, channels) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def trained_in_two(plan: Plan, data: PreparedData, folder: Path) -> TrainedModel:
    """As `fit` trains it, but ended after its first epoch and gone on with from its checkpoints in `folder`."""
    checkpoints = Checkpoints(folder, 0)
    Training(plan, data.split("train"), data.split("validation")).run_epoch(checkpoints)
    return fit(plan, data, checkpoints=checkpoints)


def saved_digest(model: TrainedModel, folder: Path) -> str:
    """Of the model saved in `folder`."""
    save_model(model, folder)
    return model_digest(folder)
