"""What one step and one epoch do with each setting of the recipe."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from resnet_ops.data import PreparedData
from resnet_ops.families.build import build_network
from resnet_ops.model import TrainedModel
from resnet_ops.training.average import WeightAverage
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.loop import fit, out_of_patience
from tests.unit.core.makers import TINY, make_plan, make_recipe

FLAT: dict[str, Any] = {"warmup": 0.0, "weight_decay": 0.0, "crop_padding": 0, "label_smoothing": 0.0}


def weights(model: TrainedModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.network.parameters()])


def moved(data: PreparedData, **changes: Any) -> torch.Tensor:
    """How far each weight goes in one step on all images, from the same start."""
    recipe = make_recipe(**{"epochs": 1, "batch_size": 96, **FLAT, **changes})
    still = replace(recipe, peak_lr=1e-30, optimiser="sgd", clip=0.0, accumulate=1, ema=0.0)
    start = weights(fit(make_plan(still), data))
    return weights(fit(make_plan(recipe), data)) - start


def test_adamw_moves_each_weight_by_the_rate_in_its_first_step(small: PreparedData) -> None:
    way = moved(small, optimiser="adamw", peak_lr=0.001 * 256 / 96).abs()
    assert way.max() == pytest.approx(0.001, rel=1e-2)
    assert way[way > 0].median() == pytest.approx(0.001, rel=1e-2)


def test_clipping_shortens_a_step_and_keeps_its_direction(small: PreparedData) -> None:
    free = moved(small, momentum=0.0, peak_lr=0.1 * 256 / 96)
    clipped = moved(small, momentum=0.0, peak_lr=0.1 * 256 / 96, clip=0.01)
    assert clipped.norm().item() == pytest.approx(0.1 * 0.01, rel=1e-2)
    assert free.norm() > 2 * clipped.norm()
    assert torch.cosine_similarity(free, clipped, 0) > 0.999
    unlimited = moved(small, momentum=0.0, peak_lr=0.1 * 256 / 96, clip=1e6)
    torch.testing.assert_close(unlimited, free)


@pytest.mark.parametrize("parts", [2, 5])
def test_accumulation_averages_over_the_parts_by_their_size(small: PreparedData, parts: int) -> None:
    """With images that are all the same, normalisation sees the same in every part."""
    train = [i for i, row in enumerate(small.rows) if row.split == "train"]
    images = small.images.copy()
    images[train] = images[train[0]]
    same = replace(small, images=images)
    whole = moved(same, momentum=0.0, peak_lr=0.5)
    assert whole.abs().max() > 1e-3
    # labels differ between parts, so that an average of the wrong weights would be another
    torch.testing.assert_close(
        moved(same, momentum=0.0, peak_lr=0.5, accumulate=parts), whole, rtol=1e-2, atol=1e-5
    )


def test_the_average_follows_the_weights_as_its_decay_says() -> None:
    network = build_network(TINY, 1, 10)
    average = WeightAverage(network, 0.75)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for tensor in network.state_dict().values():
        tensor.add_(4 if tensor.is_floating_point() else 1)
    average.update(network)
    for name, tensor in average.network.state_dict().items():
        expected = before[name] + 1  # a quarter of 4; a counter is copied
        torch.testing.assert_close(tensor, expected)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())


def test_the_average_is_the_model_and_is_what_is_validated(small: PreparedData) -> None:
    seen: list[Epoch] = []
    model = fit(make_plan(make_recipe(epochs=4, ema=0.9)), small, [seen.append])
    plain = fit(make_plan(make_recipe(epochs=4)), small)
    assert not torch.equal(weights(model), weights(plain))
    assert not model.network.training
    validation = small.split("validation")
    right = model.predict(validation.images).probabilities[np.arange(40), validation.labels]
    assert seen[-1].validation_loss == pytest.approx(-np.log(right).mean(), rel=1e-4)


def epochs_with(scores: list[float]) -> list[Epoch]:
    return [
        Epoch(
            epoch=number,
            learning_rate=0.1,
            train_loss=1,
            train_score=0,
            validation_loss=1,
            validation_score=score,
            images_per_second=1,
        )
        for number, score in enumerate(scores, 1)
    ]


@pytest.mark.parametrize(
    ("scores", "patience", "over"),
    [
        ([], 1, False),
        ([0.1, 0.2], 1, False),
        ([0.2, 0.2], 1, True),
        ([0.2, 0.1, 0.1], 3, False),
        ([0.2, 0.1, 0.1, 0.2], 3, True),
        ([0.2, 0.1, 0.1, 0.1, 0.1], 0, False),
    ],
)
def test_patience_ends_when_the_best_epoch_lies_far_enough_back(
    scores: list[float], patience: int, over: bool
) -> None:
    assert out_of_patience(make_recipe(patience=patience), epochs_with(scores)) is over


def test_training_stops_when_patience_ends(small: PreparedData) -> None:
    seen: list[Epoch] = []
    fit(make_plan(make_recipe(epochs=50, peak_lr=1e-9, patience=3)), small, [seen.append])
    scores = [epoch.validation_score for epoch in seen]
    assert len(scores) - 1 - scores.index(max(scores)) == 3
    assert len(scores) < 50


def test_every_augmentation_and_loss_changes_what_is_learned(small: PreparedData) -> None:
    changes: list[dict[str, Any]] = [
        *({}, {"mixup": 0.4}, {"cutmix": 1.0}, {"erasing": 0.5}, {"rand_augment": 6.0}),
        *({"crop_area": 0.5}, {"crop_area": 0.5, "image_size": 12}, {"loss": "binary"}),
    ]
    losses = []
    for change in changes:
        seen: list[Epoch] = []
        fit(make_plan(make_recipe(epochs=1, **change)), small, [seen.append])
        losses.append(seen[0].train_loss)
    assert len(set(losses)) == len(changes)
