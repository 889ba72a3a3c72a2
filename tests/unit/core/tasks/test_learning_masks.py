"""Masks move with their images, and a training with masks repeats to the bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.model import ImageClassifier, load_model, save_model
from resnet_ops.model_files import model_digest
from resnet_ops.tasks.heads.head import head_of
from resnet_ops.tasks.learning.learning import learning_of
from resnet_ops.tasks.learning.segmentation import Masks, PixelLoss, image_scores, soft_dice
from resnet_ops.tasks.task import IGNORED
from resnet_ops.training.distributed.share import Share, share_of
from resnet_ops.training.identity import training_key
from resnet_ops.training.loop import Training, fit
from resnet_ops.training.recipe import Recipe
from resnet_ops.training.start import Start
from tests.unit.core.makers import (
    TINY,
    make_data,
    make_imbalance,
    make_plan,
    make_recipe,
    saved_digest,
    trained_in_two,
    untrained,
)
from tests.unit.core.tasks.masks import make_segmentation, prepared_spots

WHOLE = Share(16, slice(None), slice(None), (16,))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepared_spots(tmp_path_factory.mktemp("spots"))


def augmented(recipe: Recipe, share: Share = WHOLE) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose pixels are their masks' classes (1 and 2, so that what comes from outside is 0), and masks."""
    rng = np.random.default_rng(0)
    masks = torch.from_numpy(np.kron(rng.integers(1, 3, (16, 4, 4)), np.ones((4, 4))).astype(np.uint8))
    settings = make_segmentation(classes={"none": 0, "a": 1, "b": 2})
    network = head_of(settings).network(TINY, 1, 3)
    plain = ImageClassifier(network, (0.0,), (1 / 255,))
    here = masks[share.places]
    inputs, targets = learning_of(settings).augment(
        plain, here[..., None], here, recipe, torch.Generator().manual_seed(1), share
    )
    assert isinstance(targets, Masks)
    return inputs[:, 0], targets.pixels


MOVES: list[dict[str, Any]] = [
    {"crop_padding": 3, "flip": True},
    {"erasing": 0.7},
    {"cutmix": 1.0},
    {"crop_padding": 2, "flip": True, "erasing": 0.5, "cutmix": 1.0},
]


@pytest.mark.parametrize("settings", MOVES)
def test_masks_move_as_their_images(settings: dict[str, Any]) -> None:
    images, masks = augmented(make_recipe(**{"crop_padding": 0, **settings}))
    torch.testing.assert_close(images, torch.where(masks == IGNORED, 0, masks).float())
    plain, _ = augmented(make_recipe(crop_padding=0))
    assert (images != plain).any()


def test_a_resized_crop_takes_the_same_part_of_both() -> None:
    images, masks = augmented(make_recipe(crop_padding=0, crop_area=0.3, image_size=12))
    assert masks.shape == (16, 12, 12)
    assert set(masks.unique().tolist()) == {1, 2}
    assert (images.round() == masks).float().mean() > 0.9  # the image is between two classes at edges


def test_what_rand_augment_moves_it_moves_in_both() -> None:
    images, masks = augmented(make_recipe(crop_padding=0, rand_augment=9.0))
    assert (masks == IGNORED).any()
    assert (images[masks == IGNORED] <= 1).float().mean() > 0.9  # but for operations that change every value


@pytest.mark.parametrize("settings", MOVES)
def test_workers_get_the_masks_of_one_process(settings: dict[str, Any]) -> None:
    recipe = make_recipe(**settings)
    whole = augmented(recipe)
    parts = [augmented(recipe, share_of(16, 1, rank, 2)) for rank in (0, 1)]
    for all_of_it, *halves in zip(whole, *parts, strict=True):
        torch.testing.assert_close(torch.cat(halves), all_of_it, rtol=0, atol=0)


def test_the_loss_is_torchs_per_pixel() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, 6, generator=generator)
    masks = torch.randint(0, 4, (3, 5, 6), generator=generator)
    masks[0, :2] = IGNORED
    torchs = F.cross_entropy(logits, masks, ignore_index=IGNORED, reduction="sum") / masks.numel()
    loss = PixelLoss(0.0).of(Masks(masks), logits)
    torch.testing.assert_close(loss, torchs)
    torch.testing.assert_close(PixelLoss(0.0).of(Masks(masks), (logits, logits)), 1.5 * loss)
    parts = [PixelLoss(0.0).of(Masks(masks[i : i + 1]), logits[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(torch.stack(parts).mean(), loss)


def test_an_images_score_is_its_mean_iou() -> None:
    masks = torch.tensor([[[0, 0, 1, 1]], [[0, 0, 0, 0]], [[0, 0, 0, 0]], [[IGNORED] * 4]])
    predicted = torch.tensor([[[0, 1, 1, 1]], [[0, 0, 0, 0]], [[0, 0, 0, 2]], [[1, 1, 1, 1]]])
    scores = image_scores(predicted, masks, 3)
    torch.testing.assert_close(scores, torch.tensor([(1 / 2 + 2 / 3) / 2, 1.0, 3 / 4 / 2, 1.0]))


@pytest.mark.slow
@pytest.mark.parametrize("head", ["fcn", "unet"])
def test_a_training_learns_the_spots_and_repeats_to_the_bit(
    data: PreparedData, tmp_path: Path, head: str
) -> None:
    data = replace(data, task=make_segmentation(head=head))
    recipe = make_recipe(epochs=12, batch_size=8, peak_lr=6.0, flip=True)
    seen: list[float] = []
    model = fit(make_plan(recipe), data, [lambda epoch: seen.append(epoch.validation_score)])
    assert seen[-1] > 0.8
    save_model(model, tmp_path / "a")
    again = load_model(tmp_path / "a")
    images = np.array(data.images[:4])
    np.testing.assert_array_equal(again.predict(images).logits, model.predict(images).logits)
    assert again.predict(images).predicted.shape == (4, 16, 16)
    save_model(fit(make_plan(recipe), data), tmp_path / "b")
    assert model_digest(tmp_path / "a") == model_digest(tmp_path / "b")


@pytest.mark.slow
@pytest.mark.parametrize("head", ["fcn", "unet"])
def test_a_killed_training_goes_on_to_the_same_bits(data: PreparedData, tmp_path: Path, head: str) -> None:
    data = replace(data, task=make_segmentation(head=head))
    plan = make_plan(make_recipe(epochs=2, batch_size=8, cutmix=1.0))
    resumed = trained_in_two(plan, data, tmp_path / "kept")
    assert saved_digest(resumed, tmp_path / "resumed") == saved_digest(fit(plan, data), tmp_path / "whole")


def test_another_mask_is_another_training(data: PreparedData) -> None:
    plan, changed = make_plan(), np.array(data.asked)
    changed[data.places("train")[0], 0, 0] ^= 1
    other = PreparedData(data.images, data.labels, data.rows, data.classes, data.extra, changed, data.task)
    assert training_key(plan, data) != training_key(plan, other)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"mixup": 0.2}, "mixup"),
        ({"loss": "binary"}, "loss"),
        ({"imbalance": make_imbalance(focal=2.0)}, "focal"),
    ],
)
def test_what_masks_cannot_follow_is_refused(data: PreparedData, settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        fit(make_plan(make_recipe(**settings)), data)


def test_weights_of_classes_count_pixels(data: PreparedData) -> None:
    train = data.split("train")
    recipe = make_recipe(imbalance=make_imbalance(weights="balanced"))
    loss = learning_of(data.task).loss(recipe, train, torch.device("cpu"))
    assert isinstance(loss, PixelLoss)
    assert loss.weights is not None
    counts = np.bincount(train.asked.ravel())
    np.testing.assert_allclose(loss.weights.numpy() * counts, counts.sum() / 2, rtol=1e-5)


def test_a_batch_of_one_is_refused_for_deeplab(tmp_path: Path) -> None:
    data = prepared_spots(tmp_path, make_segmentation(head="deeplabv3"))
    with pytest.raises(ConfigError, match="one image"):
        fit(make_plan(make_recipe(batch_size=1)), data)


def test_a_training_starts_from_the_weights_of_a_classifier(data: PreparedData, tmp_path: Path) -> None:
    classifier = untrained()
    save_model(classifier, tmp_path)
    start = Start(source=f"file:{tmp_path}", sha256=model_digest(tmp_path), frozen={"stem": 1}, rates={})
    plan = make_plan(make_recipe(start=start, epochs=1, batch_size=8))
    training = Training(plan, data.split("train"), data.split("validation"))
    ours = training.network.state_dict()
    theirs = classifier.network.state_dict()
    for name, weights in theirs.items():
        if not name.startswith("head."):
            torch.testing.assert_close(ours[f"backbone.{name}"], weights, rtol=0, atol=0)
    training.run_epoch(None)
    stem = training.network.state_dict()["backbone.stem.0.weight"]
    torch.testing.assert_close(stem, theirs["stem.0.weight"], rtol=0, atol=0)


def test_a_class_without_a_training_pixel_is_named(data: PreparedData) -> None:
    empty = np.where(data.asked == 1, 0, data.asked).astype(np.uint8)
    blank = PreparedData(data.images, data.labels, data.rows, data.classes, data.extra, empty, data.task)
    with pytest.raises(DataError, match="spot"):
        fit(make_plan(), blank)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "engine", [{"precision": "fp32"}, {"precision": "bf16", "compile": "default"}], ids=str
)
@pytest.mark.parametrize("head", ["fcn", "deeplabv3", "unet"])
def test_a_training_on_a_gpu_learns_the_spots_and_goes_on_to_the_same_bits(
    tmp_path: Path, head: str, engine: dict[str, Any]
) -> None:
    data = prepared_spots(tmp_path / "spots", make_segmentation(head=head))
    plan = make_plan(make_recipe(epochs=8, batch_size=8, peak_lr=1.0, flip=True), device="cuda", **engine)
    seen: list[float] = []
    model = fit(plan, data, [lambda epoch: seen.append(epoch.validation_score)])
    assert seen[-1] > seen[0]
    assert model.predict(np.array(data.images[:4])).predicted.shape == (4, 16, 16)
    resumed = trained_in_two(plan, data, tmp_path / "kept")
    assert saved_digest(resumed, tmp_path / "resumed") == saved_digest(model, tmp_path / "whole")


def test_dice_of_sure_answers_is_that_of_the_answer_image_by_image() -> None:
    masks = torch.tensor([[[0, 0, 1, 1]], [[0, 0, 0, 0]], [[0, IGNORED, 0, 1]]])
    answers = torch.tensor([[[0, 1, 1, 1]], [[0, 0, 0, 0]], [[0, 1, 0, 1]]])
    logits = 100 * F.one_hot(answers, 2).permute(0, 3, 1, 2).float()
    # 2 * both + 1 by either + 1, of the background and of the rest
    torch.testing.assert_close(soft_dice(logits, masks), torch.tensor([(3 / 4 + 5 / 6) / 2, 1.0, 1.0]))
    with_dice = PixelLoss(0.0, dice=True)
    loss = with_dice.of(Masks(masks), logits)
    torch.testing.assert_close(
        loss, PixelLoss(0.0).of(Masks(masks), logits) + 1 - soft_dice(logits, masks).mean()
    )
    parts = [with_dice.of(Masks(masks[i : i + 1]), logits[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(torch.stack(parts).mean(), loss)


def test_dice_is_refused_where_an_image_has_one_class() -> None:
    with pytest.raises(ConfigError, match="dice, which is of masks"):
        fit(
            make_plan(make_recipe(loss="dice")),
            make_data({"train": [0, 1], "validation": [0, 1]}, ("a", "b")),
        )
