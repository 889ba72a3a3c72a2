"""Boxes move with their images, and a training with boxes repeats to the bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.model import ImageClassifier, load_model, save_model
from resnet_ops.model_files import model_digest
from resnet_ops.tasks.detection.pairing import image_precision, pair
from resnet_ops.tasks.heads.head import head_of
from resnet_ops.tasks.learning.detection import Boxes
from resnet_ops.tasks.learning.learning import learning_of
from resnet_ops.tasks.task import Detector
from resnet_ops.training.distributed.share import Share, share_of
from resnet_ops.training.history import History, read_history
from resnet_ops.training.loop import Training, fit
from resnet_ops.training.recipe import Recipe
from resnet_ops.training.start import Start
from tests.unit.core.makers import (
    TINY,
    make_imbalance,
    make_plan,
    make_recipe,
    saved_digest,
    trained_in_two,
    untrained,
)
from tests.unit.core.tasks.drawn_boxes import make_detection, prepared_boxes

WHOLE = Share(16, slice(None), slice(None), (16,))
SIDE = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepared_boxes(tmp_path_factory.mktemp("boxes"))


def few(data: PreparedData, **counts: int) -> PreparedData:
    """The last rows of each named split that show an object."""
    shows = np.asarray(data.asked)[..., 4].max(axis=1) > 0
    of_split = {split: data.places(split) for split in counts}
    places = np.concatenate([each[shows[each]][-counts[split] :] for split, each in of_split.items()])
    rows = [data.rows[place] for place in places]
    part = {name: getattr(data, name)[places] for name in ("images", "labels", "targets")}
    return replace(data, rows=rows, **part)


def recipe_of(**changes: Any) -> Recipe:
    """Without what boxes do not follow, with `changes`."""
    return make_recipe(**{"label_smoothing": 0.0, "crop_padding": 0, "batch_size": 8, **changes})


def augmented(recipe: Recipe, share: Share = WHOLE) -> tuple[torch.Tensor, Boxes]:
    """Black images with one white rectangle of whole pixels each, and its box."""
    rng = np.random.default_rng(0)
    images, targets = torch.zeros(16, SIDE, SIDE, 1, dtype=torch.uint8), torch.zeros(16, 1, 6)
    for image, target in zip(images, targets, strict=True):
        left, top = (int(each) for each in rng.integers(2, 12, 2))
        right, bottom = left + int(rng.integers(4, 11)), top + int(rng.integers(4, 11))
        image[top:bottom, left:right] = 255
        target[0] = torch.tensor([left, top, right, bottom, 1, 0])
    plain = ImageClassifier(head_of(make_detection()).network(TINY, 1, 2), (0.0,), (1.0,))
    generator = torch.Generator().manual_seed(1)
    learning = learning_of(make_detection())
    inputs, boxes = learning.augment(plain, images, targets, recipe, generator, share)
    assert isinstance(boxes, Boxes)
    return inputs[:, 0], boxes


@pytest.mark.parametrize(
    "settings",
    [
        {"crop_padding": 3},
        {"flip": True},
        {"crop_padding": 4, "flip": True},
        {"crop_area": 0.4, "flip": True},
    ],
)
def test_boxes_move_as_their_images(settings: dict[str, Any]) -> None:
    images, boxes = augmented(recipe_of(**settings))
    exact = "crop_area" not in settings
    moved = 0
    for image, found in zip(images, boxes.images, strict=True):
        if not len(found["boxes"]):
            continue  # less than a quarter is left of it
        rows, columns = (torch.where((image > 0.5).any(axis))[0] for axis in (1, 0))
        seen = [columns[0].item(), rows[0].item(), columns[-1].item() + 1, rows[-1].item() + 1]
        assert found["boxes"][0].tolist() == pytest.approx(seen, abs=0 if exact else 1.6)
        moved += 1
    assert moved >= 12


def test_a_crop_that_resizes_scales_the_boxes() -> None:
    images, boxes = augmented(recipe_of(crop_area=1.0, image_size=2 * SIDE))
    assert images.shape[1:] == (2 * SIDE, 2 * SIDE)
    for image, found in zip(images, boxes.images, strict=True):
        left, top, right, bottom = found["boxes"][0].round().int().tolist()
        assert image[top + 2 : bottom - 2, left + 2 : right - 2].min() > 0.9


def test_objects_that_are_cut_off_are_not_asked_for() -> None:
    _, boxes = augmented(recipe_of(crop_padding=SIDE))
    counts = [len(found["boxes"]) for found in boxes.images]
    assert 0 < sum(counts) < 16


def test_boxes_are_paired_by_score_each_once() -> None:
    overlaps = np.array([[0.9, 0.6], [0.8, 0.7], [0.95, 0.4], [0.3, 0.3]])
    assert pair(overlaps).tolist() == [0, 1, -1, -1]
    assert pair(np.zeros((3, 0))).tolist() == [-1, -1, -1]


def test_an_images_score_by_hand() -> None:
    target = np.array([[0, 0, 10, 10, 1, 0], [20, 20, 30, 30, 2, 0], [40, 0, 50, 9, 1, 1], [0] * 6], float)
    right, wrong = [0, 0, 10, 10, 0.9, 1], [0, 0, 10, 10, 0.8, 2]
    second, unasked, none = [20, 20, 30, 30, 0.5, 2], [40, 0, 50, 9, 0.95, 1], [0] * 6
    for rows, score in [
        ([right, second, none], 1.0),
        ([unasked, right, second], 1.0),
        ([right], 0.5),
        ([right, wrong, second], (1 + 2 / 3) / 2),
        ([wrong], 0.0),
        ([none], 0.0),
    ]:
        assert image_precision(np.array(rows, float), target) == pytest.approx(score)
    assert image_precision(np.array([wrong], float), target[3:]) == pytest.approx(0.2)
    assert image_precision(np.array([none], float), target[3:]) == 1


@pytest.mark.slow
def test_a_training_learns_the_boxes_and_repeats_to_the_bit(data: PreparedData, tmp_path: Path) -> None:
    recipe = recipe_of(epochs=15, optimiser="adamw", peak_lr=0.3, flip=True)
    history = History("tiny", recipe.epochs)
    model = fit(make_plan(recipe), data, [history.add])
    history.save(tmp_path / "curve.csv")
    rows = read_history(tmp_path / "curve.csv")
    assert max(row["validation_score"] for row in rows[-3:]) > 0.6
    assert not any("train_score" in row for row in rows)  # a detector that learns does not answer
    save_model(model, tmp_path / "a")
    again = load_model(tmp_path / "a")
    images = np.array(data.images[:4])
    found = again.predict(images)
    np.testing.assert_array_equal(found.logits, model.predict(images).logits)
    assert found.boxes is not None
    assert found.boxes.shape == (*found.predicted.shape, 4)
    save_model(fit(make_plan(recipe), data), tmp_path / "b")
    assert model_digest(tmp_path / "a") == model_digest(tmp_path / "b")


@pytest.mark.slow
@pytest.mark.parametrize("head", ["fcos", "fasterrcnn"])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, head: Detector) -> None:
    """Of a detector that draws what it learns from, too."""
    data = few(prepared_boxes(tmp_path / "raw", make_detection(head=head)), train=4, validation=1)
    plan = make_plan(recipe_of(epochs=2, batch_size=2, flip=True))
    resumed = trained_in_two(plan, data, tmp_path / "kept")
    assert saved_digest(resumed, tmp_path / "resumed") == saved_digest(fit(plan, data), tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("head", get_args(Detector))
def test_a_batch_of_one_size_gives_what_torchvisions_own_way_gives(head: Detector) -> None:
    network: Any = head_of(make_detection(head=head)).network(TINY, 3, 3)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 64, 64, generator=generator)
    shown = [
        {"boxes": torch.tensor([[4.0, 6, 30, 40], [33, 10, 60, 50]]), "labels": torch.tensor([1, 2])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    def theirs(*targets: Any) -> Any:
        network.detector.transform = GeneralizedRCNNTransform(64, 64, [0.0] * 3, [1.0] * 3)
        torch.manual_seed(1)
        return network.detector(list(images), *targets)

    network.eval()
    answers = network(images)
    for rows, found in zip(answers, theirs(), strict=True):
        count = len(found["scores"])
        torch.testing.assert_close(rows[:count, :4], found["boxes"])
        torch.testing.assert_close(rows[:count, 4], found["scores"])
        assert rows[:count, 5].tolist() == found["labels"].tolist()
        assert not rows[count:].any()
    network.train()
    expected = sum(theirs(shown).values())
    torch.manual_seed(1)
    for _ in images:
        network.detector.transform.torch_choice([64])  # draws a size, where there is but one
    torch.testing.assert_close(network(images, shown), expected)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["fcos", "retinanet_v2", "fasterrcnn_v2"])
def test_a_detector_learns_in_bf16_in_parts_and_averaged(tmp_path: Path, head: Detector) -> None:
    data = few(prepared_boxes(tmp_path, make_detection(head=head)), train=4, validation=1)
    plan = make_plan(recipe_of(epochs=1, batch_size=4, accumulate=2, ema=0.9, clip=1.0), precision="bf16")
    training = Training(plan, data.split("train"), data.split("validation"))
    epoch = training.run_epoch(None)
    assert np.isfinite([epoch.train_loss, epoch.validation_loss, epoch.validation_score]).all()
    answers = training.model().predict(np.array(data.images[:1]))
    assert answers.logits.dtype == np.float32


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"mixup": 0.2}, "mixup"),
        ({"cutmix": 1.0, "erasing": 0.1}, "erasing, cutmix"),
        ({"rand_augment": 5.0}, "rand_augment"),
        ({"label_smoothing": 0.1}, "label_smoothing"),
        ({"loss": "binary"}, "loss"),
        ({"imbalance": make_imbalance(weights="balanced")}, "imbalance"),
    ],
)
def test_what_boxes_cannot_follow_is_refused(data: PreparedData, settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        fit(make_plan(recipe_of(**settings)), data)


def test_what_a_detector_cannot_run_on_is_refused(data: PreparedData) -> None:
    with pytest.raises(ConfigError, match="compile"):
        learning_of(data.task).check(make_plan(recipe_of(), compile="default"), data, data)
    with pytest.raises(ConfigError, match="processes"):
        augmented(recipe_of(), share_of(16, 1, 0, 2))


@pytest.mark.parametrize(("split", "word"), [("train", "bright, dark"), ("validation", "validation")])
def test_a_split_without_an_object_is_named_before_anything_is_trained(
    data: PreparedData, split: str, word: str
) -> None:
    targets = np.array(data.asked)
    targets[data.places(split), :, 5] = 1
    with pytest.raises(DataError, match=word):
        fit(make_plan(recipe_of()), replace(data, targets=targets))


def test_a_training_starts_from_the_weights_of_a_classifier(data: PreparedData, tmp_path: Path) -> None:
    classifier = untrained()
    save_model(classifier, tmp_path)
    start = Start(
        source=f"file:{tmp_path}", sha256=model_digest(tmp_path), frozen={"stem": 1}, rates={"head": 2.0}
    )
    plan = make_plan(recipe_of(start=start, epochs=1))
    training = Training(plan, data.split("train"), data.split("validation"))
    ours = training.network.state_dict()
    for name, weights in classifier.network.state_dict().items():
        if not name.startswith("head."):
            torch.testing.assert_close(ours[f"detector.backbone.body.{name}"], weights, rtol=0, atol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("head", ["fcos", "fasterrcnn"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_on_a_gpu_learns_the_boxes_and_goes_on_to_the_same_bits(
    tmp_path: Path, head: Detector, precision: Any
) -> None:
    data = prepared_boxes(tmp_path / "boxes", make_detection(head=head))
    recipe = recipe_of(epochs=10, optimiser="adamw", peak_lr=0.3, flip=True)
    plan = make_plan(recipe, device="cuda", precision=precision)
    seen: list[float] = []
    model = fit(plan, data, [lambda epoch: seen.append(epoch.validation_score)])
    assert max(seen) > seen[0]
    assert model.predict(np.array(data.images[:4])).boxes is not None
    resumed = trained_in_two(plan, data, tmp_path / "kept")
    assert saved_digest(resumed, tmp_path / "resumed") == saved_digest(model, tmp_path / "whole")
