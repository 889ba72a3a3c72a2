"""Training: the same bits twice, what stops it, and that it learns."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.families.cifar import ResNet, build_member
from resnet_ops.families.member import Member
from resnet_ops.model_files import model_digest
from resnet_ops.tasks.heads import classification
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.loop import fit
from resnet_ops.training.recipe import Recipe
from tests.unit.core.makers import make_data, make_plan, make_recipe, saved_digest

TRAIN_ELSEWHERE = """
import sys
from pathlib import Path
from resnet_ops.model import save_model
from resnet_ops.training.loop import fit
from tests.unit.core.makers import make_plan, TINY, digits, make_recipe, take
small = take(digits(), train=96, validation=40, test=20, production=20)
for precision in ("fp32", "bf16"):
    model = fit(make_plan(make_recipe(flip=True), 7, precision=precision), small)
    save_model(model, Path(sys.argv[1]) / precision)
"""


@pytest.mark.slow
def test_two_processes_train_the_same_bits(small: PreparedData, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", TRAIN_ELSEWHERE, str(tmp_path / "there")],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    torch.manual_seed(123)
    for precision in ("fp32", "bf16"):
        here = fit(make_plan(make_recipe(flip=True), 7, precision=precision), small)
        assert saved_digest(here, tmp_path / "here" / precision) == model_digest(
            tmp_path / "there" / precision
        )


@pytest.mark.slow
def test_the_seed_the_recipe_and_the_images_decide_the_weights(small: PreparedData, tmp_path: Path) -> None:
    images = small.images.copy()
    images[0, 0, 0] += 1
    models = {
        "base": fit(make_plan(), small),
        "seed": fit(make_plan(seed=1), small),
        "recipe": fit(make_plan(make_recipe(weight_decay=0.0006)), small),
        "precision": fit(make_plan(precision="bf16"), small),
        "image": fit(make_plan(), replace(small, images=images)),
    }
    assert len({saved_digest(model, tmp_path / name) for name, model in models.items()}) == len(models)


def test_the_seed_decides_the_order_of_the_images_too(
    small: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shown with fresh weights that are the same whatever the seed."""

    def build_the_same(member: Member, in_channels: int, classes: int) -> ResNet:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build_member(member, in_channels, classes)

    monkeypatch.setattr(classification, "build_network", build_the_same)
    digests = {
        saved_digest(fit(make_plan(make_recipe(crop_padding=0), seed), small), tmp_path / str(seed))
        for seed in (0, 1)
    }
    assert len(digests) == 2


def test_training_forbids_algorithms_that_are_not_deterministic(small: PreparedData) -> None:
    torch.use_deterministic_algorithms(False)
    fit(make_plan(make_recipe(epochs=1)), small)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


def test_images_held_out_cannot_influence_the_weights(small: PreparedData, tmp_path: Path) -> None:
    images = small.images.copy()
    held_out = [index for index, row in enumerate(small.rows) if row.split != "train"]
    images[held_out] = 255 - images[held_out]
    first = fit(make_plan(), small)
    second = fit(make_plan(), replace(small, images=images))
    assert saved_digest(first, tmp_path / "first") == saved_digest(second, tmp_path / "second")


def test_callbacks_get_every_epoch_in_order(small: PreparedData) -> None:
    seen: list[Epoch] = []
    also: list[int] = []
    recipe = make_recipe(epochs=3, warmup=0.0)
    model = fit(make_plan(recipe), small, [seen.append, lambda epoch: also.append(epoch.epoch)])
    assert [epoch.epoch for epoch in seen] == also == [1, 2, 3]
    peak = recipe.peak_lr * recipe.batch_size / 256
    # 9 steps; the rate after a rise of one step falls by a ninth of the peak with each
    assert [epoch.learning_rate for epoch in seen] == pytest.approx([peak * left / 9 for left in (7, 4, 1)])
    assert all(0 <= epoch.train_score <= 1 and epoch.images_per_second > 0 for epoch in seen)
    validation = small.split("validation")
    predictions = model.predict(validation.images)
    right = predictions.probabilities[np.arange(40), validation.labels]
    assert seen[-1].validation_score == pytest.approx(np.mean(predictions.predicted == validation.labels))
    assert seen[-1].validation_loss == pytest.approx(-np.log(right).mean(), rel=1e-4)


@pytest.mark.slow
def test_a_member_learns_to_read_digits(digits: PreparedData) -> None:
    member = Member(depth=8, widths=(8, 16, 32), stem_kernel=3, stem_stride=1, shortcut="projection")
    model = fit(make_plan(make_recipe(epochs=10, batch_size=64), member=member), digits)
    assert not model.network.training
    test = digits.split("test")
    assert np.mean(model.predict(test.images).predicted == test.labels) > 0.93
    assert (model.name, model.classes, model.image_size, model.channels) == ("tiny", digits.classes, 8, 1)


def test_the_normalisation_is_that_of_each_channel_of_the_training_images() -> None:
    data = make_data({"train": [0, 1] * 8, "validation": [0, 1]}, ("a", "b"))
    images = np.repeat(data.images, 3, axis=3)
    images[..., 1] //= 2
    images[..., 2] = 128
    model = fit(make_plan(make_recipe(epochs=1)), replace(data, images=images))
    pixels = images[:16].reshape(-1, 3) / 255
    assert model.mean == pytest.approx(tuple(pixels.mean(0)))
    assert model.std[:2] == pytest.approx(tuple(pixels.std(0)[:2]))
    assert model.std[2] == pytest.approx(0.001)  # a constant channel is not divided by zero


@pytest.mark.slow
def test_weight_decay_spares_biases_and_normalisation(small: PreparedData) -> None:
    strong = make_recipe(epochs=20, batch_size=96, peak_lr=0.1, momentum=0.0, weight_decay=20.0)
    network = fit(make_plan(strong), small).network
    weights = {name: parameter.abs().max().item() for name, parameter in network.named_parameters()}
    assert max(value for name, value in weights.items() if "conv" in name) < 0.05
    assert min(value for name, value in weights.items() if "bn" in name and "weight" in name) > 0.5


def test_a_training_split_smaller_than_a_batch_is_one_batch(small: PreparedData) -> None:
    model = fit(make_plan(make_recipe(batch_size=1000, epochs=1)), small)
    assert model.network.state_dict()["stem.1.num_batches_tracked"] == 1


@pytest.mark.parametrize(
    ("recipe", "split"),
    [
        (make_recipe(peak_lr=1e12, epochs=3), "training"),
        (make_recipe(peak_lr=1e30, epochs=1, batch_size=96), "validation"),
    ],
)
def test_a_loss_that_is_no_number_names_the_setting_to_change(
    recipe: Recipe, split: str, small: PreparedData
) -> None:
    seen: list[Epoch] = []
    with pytest.raises(ConfigError, match=rf"tiny: the {split} loss is (nan|inf) in epoch 1"):
        fit(make_plan(recipe), small, [seen.append])
    assert seen == []


def test_every_class_without_a_training_image_is_named() -> None:
    data = make_data({"train": [0, 2] * 8, "validation": [0, 1, 2, 3]}, ("ant", "bee", "cow", "doe"))
    with pytest.raises(DataError, match=r"class bee, doe\..*data\.split\.train"):
        fit(make_plan(), data)


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_out_of_range_is_named(split: str, label: int) -> None:
    labels = {"train": [0, 1] * 8, "validation": [0, 1]}
    data = make_data({**labels, split: [*labels[split], label]}, ("a", "b"))
    with pytest.raises(DataError, match=f"Label {label} is out of range: .* 2 classes"):
        fit(make_plan(), data)


@pytest.mark.parametrize("missing", ["train", "validation"])
def test_a_missing_split_is_named(missing: str, small: PreparedData) -> None:
    part = small.split(*{"train", "validation", "test"} - {missing})
    with pytest.raises(DataError, match=f"in split {missing}"):
        fit(make_plan(), part)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_missing_gpu_names_the_setting_to_change(small: PreparedData) -> None:
    with pytest.raises(ConfigError, match=r"train\.device is cuda, .*no GPU"):
        fit(make_plan(device="cuda"), small)
