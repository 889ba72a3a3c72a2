"""The training loop: deterministic, in memory, one seed decides everything."""

import math
import os
import time
from collections.abc import Callable, Sequence, Sized

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_ops.console import console
from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.build import build_network
from resnet_ops.model import ImageClassifier, TrainedModel
from resnet_ops.training.augment import random_crop_flip
from resnet_ops.training.average import WeightAverage
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.mixing import Targets, erase, mix
from resnet_ops.training.recipe import Recipe
from resnet_ops.training.state import TrainingState

__all__ = ["fit", "learning_rate", "out_of_patience"]


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of one step (counted from 0) of `steps`."""
    peak = recipe.peak_lr * recipe.batch_size / 256
    rise = max(1, round(recipe.warmup * steps))
    if step < rise:
        return peak * (step + 1) / rise
    if recipe.schedule == "step":
        return peak * recipe.drop ** sum(step >= share * steps for share in recipe.milestones)
    left = (steps - step) / (steps - rise + 1)
    return peak * left if recipe.schedule == "one_cycle" else peak * (1 - math.cos(math.pi * left)) / 2


def fit(
    name: str,
    member: AnyMember,
    recipe: Recipe,
    data: PreparedData,
    seed: int,
    callbacks: Sequence[Callable[[Epoch], None]] = (),
    checkpoints: Checkpoints | None = None,
) -> TrainedModel:
    """Train one member on split `train`, watching split `validation`.

    The same arguments on the same device kind give the same weights to the bit, also where a training was killed
    after any step and goes on from `checkpoints`. callbacks: called after every epoch; a training that goes on
    calls them for the epochs it has behind it first. Raises DataError when a class has no training image or a
    label is out of range, ConfigError when the loss stops being a number or the device is missing.
    """
    train, validation = data.split("train"), data.split("validation")
    for part in (train, validation):
        _check_range(part)
    _check_classes(train)
    device = _set_up(recipe, seed)
    moments = _channel_moments(train.images)
    classifier = _fresh_classifier(member, train, moments, device)
    state = TrainingState(
        network=classifier.network,
        optimiser=_optimiser(classifier.network, recipe),
        generator=torch.Generator().manual_seed(seed),
        loss_sum=torch.zeros((), device=device),
        hits=torch.zeros((), device=device),
        average=WeightAverage(classifier.network, recipe.ema) if recipe.ema else None,
    )
    steps = _steps_per_epoch(recipe, train) * recipe.epochs
    if checkpoints is not None and (checkpoint := checkpoints.newest()) is not None:
        state.resume(checkpoint)
        console.print(f"{name} goes on after step {state.step} of {steps}, from its checkpoint")
    images = torch.from_numpy(train.images).to(device)
    labels = torch.from_numpy(train.labels).to(device)
    for result in state.epochs:
        _tell(callbacks, result)
    judged = ImageClassifier(state.average.network, *moments).to(device) if state.average else classifier
    while len(state.epochs) < recipe.epochs and not out_of_patience(recipe, state.epochs):
        speed = _run_epoch(classifier, state, images, labels, recipe, checkpoints)
        state.epochs.append(_finish_epoch(name, judged, state, validation, recipe, len(train), speed))
        _tell(callbacks, state.epochs[-1])
    return TrainedModel(
        network=judged.network.eval(),
        name=name,
        member=member,
        classes=data.classes,
        image_size=train.images.shape[1],
        channels=train.images.shape[3],
        mean=tuple(classifier.mean.flatten().tolist()),
        std=tuple(classifier.std.flatten().tolist()),
    )


def out_of_patience(recipe: Recipe, epochs: Sequence[Epoch]) -> bool:
    """Whether the best validation top-1 lies `recipe.patience` epochs back, or more."""
    scores = [epoch.validation_top1 for epoch in epochs]
    return bool(recipe.patience and scores) and len(scores) - 1 - scores.index(max(scores)) >= recipe.patience


def _tell(callbacks: Sequence[Callable[[Epoch], None]], epoch: Epoch) -> None:
    for callback in callbacks:
        callback(epoch)


def _steps_per_epoch(recipe: Recipe, train: Sized) -> int:
    return len(train) // min(recipe.batch_size, len(train))


def _run_epoch(
    classifier: ImageClassifier,
    state: TrainingState,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    checkpoints: Checkpoints | None,
) -> float:
    """Do the steps that are left of the current epoch, and give their images per second."""
    per_epoch = _steps_per_epoch(recipe, labels)
    batch = min(recipe.batch_size, len(labels))
    done = state.step - per_epoch * len(state.epochs)
    if done == 0:
        state.start_epoch(len(labels))
    started = time.perf_counter()
    state.network.train()
    order = state.order(len(labels)).to(labels.device)
    for rows in order.split(batch)[done:per_epoch]:
        for group in state.optimiser.param_groups:
            group["lr"] = learning_rate(recipe, state.step, per_epoch * recipe.epochs)
        inputs = classifier.normalise(images[rows])
        inputs = random_crop_flip(inputs, recipe.crop_padding, recipe.flip, state.generator)
        inputs = erase(inputs, recipe.erasing, state.generator)
        inputs, targets = mix(inputs, labels[rows], recipe.mixup, recipe.cutmix, state.generator)
        _step(state, inputs, targets, recipe)
        state.step += 1
        if checkpoints is not None and checkpoints.due():
            checkpoints.write(state.checkpoint())
    return (per_epoch - done) * batch / (time.perf_counter() - started)


def _finish_epoch(
    name: str,
    classifier: ImageClassifier,
    state: TrainingState,
    validation: PreparedData,
    recipe: Recipe,
    images: int,
    speed: float,
) -> Epoch:
    """Validate. Raises ConfigError when a loss is no number."""
    per_epoch, number = images // min(recipe.batch_size, images), len(state.epochs) + 1
    train_loss = state.loss_sum.item() / per_epoch
    validation_loss, validation_top1 = _validate(classifier, validation)
    for split, value in {"training": train_loss, "validation": validation_loss}.items():
        if not math.isfinite(value):
            raise ConfigError(
                f"{name}: the {split} loss is {value} in epoch {number}; training diverged. "
                "Lower train.peak_lr or raise train.warmup in params.yaml."
            )
    return Epoch(
        epoch=number,
        learning_rate=learning_rate(recipe, state.step - 1, per_epoch * recipe.epochs),
        train_loss=train_loss,
        train_top1=state.hits.item() / (per_epoch * min(recipe.batch_size, images)),
        validation_loss=validation_loss,
        validation_top1=validation_top1,
        images_per_second=speed,
    )


def _check_range(data: PreparedData) -> None:
    wrong = sorted(set(data.labels.tolist()) - set(range(len(data.classes))))
    if wrong:
        shown = ", ".join(map(str, wrong))
        raise DataError(
            f"Label {shown} is out of range: there are {len(data.classes)} classes, counted from 0. Run: dvc repro"
        )


def _check_classes(train: PreparedData) -> None:
    counts = np.bincount(train.labels, minlength=len(train.classes))
    missing = [name for name, count in zip(train.classes, counts, strict=True) if not count]
    if missing:
        raise DataError(
            f"No training image of class {', '.join(missing)}. Add images or raise data.split.train."
        )


def _set_up(recipe: Recipe, seed: int) -> torch.device:
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "train.device is cuda, but torch sees no GPU here. Set train.device to cpu in params.yaml."
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(seed)
    return torch.device(recipe.device)


def _fresh_classifier(
    member: AnyMember,
    train: PreparedData,
    moments: tuple[tuple[float, ...], tuple[float, ...]],
    device: torch.device,
) -> ImageClassifier:
    """New weights; moments: the training split's mean and deviation of each channel."""
    network = build_network(member, train.images.shape[3], len(train.classes))
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ImageClassifier(network, *moments).to(device)


def _channel_moments(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel in [0, 1], from counts of the 256 values: exact whatever the threads."""
    values = np.arange(256) / 255
    counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(images.shape[3])]
    means = [float(np.average(values, weights=count)) for count in counts]
    variances = [np.average((values - mean) ** 2, weights=c) for mean, c in zip(means, counts, strict=True)]
    return tuple(means), tuple(max(float(variance) ** 0.5, 1e-3) for variance in variances)


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.peak_lr, betas=(recipe.momentum, recipe.second_moment))
    nesterov = recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.peak_lr, momentum=recipe.momentum, nesterov=nesterov)


def _step(state: TrainingState, inputs: Tensor, targets: Targets, recipe: Recipe) -> None:
    """One step of the optimiser on (N, C, H, W) normalised images, in parts where the recipe says so."""
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    state.optimiser.zero_grad(set_to_none=True)
    size = -(-len(inputs) // recipe.accumulate)
    for start in range(0, len(inputs), size):
        part = targets.part(start, start + size)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            logits = state.network(inputs[start : start + size])
        loss = part.loss(logits.float(), recipe.label_smoothing) * (len(logits) / len(inputs))
        loss.backward()
        state.loss_sum += loss.detach()
        state.hits += part.hits(logits.detach())
    if recipe.clip:
        nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip)
    state.optimiser.step()
    if state.average is not None:
        state.average.update(state.network)


def _validate(classifier: ImageClassifier, data: PreparedData) -> tuple[float, float]:
    classifier.network.eval()
    device = classifier.mean.device
    loss, hits = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(data), 1024):
            images = torch.from_numpy(data.images[start : start + 1024]).to(device)
            labels = torch.from_numpy(data.labels[start : start + 1024]).to(device)
            logits = classifier(images)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            hits += int((logits.argmax(1) == labels).sum())
    return loss / len(data), hits / len(data)
