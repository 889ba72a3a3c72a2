"""Images that are saved anew are found in another split; others are not."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data import ManifestRow, PreparedData
from resnet_ops.data import near_duplicates as module
from resnet_ops.data.near_duplicates import find_near_duplicates

SIDE, TRAIN, TEST = 32, 60, 20


@pytest.fixture
def scenes() -> PreparedData:
    """60 scenes to train on and 20 others to test on: smooth random colours."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (TRAIN + TEST, 6, 6, 3), dtype=np.uint8)
    images = np.stack(
        [np.asarray(Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for each in coarse]
    )
    return prepared(images, TRAIN)


def prepared(images: np.ndarray, train: int) -> PreparedData:
    """So many images to train on, the others to test on; one class."""
    rows = [
        ManifestRow(
            index=place,
            path=f"{place}.png",
            label=0,
            class_name="a",
            split="train" if place < train else "test",
            sha256=f"{place:064x}",
            width=images.shape[2],
            height=images.shape[1],
        )
        for place in range(len(images))
    ]
    return PreparedData(images, np.zeros(len(rows), np.int64), rows, ("a",))


def with_image(data: PreparedData, row: int, pixels: np.ndarray) -> PreparedData:
    images = data.images.copy()
    images[row] = pixels
    return replace(data, images=images)


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def brighter(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels * 0.8 + 20, 0, 255).astype(np.uint8)


def noisy(pixels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 4, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def test_different_images_are_not_nearly_equal(scenes: PreparedData) -> None:
    assert find_near_duplicates(scenes, "train", ("validation", "test")) == ([], TEST)


@pytest.mark.parametrize(
    "change", [np.copy, as_jpeg, brighter, noisy], ids=["equal", "JPEG", "light", "noise"]
)
def test_an_image_that_was_saved_anew_is_found(scenes: PreparedData, change: object) -> None:
    assert callable(change)
    pairs, _ = find_near_duplicates(with_image(scenes, 70, change(scenes.images[7])), "train", ("test",))
    assert [(pair.row, pair.trained) for pair in pairs] == [(70, 7)]
    assert 0.995 <= pairs[0].likeness <= 1


def test_the_blocks_in_which_images_are_compared_change_nothing(
    scenes: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = with_image(with_image(scenes, 79, scenes.images[59]), 61, as_jpeg(scenes.images[0]))
    whole, _ = find_near_duplicates(changed, "train", ("test",))
    monkeypatch.setattr(module, "BLOCK", 7)
    monkeypatch.setattr(module, "CHUNK", 3)
    in_parts, _ = find_near_duplicates(changed, "train", ("test",))
    for pairs in (whole, in_parts):
        assert [(pair.row, pair.trained) for pair in pairs] == [(79, 59), (61, 0)], "the most alike first"
    assert in_parts[1].likeness == pytest.approx(whole[1].likeness, abs=1e-5)


def test_an_image_of_one_value_is_like_none(scenes: PreparedData) -> None:
    flat = with_image(with_image(scenes, 3, np.zeros((SIDE, SIDE, 3))), 65, np.full((SIDE, SIDE, 3), 9))
    assert find_near_duplicates(flat, "train", ("test",))[0] == []


def test_of_more_than_are_looked_up_those_evenly_over_the_split_are(
    scenes: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 5)
    changed = with_image(with_image(scenes, 79, scenes.images[59]), 61, scenes.images[0])
    pairs, count = find_near_duplicates(changed, "train", ("test",))
    assert ([pair.row for pair in pairs], count) == ([79], 5)


def test_digits_of_8_by_8_hold_no_two_that_are_nearly_equal(digits: PreparedData) -> None:
    assert find_near_duplicates(digits, "train", ("validation", "test"))[0] == []


def test_parts_of_one_design_are_told_apart_and_a_copy_among_them_is_found() -> None:
    rng = np.random.default_rng(3)
    design = np.add.outer(np.sin(np.arange(64) / 5), np.cos(np.arange(64) / 4)) * 50 + 128
    images = np.clip(design + rng.normal(0, 8, (120, 64, 64)), 0, 255).astype(np.uint8)[..., None]
    images[110] = images[4]
    pairs, count = find_near_duplicates(prepared(images, 100), "train", ("test",))
    assert ([(pair.row, pair.trained) for pair in pairs], count) == ([(110, 4)], 20)
