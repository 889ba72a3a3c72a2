"""Large images are seen in tiles: all of each, in one order, in bounded memory, with one answer."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resnet_ops.data import PreparedData, load_prepared, save_prepared
from resnet_ops.data.splits import split_images
from resnet_ops.errors import ConfigError
from resnet_ops.export import formats, onnx_file
from resnet_ops.export.exported import load_exported
from resnet_ops.export.formats import export_model
from resnet_ops.export.params import ExportParams, Quantisation, Tolerance
from resnet_ops.files import read_json
from resnet_ops.model import TrainedModel, load_model, save_model
from resnet_ops.model_files import DESCRIPTION, model_digest
from resnet_ops.predictions import softmax
from resnet_ops.tasks.heads.head import head_of
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import (
    CLASSIFICATION,
    Segmentation,
    Task,
    chosen,
    noted_task,
    task_from_json,
    tiles_of,
)
from resnet_ops.tasks.tiles import MOST_TILES, Tiles, cuts, starts
from resnet_ops.training.loop import fit
from resnet_ops.training.start import Start
from tests.unit.core.makers import (
    SHARES,
    TINY,
    make_data,
    make_data_params,
    make_imagenet_member,
    make_plan,
    make_recipe,
    random_images,
)
from tests.unit.core.tasks.masks import make_segmentation

CLASSES = ("bad", "good", "odd")


def make_tiles(**changes: Any) -> Tiles:
    """Of 16 pixels, of which the worst decides, with `changes`."""
    return Tiles(**{"side": 16, "overlap": 4, "pool": "max", "normal": "good", **changes})


MASKS = make_segmentation(auxiliary=False)


def in_tiles(tiles: Tiles, masks: Segmentation | None = None) -> Task:
    """A class an image, or one a pixel, from tiles."""
    if masks:
        return chosen("segmentation", masks, None, tiles)
    return chosen("classification", None, None, tiles)


def pair(task: Task, size: int, channels: int = 1) -> tuple[TrainedModel, TrainedModel]:
    """A model that sees its images in tiles, and one with the same weights that is as large as a tile, or sees all."""
    torch.manual_seed(3)
    tiles = tiles_of(task)
    assert tiles is not None
    settings = {name: value for name, value in vars(task).items() if name != "tiles"}
    plain = Segmentation(**settings) if tiles.pool is None else CLASSIFICATION
    whole = head_of(plain).network(TINY, channels, len(CLASSES)).eval()
    tiled = head_of(task, CLASSES).network(TINY, channels, len(CLASSES)).eval()
    tiled.load_state_dict({f"network.{name}": each for name, each in whole.state_dict().items()})
    common: dict[str, Any] = {"name": "tiny", "member": TINY, "classes": CLASSES, "channels": channels}
    common |= {"mean": (0.5,) * channels, "std": (0.25,) * channels}
    side = tiles.side if tiles.pool else size
    return (
        TrainedModel(network=tiled, image_size=size, task=task, **common),
        TrainedModel(network=whole, image_size=side, task=plain, **common),
    )


@given(st.integers(1, 300), st.integers(8, 64), st.data())
def test_tiles_cover_every_pixel_in_order_and_share_what_was_asked(
    length: int, side: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, side // 2))
    begins, borders = starts(length, side, overlap), cuts(length, side, overlap)
    assert list(begins) == sorted(set(begins))
    covered = {place for begin in begins for place in range(begin, min(begin + side, length))}
    assert covered == set(range(length))
    assert begins[-1] + side == max(length, side)
    assert all(before + side - after >= overlap for before, after in pairwise(begins))
    assert (borders[0], borders[-1], len(borders)) == (0, length, len(begins) + 1)
    for begin, low, high in zip(begins, borders[:-1], borders[1:], strict=True):
        assert begin <= low < high <= begin + side, "what is taken of a tile lies in it"
        assert low == 0 or low - begin >= overlap // 2
        assert high == length or begin + side - high >= overlap // 2


def test_tiles_lie_row_by_row() -> None:
    assert make_tiles(side=16, overlap=0, pool="mean", normal=None).places(32, 48) == [
        (0, 0), (0, 16), (0, 32), (16, 0), (16, 16), (16, 32)
    ]  # fmt: skip


@pytest.mark.parametrize("masks", [None, MASKS])
def test_an_image_that_fits_into_one_tile_is_answered_to_the_bit_as_without(
    masks: Segmentation | None,
) -> None:
    task = in_tiles(make_tiles(pool=None, normal=None) if masks else make_tiles(), masks)
    tiled, whole = pair(task, size=16)
    images = random_images(5, size=16)
    ours, theirs = tiled.predict(images), whole.predict(images)
    np.testing.assert_array_equal(ours.logits, theirs.logits)
    np.testing.assert_array_equal(ours.embeddings, theirs.embeddings)
    np.testing.assert_array_equal(ours.predicted, theirs.predicted)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pool", ["mean", "max"])
def test_what_an_image_is_called_is_pooled_from_what_its_tiles_are(pool: Any, channels: int) -> None:
    tiles = make_tiles(pool=pool, normal="good" if pool == "max" else None)
    tiled, whole = pair(in_tiles(tiles), 40, channels)
    images = random_images(7, channels, 40)
    found = tiled.predict(images)
    parts = [
        whole.predict(np.ascontiguousarray(images[:, top : top + 16, left : left + 16]))
        for top, left in tiles.places(40, 40)
    ]
    each = np.stack([part.probabilities for part in parts])
    features = np.stack([part.embeddings for part in parts])
    assert len(each) == 9
    if pool == "mean":
        np.testing.assert_allclose(found.probabilities, each.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(found.embeddings, features.mean(axis=0), atol=1e-5)
    else:
        chosen_tile = each[..., 1].argmin(axis=0)
        rows = np.arange(len(images))
        np.testing.assert_allclose(found.probabilities, each[chosen_tile, rows], atol=1e-6)
        np.testing.assert_allclose(found.embeddings, features[chosen_tile, rows], atol=1e-5)
        assert len(set(chosen_tile.tolist())) > 1
    np.testing.assert_allclose(softmax(found.logits), found.probabilities, atol=1e-6)
    alone = np.concatenate([tiled.predict(image[None]).probabilities for image in images])
    np.testing.assert_allclose(alone, found.probabilities, atol=1e-6)


@pytest.mark.parametrize("head", [{"head": "fcn", "dilated": 1}, {"head": "unet", "dilated": 0}])
def test_masks_from_tiles_that_share_the_receptive_field_are_those_of_the_whole_image(
    head: dict[str, Any],
) -> None:
    # with these heads TINY sees less than 24 pixels to each side; its stride is 4
    masks = make_segmentation(auxiliary=False, **head)
    images, asked = random_images(2, size=160), make_tiles(side=96, overlap=48, pool=None, normal=None)
    tiled, whole = pair(in_tiles(asked, masks), 160)
    exact = whole.predict(images)
    found = tiled.predict(images)
    assert found.logits.shape == exact.logits.shape == (2, 3, 160, 160)
    np.testing.assert_allclose(found.logits, exact.logits, atol=1e-5)
    assert np.ptp(exact.logits) > 100 * 1e-5
    bare, _ = pair(in_tiles(replace(asked, side=80, overlap=0), masks), 160)
    assert np.abs(bare.predict(images).logits - exact.logits).max() > 1e-3, (
        "without overlap they would differ"
    )


def test_no_more_tiles_than_memory_is_meant_for_pass_through_a_network_at_once() -> None:
    tiled, _ = pair(in_tiles(make_tiles(side=8, overlap=4)), 64)
    seen: list[int] = []
    network: Any = tiled.network

    def features(tiles: torch.Tensor) -> torch.Tensor:
        seen.append(len(tiles))
        return torch.zeros(len(tiles), TINY.widths[-1])

    network.network.features = features
    tiled.predict(random_images(3, size=64))
    assert sum(seen) == 3 * 15 * 15
    assert max(seen) == MOST_TILES
    seen.clear()
    with torch.inference_mode():
        tiled.network(torch.zeros(3, 1, 64, 64))
    assert max(seen) <= MOST_TILES


def test_a_model_remembers_its_tiles_and_others_say_nothing_of_any(tmp_path: Path) -> None:
    tiled, whole = pair(in_tiles(make_tiles()), 40)
    save_model(tiled, tmp_path / "tiled")
    save_model(whole, tmp_path / "whole")
    again = load_model(tmp_path / "tiled")
    assert again.task == tiled.task
    images = random_images(3, size=40)
    np.testing.assert_array_equal(again.predict(images).logits, tiled.predict(images).logits)
    assert read_json(tmp_path / "tiled" / DESCRIPTION)["task"]["tiles"]["side"] == 16
    assert "tiles" not in (tmp_path / "whole" / DESCRIPTION).read_text()
    save_model(replace(tiled, task=in_tiles(make_tiles(overlap=5))), tmp_path / "other")
    assert model_digest(tmp_path / "other") != model_digest(tmp_path / "tiled"), "the files' digest is signed"


@pytest.mark.parametrize("masks", [None, MASKS])
def test_a_task_in_tiles_comes_back_from_json(masks: Segmentation | None) -> None:
    task = in_tiles(make_tiles(pool=None, normal=None) if masks else make_tiles(), masks)
    assert task_from_json(noted_task(task)["task"]) == task
    assert tiles_of(task) is not None
    assert tiles_of(CLASSIFICATION) is None


def test_prepared_images_say_that_they_are_seen_in_tiles(tmp_path: Path) -> None:
    tiles = Tiles(side=8, overlap=0, pool="mean", normal=None)
    params = make_data_params(tiles=tiles)
    raw = reading_of(params.chosen_task).read(params, lambda done, total: None, None)
    save_prepared(split_images(raw, SHARES, seed=0), tmp_path, ("train", "validation"))
    assert load_prepared(tmp_path).task == params.chosen_task


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tiles": {"pool": None, "normal": None}}, "tiles.pool is null"),
        ({"tiles": {"pool": "mean"}}, "normal is 'good'"),
        ({"tiles": {"normal": None}}, "normal is missing"),
        ({"tiles": {"overlap": 9}}, "overlap is 9"),
        ({"tiles": {"side": 4}}, "side is 4"),
        ({"tiles": {"side": 64, "overlap": 0}, "image_size": 32}, "tiles.side is 64"),
        ({"tiles": {}, "image_size": 5000}, "image_size is 5000"),
        ({"image_size": 2048}, "4096 with tiles"),
        ({"tiles": {}, "task": "segmentation", "segmentation": make_segmentation()}, "tiles.pool is max"),
    ],
)
def test_what_tiles_cannot_do_is_refused(changes: dict[str, Any], why: str) -> None:
    def params() -> object:
        asked = {"source": "imagefolder", "root": "parts", "image_size": 64, **changes}
        if "tiles" in asked:
            asked["tiles"] = make_tiles(**asked["tiles"])
        return make_data_params(**asked)

    with pytest.raises(ValueError, match=why):
        params()


def tiled_data(tiles: Tiles, size: int = 24, seed: int = 0) -> PreparedData:
    """Noise with a bright spot of 3 pixels somewhere in each bad image."""
    data = make_data({"train": [0, 1] * 16, "validation": [0, 1] * 4}, ("bad", "good"), seed)
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (len(data), size, size, 1), dtype=np.uint8)
    for image, label in zip(images, data.labels, strict=True):
        if label == 0:
            top, left = rng.integers(0, size - 3, 2)
            image[top : top + 3, left : left + 3] = 255
    return replace(data, images=images, task=in_tiles(tiles))


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_a_training_in_tiles_repeats_to_the_bit_and_starts_from_weights_for_patches(
    pool: Any, tmp_path: Path
) -> None:
    data = tiled_data(make_tiles(pool=pool, normal="good" if pool == "max" else None))
    plan = make_plan(make_recipe(epochs=1, batch_size=8))
    digests = []
    for name in "ab":
        save_model(fit(plan, data), tmp_path / name)
        digests.append(model_digest(tmp_path / name))
    assert digests[0] == digests[1]
    patches = fit(plan, replace(data, task=CLASSIFICATION))
    save_model(patches, tmp_path / "patches")
    start = Start(
        source=f"file:{tmp_path / 'patches'}",
        sha256=model_digest(tmp_path / "patches"),
        frozen={"stem": 1},
        rates={},
    )
    on = fit(make_plan(make_recipe(epochs=1, batch_size=8, start=start)), data)
    stems = [name for name in patches.network.state_dict() if name.startswith(patches.network.PARTS["stem"])]
    assert stems
    for name in stems:
        kept = on.network.state_dict()[f"network.{name}"]
        torch.testing.assert_close(kept, patches.network.state_dict()[name], rtol=0, atol=0)


def test_what_a_training_in_tiles_cannot_learn_is_refused_before_it_starts() -> None:
    mean = make_tiles(pool="mean", normal=None)
    with pytest.raises(ConfigError, match="loss is binary"):
        fit(make_plan(make_recipe(loss="binary")), tiled_data(mean))
    with pytest.raises(ConfigError, match=r"normal is 'fine', but the classes are bad, good"):
        fit(make_plan(), tiled_data(make_tiles(normal="fine")))


def test_every_weight_of_a_tiled_network_is_in_a_named_part() -> None:
    network = head_of(in_tiles(make_tiles()), CLASSES).network(make_imagenet_member(), 1, 3)
    named = [
        each
        for part in network.PARTS.values()
        for name in part
        for each in network.get_submodule(name).parameters()
    ]
    assert {id(each) for each in named} == {id(each) for each in network.parameters()}


STRICT = Tolerance(max_logit_difference=0.001, min_equal_predictions=0.999, max_accuracy_loss=0.001)
LOOSE = Tolerance(max_logit_difference=0.5, min_equal_predictions=0.9, max_accuracy_loss=0.3)


def test_int8_is_calibrated_on_no_more_tiles_at_once_than_are_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, _ = pair(in_tiles(make_tiles()), 40)  # 9 tiles an image
    steps = list[int]()

    def quantised(onnx: bytes, images: np.ndarray, params: Quantisation, batch: int) -> bytes:
        batches = onnx_file._Batches(images, batch)
        while (found := batches.get_next()) is not None:
            steps.append(len(found["images"]))
        return b""

    monkeypatch.setattr(formats, "trace", lambda model: None)
    monkeypatch.setattr(formats, "onnx_bytes", lambda program: b"")
    monkeypatch.setattr(formats, "quantised_bytes", quantised)
    settings = Quantisation(calibration="minmax", images=32, reduce_range=True)
    formats._contents(model, random_images(32, size=40), settings)["int8"]()
    assert steps == [7, 7, 7, 7]


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["max", None])
def test_exports_cut_and_join_as_the_original_does(pool: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    tiles = make_tiles(pool=pool, normal="good" if pool == "max" else None)
    model, _ = pair(in_tiles(tiles, None if pool else MASKS), 40)
    images = random_images(12, size=40)
    data = make_data({"test": [0, 1, 2] * 3, "validation": [0, 1, 2]}, CLASSES)
    targets = None if pool else np.random.default_rng(0).integers(0, 3, (12, 40, 40)).astype(np.uint8)
    data = replace(data, images=images, task=model.task, targets=targets)
    params = ExportParams(
        too_few_images="estimate",
        formats={"pt2": STRICT, "onnx": STRICT, "int8": LOOSE},
        quantisation=Quantisation(calibration="minmax", images=8, reduce_range=True),
    )
    results = export_model(model, "a" * 64, data, params, 0.95, tmp_path)
    expected = model.predict(images)
    for format_, result in results.items():
        assert result.verdict.refusals == (), format_
        exported = load_exported(tmp_path / format_)
        assert exported.task == model.task
        found = exported.predict(images)
        near = 0.5 if format_ == "int8" else 1e-4
        np.testing.assert_allclose(found.logits, expected.logits, atol=near)
        np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=near)
