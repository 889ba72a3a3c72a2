"""Beside images that are not square background is learned, and nothing is measured."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_ops.data import PreparedData, load_prepared, save_prepared
from resnet_ops.data.padding import with_padding
from resnet_ops.data.splits import split_images
from resnet_ops.tasks.learning.learning import learning_of
from resnet_ops.tasks.learning.segmentation import Masks, PixelLoss, move_masks
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import IGNORED, PADDED
from resnet_ops.tasks.tiles import Tiles
from resnet_ops.training.distributed.share import Share
from resnet_ops.training.identity import training_key
from resnet_ops.training.loop import Training, fit
from tests.unit.core.makers import SHARES, make_imbalance, make_plan, make_recipe
from tests.unit.core.tasks.masks import make_params, make_segmentation, spots


@pytest.fixture(autouse=True)
def _usual_torch() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spots, of which nothing is asked in the two lowest rows; every second one is cut to half of its width."""
    folder = tmp_path_factory.mktemp("strips")
    for place, (image, mask) in enumerate(zip(*spots(40), strict=True)):
        width = 16 if place % 2 else 8
        mask[14:] = 7
        Image.fromarray(image[:, :width]).save(folder / f"{place:02d}.png")
        Image.fromarray(mask[:, :width]).save(folder / f"{place:02d}_mask.png")
    return folder


def read(folder: Path, fit: str, **changes: Any) -> PreparedData:
    params = make_params(folder, make_segmentation(ignore=7), fit=fit, **changes)
    return split_images(
        reading_of(params.chosen_task).read(params, lambda done, total: None, None), SHARES, seed=0
    )


@pytest.fixture(scope="module")
def data(files: Path) -> PreparedData:
    return read(files, "pad")


def test_only_what_is_beside_an_image_is_padding(data: PreparedData) -> None:
    train = data.split("train")
    narrow = np.array([row.width < row.height for row in train.rows])
    assert 0 < narrow.sum() < len(narrow)
    learned, asked = with_padding(train).asked, np.asarray(train.asked)
    beside = np.zeros(asked.shape, bool)
    beside[narrow, :, :4] = beside[narrow, :, 12:] = True
    np.testing.assert_array_equal(learned == PADDED, beside)
    np.testing.assert_array_equal(learned[~beside], asked[~beside])
    assert (asked[beside] == IGNORED).all()  # what is measured stays as it was
    assert (learned[narrow, 14:, 4:12] == IGNORED).all()
    assert isinstance(learned, np.memmap), "masks may be more than memory holds"


def test_what_is_cropped_or_seen_in_tiles_is_learned_as_before(files: Path) -> None:
    tiles = Tiles(side=8, overlap=0, pool=None, normal=None)
    for data in (read(files, "crop"), read(files, "pad", tiles=tiles)):
        train = data.split("train")
        assert with_padding(train) is train
        loss = learning_of(data.task).loss(make_recipe(), train, torch.device("cpu"))
        assert isinstance(loss, PixelLoss)
        assert not loss.padded


def test_prepared_data_say_whether_they_are_padded(data: PreparedData, tmp_path: Path) -> None:
    save_prepared(data, tmp_path, ("train", "validation"))
    again = load_prepared(tmp_path)
    assert again.padded
    assert (with_padding(again.split("train")).asked == PADDED).any()
    save_prepared(
        replace(data, padded=False), tmp_path, ("train", "validation")
    )  # as before there was padding
    assert not load_prepared(tmp_path).padded


def test_padding_is_learned_as_background_and_not_measured() -> None:
    masks = torch.tensor([[[0, 1, PADDED, IGNORED]]])
    logits = torch.zeros(1, 2, 1, 4, requires_grad=True)
    for dice in (False, True):
        loss = PixelLoss(0.0, dice=dice, padded=True)
        (pull,) = torch.autograd.grad(loss.of(Masks(masks), logits), logits)
        assert (pull[0, 0, 0] < 0).tolist() == [True, False, True, False]  # up goes the background
        unasked = Masks(torch.where(masks == PADDED, IGNORED, masks))
        (before,) = torch.autograd.grad(PixelLoss(0.0, dice=dice).of(unasked, logits), logits)
        image = [0, 1, 3]
        torch.testing.assert_close(pull[..., image], before[..., image], rtol=0, atol=0)
    calls_all_a_spot = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    torch.testing.assert_close(Masks(masks).hits(calls_all_a_spot), torch.tensor(0.25))


def test_padding_moves_with_its_image_and_what_comes_in_is_not_asked() -> None:
    masks = torch.full((8, 16, 16), PADDED, dtype=torch.uint8)
    masks[:, :, 4:12] = 1
    whole = Share(8, slice(None), slice(None), (8,))
    recipe = make_recipe(crop_padding=3, flip=True, crop_area=0.5, rand_augment=9.0)
    moved = move_masks(masks, recipe, torch.Generator().manual_seed(1), whole)
    assert set(moved.unique().tolist()) == {1, PADDED, IGNORED}


def test_a_training_learns_padding_and_weighs_classes_as_before(data: PreparedData) -> None:
    plan = make_plan(make_recipe(batch_size=8, imbalance=make_imbalance(weights="balanced")))
    train, validation = data.split("train"), data.split("validation")
    training = Training(plan, train, validation)
    ((_, asked),) = training.images.batches([torch.arange(len(train))])
    np.testing.assert_array_equal(asked.numpy(), with_padding(train).asked)
    assert isinstance(training.loss, PixelLoss)
    assert training.loss.padded
    before = learning_of(data.task).loss(plan.recipe, train, torch.device("cpu"))
    assert isinstance(before, PixelLoss)
    assert training.loss.weights is not None
    assert before.weights is not None
    torch.testing.assert_close(training.loss.weights, before.weights, rtol=0, atol=0)
    assert training_key(plan, data) != training_key(plan, replace(data, padded=False))


@pytest.mark.slow
def test_a_model_finds_nothing_beside_images_though_it_looks_like_a_find(files: Path) -> None:
    data = read(files, "pad", background=200)
    plan = make_plan(make_recipe(epochs=100, batch_size=8, peak_lr=6.0, crop_padding=0, flip=True))
    shares = []
    for padded in (False, True):
        model = fit(plan, replace(data, padded=padded))
        called = model.predict(np.array(data.images)).predicted > 0
        beside = with_padding(data).asked == PADDED
        shares.append(called[beside].mean())
        assert (called == data.asked)[data.asked < 2].mean() > 0.9
    assert shares[1] < 0.1 < shares[0]
