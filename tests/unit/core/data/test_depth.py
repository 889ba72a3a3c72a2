"""Grey of 16 bits keeps its levels from the file to the network, and 8 bits stay what they were."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_ops.data import PreparedData, image_stats, load_prepared, save_prepared
from resnet_ops.data.depth import Depth
from resnet_ops.data.near_duplicates import find_near_duplicates
from resnet_ops.data.params import WindowParams
from resnet_ops.data.raw import RawData
from resnet_ops.data.sources import DataParams, read_source
from resnet_ops.data.splits import split_images
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.evaluation.corruptions import CORRUPTIONS, corrupt
from resnet_ops.export.exported import load_exported
from resnet_ops.export.formats import export_model
from resnet_ops.export.params import ExportParams, Quantisation, Tolerance
from resnet_ops.model import ImageClassifier, load_model, save_model
from resnet_ops.preprocessing import NOTED_IN, Preprocessing, read_preprocessing, save_preprocessing
from resnet_ops.thumbnail import thumbnail
from resnet_ops.training.batches import augment_batch
from resnet_ops.training.distributed.share import share_of
from resnet_ops.training.loop import fit
from resnet_ops_monitoring.drift.perturbations import PERTURBATIONS, perturbed
from resnet_ops_monitoring.serving.camera import degrade
from tests.unit.core.data.image_folders import folder_params
from tests.unit.core.makers import (
    SHARES,
    TINY,
    make_data,
    make_data_params,
    make_plan,
    make_recipe,
    random_images,
    untrained,
)

WINDOW = WindowParams(center=2048, width=2000)


def write_grey(path: Path, values: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)


def first(root: Path, depth: Depth = 16, size: int = 16, **changes: Any) -> np.ndarray:
    """The first image as it is read, beside one of another class."""
    write_grey(root / "z" / "other.png", np.zeros((16, 16), np.uint16))
    pixels: np.ndarray = read_source(params_of(root, depth, size, **changes)).images[0, ..., 0]
    return pixels


def params_of(root: Path, depth: Depth = 16, size: int = 16, **changes: Any) -> DataParams:
    return replace(folder_params(root, channels=1, image_size=size), depth=depth, **changes)


def levels(count: int = 256) -> np.ndarray:
    return np.arange(1000, 1000 + count, dtype=np.uint16).reshape(16, -1)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_window_spreads_its_levels_over_16_bits(tmp_path: Path, suffix: str) -> None:
    write_grey(tmp_path / "a" / f"x.{suffix}", levels())
    seen = first(tmp_path, window=WINDOW)
    assert seen.dtype == np.uint16
    assert np.array_equal(seen, np.rint(((levels() - 2047.5) / 1999 + 0.5).clip(0, 1) * 65_535))
    assert len(np.unique(seen)) > 200
    coarse = first(tmp_path, 8, window=WINDOW)
    assert len(np.unique(coarse)) < 40


def test_without_a_window_the_bits_that_are_used_reach_from_black_to_white(tmp_path: Path) -> None:
    values = np.linspace(0, 4095, 256).astype(np.uint16).reshape(16, 16)
    write_grey(tmp_path / "a" / "x.png", values)
    for bits in (12, "auto"):
        seen = first(tmp_path, grey_bits=bits)
        assert np.array_equal(seen, np.rint(values / 4095 * 65_535))
    whole = first(tmp_path, grey_bits=16)
    assert np.array_equal(whole, values)


def test_where_zero_is_white_grey_is_inverted(tmp_path: Path) -> None:
    write_grey(tmp_path / "a" / "x.tif", levels(), tiffinfo={262: 0})
    write_grey(tmp_path / "b" / "x.tif", levels())
    for window in (WINDOW, None):
        images = read_source(params_of(tmp_path, window=window, grey_bits=16)).images
        assert np.array_equal(images[0], 65_535 - images[1])


def test_images_of_8_bits_are_spread_and_padding_has_the_background(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (8, 16), np.uint8)
    write_grey(tmp_path / "a" / "x.png", grey)
    seen = first(tmp_path, fit="pad", background=7)
    assert np.array_equal(seen[4:12], grey * np.uint16(257))
    assert (seen[:4] == 7 * 257).all()


def test_scaling_keeps_levels_between_those_of_8_bits(tmp_path: Path) -> None:
    values = np.repeat(np.repeat(levels()[::2, ::2], 4, axis=0), 4, axis=1)  # 32 pixels wide, of blocks
    write_grey(tmp_path / "a" / "x.png", values)
    seen = first(tmp_path, size=8, grey_bits=16)
    assert np.abs(seen.astype(int)[2:-2, 2:-2] - levels()[::2, ::2].astype(int)[2:-2, 2:-2]).max() <= 20
    assert len(np.unique(seen)) == 64


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_dicom_is_seen_through_the_window_in_16_bits(tmp_path: Path, photometric: str) -> None:
    pytest.importorskip("pydicom")
    from tests.unit.core.data.dicom.dicom_files import write_dicom

    write_dicom(tmp_path / "a" / "x.dcm", levels(), BitsStored=12, PhotometricInterpretation=photometric)
    seen = first(tmp_path, window=WINDOW)
    expected = np.rint(((levels() - 2047.5) / 1999 + 0.5).clip(0, 1) * 65_535)
    assert np.array_equal(seen, 65_535 - expected if photometric == "MONOCHROME1" else expected)


@pytest.mark.parametrize("changes", [{"channels": 3}, {"source": "digits", "root": None}, {"source": "idx"}])
def test_depth_is_for_grey_image_files(changes: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"source": "imagefolder", "root": "x", "depth": 16}
    with pytest.raises(ValueError, match="depth is 16"):
        make_data_params(**settings | changes)


def deep(images: np.ndarray) -> np.ndarray:
    """The same images in 16 bits."""
    return images * np.uint16(257)


def folder_of(data: PreparedData, folder: Path) -> PreparedData:
    save_prepared(data, folder, ["train", "validation", "test"])
    return load_prepared(folder)


def test_prepared_images_come_back_as_they_were(tmp_path: Path) -> None:
    data = made()
    again = folder_of(data, tmp_path)
    assert again.images.dtype == np.uint16
    order = np.concatenate([data.places(name) for name in ("train", "validation", "test")])
    assert np.array_equal(again.images, data.images[order])


def test_what_is_told_of_images_is_the_same_at_both_depths() -> None:
    images = random_images(50)
    plain, same = image_stats(images), image_stats(deep(images))
    for name, values in plain.items():
        assert np.allclose(values, same[name], atol=1e-6), name
    assert thumbnail(images[0], 8) == thumbnail(deep(images[0]), 8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_do_the_same_at_both_depths(name: str) -> None:
    images = random_images(4, size=16)
    plain, same = corrupt(images, name, 3, 0), corrupt(deep(images), name, 3, 0)
    assert same.dtype == np.uint16
    assert np.abs(plain.astype(float) - same / 257).max() <= 1.5  # whole levels in between


def test_perturbed_images_and_a_dirty_camera_do_the_same_at_both_depths() -> None:
    images = random_images(4, size=16)
    for kind in ("turned", "moved", "darkened"):
        plain, same = (perturbed(each, kind, 3, 0) for each in (images, deep(images)))
        assert np.abs(plain.astype(float) - same / 257).max() <= 0.51
    assert ("darkened", 3) in PERTURBATIONS
    assert np.abs(degrade(images, 0).astype(float) - degrade(deep(images), 0) / 257).max() <= 0.51


def test_augmented_images_are_the_same_at_both_depths() -> None:
    recipe = make_recipe(crop_area=0.5, crop_padding=1, flip=True, erasing=0.5, mixup=0.2)
    classifier = ImageClassifier(untrained().network, (0.4,), (0.2,))
    images, labels = random_images(16), torch.zeros(16, dtype=torch.int64)
    shown = []
    for each in (images, deep(images)):
        generator = torch.Generator().manual_seed(0)
        inputs, _ = augment_batch(
            classifier, torch.from_numpy(each), labels, recipe, generator, share_of(16, 1, 0, 1)
        )
        shown.append(inputs)
    assert (shown[0] - shown[1]).abs().max() <= 0.51 / 255 / 0.2


def test_an_augmentation_of_8_bits_is_refused() -> None:
    with pytest.raises(ConfigError, match="rand_augment"):
        fit(make_plan(make_recipe(rand_augment=5.0)), made())


def made(depth: Depth = 16) -> PreparedData:
    """Stripes of a quarter of an 8-bit level, horizontal or vertical, with one pixel that is some levels brighter."""
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(16) * 1.5 + rng.uniform(0, 6, (240, 1)))
    values = 128 * 257 + 60 * np.tile(wave[:, None], (1, 16, 1)) + rng.normal(0, 15, (240, 16, 16))
    values[::2] = values[::2].swapaxes(1, 2)
    values = values.clip(128 * 257 - 120, 128 * 257 + 120)
    values[np.arange(240), rng.integers(0, 16, 240), rng.integers(0, 16, 240)] += 257 * rng.integers(
        5, 40, 240
    )
    images = np.rint(values).astype(np.uint16)[..., None]
    kept = images if depth == 16 else np.rint(images / 257).astype(np.uint8)
    paths = [f"made/{number}" for number in range(240)]
    return split_images(
        RawData(kept, np.arange(240) % 2, paths, [(16, 16)] * 240, ("flat", "upright")), SHARES, seed=0
    )


@pytest.mark.slow
def test_classes_that_differ_by_less_than_a_level_of_8_bits_are_learned_in_depth_alone(
    tmp_path: Path,
) -> None:
    """From files on, through a window of all levels."""
    found = {}
    for path, pixels, row in ((Path(r.path), i, r) for i, r in zip(made().images, made().rows, strict=True)):
        write_grey(tmp_path / "images" / row.class_name / f"{path.name}.png", pixels[..., 0])
    for depth in (8, 16):
        window = WindowParams(center=32_768, width=65_536)
        raw = read_source(params_of(tmp_path / "images", depth, window=window))
        data = split_images(raw, SHARES, seed=0)
        recipe = make_recipe(epochs=20, crop_padding=0)
        model = fit(make_plan(recipe, member=TINY), data.split("train", "validation"))
        held_out = data.split("test", "production")
        found[depth] = float((model.predict(held_out.images).predicted == held_out.labels).mean())
    assert found[16] > 0.95
    assert found[8] < 0.7


def test_a_model_takes_its_own_depth_alone_and_says_it_in_its_files(tmp_path: Path) -> None:
    model = replace(untrained(), depth=16)
    save_model(model, tmp_path / "deep")
    save_model(untrained(), tmp_path / "plain")
    assert load_model(tmp_path / "deep").depth == 16
    assert "depth" not in json.loads((tmp_path / "plain" / "member.json").read_text())
    images = random_images(5)
    same = load_model(tmp_path / "deep").predict(deep(images))
    assert np.allclose(same.logits, untrained().predict(images).logits, atol=1e-5)
    with pytest.raises(DataError, match="takes uint16"):
        model.predict(images)
    with pytest.raises(DataError, match="takes uint8"):
        untrained().predict(deep(images))


def test_how_files_are_read_is_noted_with_the_depth(tmp_path: Path) -> None:
    noted = Preprocessing.of(params_of(tmp_path))
    save_preprocessing(noted, tmp_path)
    assert read_preprocessing(tmp_path) == noted
    assert noted.depth == 16
    save_preprocessing(replace(noted, depth=8), tmp_path)
    assert "depth" not in (tmp_path / NOTED_IN).read_text()
    (tmp_path / NOTED_IN).write_text((tmp_path / NOTED_IN).read_text().replace("{", '{"depth": 9,', 1))
    with pytest.raises(DataError, match=NOTED_IN):
        read_preprocessing(tmp_path)


def test_nearly_equal_images_are_told_by_their_low_bits() -> None:
    data = make_data({"train": [0] * 20, "test": [0] * 20}, ("a", "b"))
    images = 128 * 257 + np.random.default_rng(0).integers(-120, 120, (40, 8, 8, 1)).astype(np.uint16)
    images[39] = images[3] + 1
    found, _ = find_near_duplicates(replace(data, images=images), "train", ("test",))
    assert [(each.row, each.trained) for each in found] == [(39, 3)]


@pytest.mark.slow
def test_exports_take_16_bits_and_say_the_same(tmp_path: Path) -> None:
    model, data = replace(untrained(image_size=16), depth=16), made()
    exact = Tolerance(max_logit_difference=0.001, min_equal_predictions=1.0, max_accuracy_loss=0.0)
    loose = Tolerance(max_logit_difference=1.0, min_equal_predictions=0.5, max_accuracy_loss=0.9)
    params = ExportParams(
        formats={"pt2": exact, "onnx": exact, "int8": loose},
        too_few_images="estimate",
        quantisation=Quantisation(calibration="minmax", images=24, reduce_range=True),
    )
    found = export_model(model, "0" * 64, data, params, 0.95, tmp_path)
    assert not any(each.verdict.refusals for each in found.values())
    held_out = data.split("test").images
    for name in params.formats:
        exported = load_exported(tmp_path / name, threads=1)
        assert exported.depth == 16
        assert np.abs(exported.predict(held_out).logits - model.predict(held_out).logits).max() < 1
        with pytest.raises(DataError, match="uint16"):
            exported.predict((held_out >> 8).astype(np.uint8))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("images", ["memory", "stream"])
def test_a_gpu_learns_in_depth_too(images: str) -> None:
    data = made()
    recipe = make_recipe(epochs=20, crop_padding=1, flip=False, crop_area=0.8, erasing=0.1)
    model = fit(make_plan(recipe, member=TINY, device="cuda", images=images), data)
    held_out = data.split("test")
    assert (model.predict(held_out.images).predicted == held_out.labels).mean() > 0.9
