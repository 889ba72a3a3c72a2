"""A training for rare classes: what is learned, the same bits after a kill, and what stays as it was without it."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.model import TrainedModel
from resnet_ops.params import parse_params
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.identity import training_key
from resnet_ops.training.loop import Training, fit
from resnet_ops.training.recipe import Recipe
from tests.unit.core.makers import make_data, make_imbalance, make_plan, make_recipe

REMEDIES: dict[str, dict[str, Any]] = {
    "balanced weights": {"weights": "balanced"},
    "effective weights": {"weights": "effective"},
    "balanced sampling": {"sampling": "balanced"},
    "square-root sampling": {"sampling": "square_root"},
    "logit adjustment": {"logit_adjustment": 1.0},
    "weights after sampling": {"sampling": "square_root", "weights": "balanced", "focal": 1.0},
}
SEEDS = range(3)


def weights_of(model: TrainedModel) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in model.network.state_dict().values()])


@pytest.mark.slow
@pytest.mark.parametrize("remedy", [*REMEDIES, "nothing"])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    remedy: str, small: PreparedData, tmp_path: Path
) -> None:
    plan = make_plan(make_recipe(epochs=2, imbalance=make_imbalance(**REMEDIES.get(remedy, {}))))

    class Stop(Exception):
        pass

    class Stopping(Checkpoints):
        """Stops in the middle of the second epoch."""

        def write(self, checkpoint: Any) -> None:
            super().write(checkpoint)
            if checkpoint.step == 5:
                raise Stop

    with pytest.raises(Stop):
        fit(plan, small, checkpoints=Stopping(tmp_path, 0))
    seen: list[Epoch] = []
    whole: list[Epoch] = []
    again = Checkpoints(tmp_path, 0)
    resumed = fit(plan, small, [seen.append], again)
    assert again.written == 1
    assert torch.equal(weights_of(resumed), weights_of(fit(plan, small, [whole.append])))
    without_speed = [[{**asdict(e), "images_per_second": 0} for e in each] for each in (seen, whole)]
    assert without_speed[0] == without_speed[1]


def test_an_imbalance_that_does_nothing_trains_to_the_bits_of_none(small: PreparedData) -> None:
    plans = [make_plan(make_recipe(imbalance=imbalance)) for imbalance in (None, make_imbalance())]
    none, nothing = (weights_of(fit(plan, small)) for plan in plans)
    assert torch.equal(none, nothing)


def test_without_the_setting_a_recipe_and_its_key_are_what_they_were(small: PreparedData) -> None:
    assert "imbalance" not in make_recipe().as_dict()
    assert make_recipe().as_dict() | {"imbalance": None, "soft_labels": False} == asdict(make_recipe())
    settings = [None, *(make_imbalance(**changes) for changes in ({}, *REMEDIES.values()))]
    keys = [training_key(make_plan(make_recipe(imbalance=each)), small) for each in settings]
    assert len(set(keys)) == len(settings)


def test_an_epoch_of_balanced_sampling_has_as_many_images_and_other_ones(small: PreparedData) -> None:
    plan = make_plan(make_recipe(imbalance=make_imbalance(sampling="balanced")))
    training = Training(plan, small.split("train"), small.split("validation"))
    orders = []
    for _ in range(2):
        training.state.start_epoch(96)
        orders.append(training.state.order(96))
        assert torch.equal(training.state.order(96), orders[-1]), "drawn again, the same"
    assert [len(order) for order in orders] == [96, 96]
    assert not torch.equal(*orders)
    assert len(orders[0].unique()) < 96, "with replacement"


def test_a_class_without_an_image_is_named_before_anything_is_weighed() -> None:
    data = make_data({"train": [0, 1] * 16, "validation": [0, 1]}, ("good", "crack", "dent"))
    plan = make_plan(make_recipe(imbalance=make_imbalance(weights="balanced")))
    with pytest.raises(DataError, match="of class dent"):
        Training(plan, data.split("train"), data.split("validation"))


MANY, RATIO = 90, 30


def ones_and_few_eights(images: PreparedData, seed: int) -> PreparedData:
    """90 ones and 3 eights to train on, 20 of each to validate, and all that no training has seen as test."""
    rng, rows = np.random.default_rng(seed), []
    for label, digit in enumerate((1, 8)):
        of: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
        for place, row in enumerate(images.rows):
            if row.label == digit:
                of["test" if row.split == "production" else row.split].append(place)
        of["train"] = rng.permutation(of["train"])[: MANY // RATIO**label].tolist()
        rows += [(place, split, label) for split, places in of.items() for place in places[:200]]
    places = [place for place, _, _ in rows]
    kept = [replace(images.rows[place], split=split, label=label) for place, split, label in rows]
    return PreparedData(images.images[places], np.array([row.label for row in kept]), kept, ("one", "eight"))


def recalls(images: PreparedData, seed: int, changes: dict[str, Any] | None) -> tuple[float, float]:
    """Of the ones and of the eights in the test split, after 120 steps."""
    imbalance = None if changes is None else make_imbalance(**changes)
    data = ones_and_few_eights(images, seed)
    recipe = make_recipe(epochs=24, batch_size=16, label_smoothing=0.0, imbalance=imbalance)
    test = data.split("test")
    found = fit(make_plan(recipe, seed), data).predict(test.images).probabilities.argmax(1)
    ones, eights = (float((found[test.labels == label] == label).mean()) for label in (0, 1))
    return ones, eights


@pytest.fixture(scope="module")
def untreated(digits: PreparedData) -> list[tuple[float, float]]:
    return [recalls(digits, seed, None) for seed in SEEDS]


@pytest.mark.slow
@pytest.mark.parametrize("remedy", list(REMEDIES)[:5])
def test_each_remedy_finds_more_of_a_class_that_is_rarer_by_thirty(
    remedy: str, digits: PreparedData, untreated: list[tuple[float, float]]
) -> None:
    for seed, none in zip(SEEDS, untreated, strict=True):
        ones, eights = recalls(digits, seed, REMEDIES[remedy])
        assert eights > none[1] + 0.3
        assert ones + eights > sum(none) + 0.3, "and not by calling everything an eight"


RECIPE_LINES = """
source: made up
epochs: 2
batch_size: 32
accumulate: 1
optimiser: sgd
peak_lr: 0.4
momentum: 0.9
second_moment: 0.999
weight_decay: 0.0005
clip: 0
schedule: one_cycle
milestones: []
drop: 0.1
warmup: 0.25
loss: LOSS
label_smoothing: 0.05
image_size: 0
crop_area: 0
rand_augment: 0
rand_augment_spread: 0
crop_padding: 1
flip: false
erasing: 0
mixup: 0
cutmix: 0
ema: 0
patience: 0
start: null
"""
GIVEN = "imbalance: {weights: none, sampling: natural, focal: 0, logit_adjustment: 0}"


def read_recipe(folder: Path, imbalance: str, loss: str = "cross_entropy") -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE_LINES.replace("LOSS", loss) + imbalance)
    return parse_params(path, Recipe)


def test_a_file_may_have_the_setting_or_null_or_no_such_key(tmp_path: Path) -> None:
    assert read_recipe(tmp_path, "") == read_recipe(tmp_path, "imbalance: null") == make_recipe()
    assert read_recipe(tmp_path, GIVEN) == make_recipe(imbalance=make_imbalance())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("focal: 0", "focal: -1", "imbalance.focal is -1.0, but must be at least 0"),
        ("focal: 0, ", "", "imbalance.focal is missing"),
        ("focal", "gamma", "imbalance.gamma is not a known setting"),
        ("weights: none", "weights: inverse", "imbalance.weights: input should be 'none', 'balanced' or"),
        (
            "weights: none, sampling: natural",
            "weights: balanced, sampling: balanced",
            "imbalance.sampling is balanced",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_the_setting(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(tmp_path, GIVEN.replace(old, new))


def test_a_file_that_adjusts_the_binary_loss_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="imbalance asks for a logit_adjustment"):
        read_recipe(tmp_path, GIVEN.replace("logit_adjustment: 0", "logit_adjustment: 1"), "binary")
