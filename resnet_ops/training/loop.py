"""The training loop: one seed decides everything, and a kill costs nothing but time."""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from resnet_ops.data import PreparedData
from resnet_ops.data.depth import depth_of, white_of
from resnet_ops.data.padding import with_padding
from resnet_ops.data.votes import with_votes
from resnet_ops.messages import say
from resnet_ops.model import ImageClassifier, TrainedModel
from resnet_ops.tasks.heads.head import head_of
from resnet_ops.tasks.learning.learning import learning_of
from resnet_ops.training.augmentation.normalisation import share_normalisation
from resnet_ops.training.average import WeightAverage
from resnet_ops.training.checkpoints import Checkpoint, Checkpoints
from resnet_ops.training.checks import check_depth, check_graphs, check_loss, explain_memory
from resnet_ops.training.distributed.workers import ALONE, Workers
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.images import open_images
from resnet_ops.training.optimisers import build_optimiser
from resnet_ops.training.parts import hold_frozen
from resnet_ops.training.plan import Plan
from resnet_ops.training.pretrained.transfer import start_network
from resnet_ops.training.rare_classes.sampler import sampler_of
from resnet_ops.training.recipe import Recipe
from resnet_ops.training.schedule import learning_rate
from resnet_ops.training.set_up import set_up
from resnet_ops.training.state import TrainingState
from resnet_ops.training.step import take_step
from resnet_ops.training.validation import Validation

__all__ = ["Training", "fit", "out_of_patience"]


def fit(
    plan: Plan,
    data: PreparedData,
    callbacks: Sequence[Callable[[Epoch], None]] = (),
    checkpoints: Checkpoints | None = None,
    workers: Workers = ALONE,
) -> TrainedModel:
    """Train one member on split `train`, watching split `validation`.

    The same arguments on the same device kind give the same weights to the bit, also where a training was killed
    after any step and goes on from `checkpoints`. callbacks: called after every epoch; a training that goes on
    calls them for the epochs it has behind it first. workers: all of them call this with the same plan and data, and
    get the same weights; the first one writes the checkpoints. Raises DataError when the task cannot be learned from
    these data (a class without training images, say), ConfigError when the loss stops being a number, memory runs out,
    the device is missing or there are more workers than images in a part of a batch.
    """
    train, validation = data.split("train"), data.split("validation")
    with explain_memory(plan):
        training = Training(plan, train, validation, workers)
        training.resume(checkpoints)
        for epoch in training.state.epochs:
            _tell(callbacks, epoch)
        while not training.done:
            _tell(callbacks, training.run_epoch(checkpoints))
    return training.model()


class Training:
    """A training under way, as one of its workers sees it."""

    def __init__(
        self, plan: Plan, train: PreparedData, validation: PreparedData, workers: Workers = ALONE
    ) -> None:
        check_graphs(plan)
        check_depth(plan, train)
        self.learning = learning_of(train.task)
        self.learning.check(plan, train, validation)
        train = with_votes(train, plan.name) if plan.recipe.soft_labels else with_padding(train)
        labels, classes = torch.from_numpy(train.labels), len(train.classes)
        device = set_up(plan.engine, plan.seed)
        network = head_of(train.task, train.classes).network(plan.member, train.images.shape[3], classes)
        moments = start_network(network, plan, train.classes) or _channel_moments(train.images)
        network = network.to(device, memory_format=torch.channels_last)
        if workers.count > 1:
            share_normalisation(network)
        self.network = network
        self.plan = plan
        self.workers = workers
        self.classifier = ImageClassifier(network, *moments).to(device)
        self.state = TrainingState(
            network=network,
            optimiser=build_optimiser(network, plan.recipe),
            generator=torch.Generator().manual_seed(plan.seed),
            loss_sum=torch.zeros((), device=device),
            hits=torch.zeros((), device=device),
            average=WeightAverage(network, plan.recipe.ema) if plan.recipe.ema else None,
            sampler=sampler_of(plan.recipe.imbalance, labels, classes),
        )
        self.loss = self.learning.loss(plan.recipe, train, device)
        self.judged = self.classifier
        if self.state.average is not None:
            self.judged = ImageClassifier(self.state.average.network, *moments).to(device)
        if plan.engine.compile:
            for module in (network, self.judged):
                module.compile(mode=plan.engine.compile, dynamic=False)
        self.images = open_images(plan, train, device)
        self.validation = Validation(plan, validation, device, self.images.held, workers, self.learning)
        self.image_count = len(train)
        self.batch_size = min(plan.recipe.batch_size, len(train))
        self.steps_per_epoch = len(train) // self.batch_size
        self.share = workers.share(self.batch_size, plan.recipe.accumulate)

    @property
    def steps(self) -> int:
        """In all, where patience does not end the training."""
        return self.steps_per_epoch * self.plan.recipe.epochs

    @property
    def done(self) -> bool:
        """Whether no epoch is left, or patience has ended."""
        epochs = self.state.epochs
        return len(epochs) >= self.plan.recipe.epochs or out_of_patience(self.plan.recipe, epochs)

    def resume(self, checkpoints: Checkpoints | None) -> None:
        """Go on from the newest checkpoint that a worker has, where there is one."""
        found = checkpoints.newest() if checkpoints is not None else None
        if self.workers.count > 1:
            found = self._newest_of_all(found)
        if found is not None:
            self.state.resume(found)
            step = self.state.step
            say(f"{self.plan.name} goes on after step {step} of {self.steps}, from its checkpoint")

    def _newest_of_all(self, found: Checkpoint | None) -> Checkpoint | None:
        content = self.workers.latest(found.step, found.pack()) if found else self.workers.latest(0, b"")
        return Checkpoint.unpack(content) if content else None

    def run_epoch(self, checkpoints: Checkpoints | None) -> Epoch:
        """Do the steps that are left of the current epoch, and validate."""
        state = self.state
        done = state.step - self.steps_per_epoch * len(state.epochs)
        if done == 0:
            state.start_epoch(self.image_count)
        started = time.perf_counter()
        rows = state.order(self.image_count).split(self.batch_size)[done : self.steps_per_epoch]
        for _ in self.take_steps(rows):
            if checkpoints is not None and self.workers.leads and checkpoints.due():
                checkpoints.write(state.checkpoint())
        loss_sum, hits = torch.stack([state.loss_sum, state.hits]).tolist()
        seconds = time.perf_counter() - started
        train_loss = loss_sum / self.steps_per_epoch
        validation_loss, validation_score = self.validation.measure(self.judged)
        losses = {"training": train_loss, "validation": validation_loss}
        check_loss(self.plan, len(state.epochs) + 1, losses)
        epoch = Epoch(
            epoch=len(state.epochs) + 1,
            learning_rate=learning_rate(self.plan.recipe, state.step - 1, self.steps),
            train_loss=train_loss,
            train_score=hits / (self.steps_per_epoch * self.batch_size),
            validation_loss=validation_loss,
            validation_score=validation_score,
            images_per_second=len(rows) * self.batch_size / seconds,
        )
        state.epochs.append(epoch)
        return epoch

    def take_steps(self, rows: Sequence[Tensor]) -> Iterator[int]:
        """One step on each batch of rows; gives the number of steps done in all."""
        self.network.train()
        hold_frozen(self.network, self.plan.recipe.start, len(self.state.epochs))
        for images, targets in self.images.batches([batch[self.share.places] for batch in rows]):
            for group in self.state.optimiser.param_groups:
                group["lr"] = group["factor"] * learning_rate(self.plan.recipe, self.state.step, self.steps)
            batch = self.learning.augment(
                self.classifier, images, targets, self.plan.recipe, self.state.generator, self.share
            )
            take_step(self.state, *batch, self.plan, self.loss, self.share, self.workers)
            yield self.state.step

    def model(self) -> TrainedModel:
        """What has been trained so far."""
        data = self.validation.data
        _, size, channels = data.images.shape[1:]
        return TrainedModel(
            network=self.judged.network.eval(),
            name=self.plan.name,
            member=self.plan.member,
            classes=data.classes,
            task=data.task,
            image_size=size,
            channels=channels,
            mean=tuple(self.classifier.mean.flatten().tolist()),
            std=tuple(self.classifier.std.flatten().tolist()),
            depth=depth_of(data.images),
        )


def out_of_patience(recipe: Recipe, epochs: Sequence[Epoch]) -> bool:
    """Whether the best validation score lies `recipe.patience` epochs back, or more."""
    scores = [epoch.validation_score for epoch in epochs]
    return bool(recipe.patience and scores) and len(scores) - 1 - scores.index(max(scores)) >= recipe.patience


def _tell(callbacks: Sequence[Callable[[Epoch], None]], epoch: Epoch) -> None:
    for callback in callbacks:
        callback(epoch)


def _channel_moments(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel in [0, 1], from counts of all levels: exact whatever the threads."""
    white = white_of(depth_of(images))
    values, least = np.arange(white + 1) / white, 1e-3 * (255 / white)
    counts = np.zeros((images.shape[3], white + 1), np.int64)
    for start in range(0, len(images), 64):  # they may not fit into memory
        for channel, count in enumerate(counts):
            count += np.bincount(images[start : start + 64, ..., channel].ravel(), minlength=white + 1)
    means = [float(np.average(values, weights=count)) for count in counts]
    variances = [np.average((values - mean) ** 2, weights=c) for mean, c in zip(means, counts, strict=True)]
    return tuple(means), tuple(max(float(variance) ** 0.5, least) for variance in variances)
