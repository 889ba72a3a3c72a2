"""Masks are read as what they say, and every fault is named at once with its file and what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data import load_prepared, save_prepared
from resnet_ops.data.raw import RawData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import IGNORED, Segmentation
from tests.unit.core.tasks.masks import make_params, make_segmentation, prepared_spots, write_spots


def read(root: Path, settings: Segmentation | None = None, **changes: Any) -> RawData:
    params = make_params(root, settings, **changes)
    return reading_of(params.chosen_task).read(params, lambda done, total: None, None)


def write(folder: Path, mask: Image.Image, size: tuple[int, int] = (16, 16), name: str = "a") -> None:
    folder.mkdir(exist_ok=True)
    Image.new("L", size, 10).save(folder / f"{name}.jpg")
    mask.save(folder / f"{name}_mask.png")


HALF = np.repeat(np.arange(16) >= 8, 16).reshape(16, 16)


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "LA", "RGBA"])
def test_black_and_white_is_read_in_every_mode(tmp_path: Path, mode: str) -> None:
    write(tmp_path, Image.fromarray(HALF.astype(np.uint8) * 255).convert(mode))
    raw = read(tmp_path)
    assert raw.targets is not None
    np.testing.assert_array_equal(raw.targets[0], HALF)
    assert (raw.classes, raw.labels.tolist()) == (("background", "spot"), [1])


def test_a_palettes_indices_are_the_classes(tmp_path: Path) -> None:
    mask = Image.fromarray(HALF.astype(np.uint8)).convert("L")
    mask = Image.frombytes("P", mask.size, mask.tobytes())
    mask.putpalette([200, 0, 0, 0, 200, 0])
    write(tmp_path, mask)
    raw = read(tmp_path, make_segmentation(classes={"ground": 0, "crack": 1}))
    colours = read(tmp_path, make_segmentation(classes={"ground": (200, 0, 0), "crack": (0, 200, 0)}))
    assert raw.targets is not None
    np.testing.assert_array_equal(raw.targets[0], HALF)
    np.testing.assert_array_equal(raw.targets, colours.targets)


def test_soft_edges_are_cut_at_the_threshold(tmp_path: Path) -> None:
    write(tmp_path, Image.fromarray(np.tile(np.arange(16, dtype=np.uint8) * 17, (16, 1))))
    raw = read(tmp_path, make_segmentation(threshold=128))
    assert raw.targets is not None
    assert raw.targets[0, 0].tolist() == [0] * 8 + [1] * 8


def test_ignored_and_padded_pixels_ask_nothing(tmp_path: Path) -> None:
    mask = np.zeros((8, 16), np.uint8)
    mask[0], mask[1] = 7, 255
    write(tmp_path, Image.fromarray(mask), (16, 8))
    raw = read(tmp_path, make_segmentation(ignore=7), fit="pad")
    assert raw.targets is not None
    assert raw.targets[0, :, 0].tolist() == [IGNORED] * 5 + [1] + [0] * 6 + [IGNORED] * 4


def test_a_mask_is_cropped_and_scaled_as_its_image(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40), np.uint8)
    pixels[4:12, 14:26] = 255
    tmp_path.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "a_mask.png")
    for fit in ("crop", "pad"):
        raw = read(tmp_path, fit=fit, background=0)
        assert raw.targets is not None
        seen = raw.images[0, ..., 0] > 127
        assert (seen != (raw.targets[0] == 1)).mean() < 0.05


def test_every_fault_is_named_at_once_with_what_to_do(tmp_path: Path) -> None:
    good = Image.fromarray(HALF.astype(np.uint8) * 255)
    write(tmp_path, good, name="good")
    write(tmp_path, Image.new("L", (8, 16)), name="small")
    write(tmp_path, Image.fromarray(HALF.astype(np.uint8) * 3), name="odd")
    write(tmp_path, Image.new("RGB", (16, 16), (9, 0, 0)), name="red")
    write(tmp_path, good, name="torn")
    (tmp_path / "torn_mask.png").write_bytes((tmp_path / "torn_mask.png").read_bytes()[:45])
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    good.save(tmp_path / "bad_mask.png")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    lines = str(caught.value).split("\n  ")
    assert len(lines) == 6
    for name, what in {
        "small.jpg": "8x16",
        "odd.jpg": "no class: 3",
        "red.jpg": "coloured",
        "torn.jpg": "cannot be read",
        "bad.jpg": "cannot be read",
    }.items():
        assert any(line.startswith(name) and what in line for line in lines), name


def test_images_and_masks_without_a_partner_are_named_before_anything_is_read(tmp_path: Path) -> None:
    write_spots(tmp_path, 3)
    (tmp_path / "000_mask.png").unlink()
    (tmp_path / "001.png").unlink()
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert "000.png: its mask 000_mask.png is missing" in str(caught.value)
    assert "001_mask.png: a mask without an image" in str(caught.value)


def test_a_class_that_no_mask_has_is_named(tmp_path: Path) -> None:
    write_spots(tmp_path, 3)
    with pytest.raises(DataError, match="scratch"):
        read(tmp_path, make_segmentation(classes={"background": 0, "spot": 255, "scratch": 9}))


def test_an_image_that_its_exif_turns_is_a_fault(tmp_path: Path) -> None:
    image = Image.new("L", (16, 16))
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    Image.new("L", (16, 16), 255).save(tmp_path / "a_mask.png")
    with pytest.raises(DataError, match=r"a\.jpg: its EXIF"):
        read(tmp_path)


def test_masks_beside_a_csv_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="imagefolder"):
        read(tmp_path, source="csv")


@pytest.mark.parametrize(
    ("file", "word"),
    [
        ("halves.tif", "whole number"),
        ("nothing.tif", "whole number"),
        ("below.tif", "whole number"),
        ("print.tif", "CMYK"),
        ("palette.tif", "PA"),
        ("hidden.png", "transparent"),
        ("hidden_grey.png", "transparent"),
        ("turned.png", "EXIF"),
        ("pages.tif", "several"),
    ],
)
def test_a_mask_that_can_be_read_in_two_ways_is_a_fault(tmp_path: Path, file: str, word: str) -> None:
    ending = f"_{file}"
    Image.new("L", (16, 16), 10).save(tmp_path / "a.jpg")
    good = Image.fromarray(HALF.astype(np.uint8) * 255)
    turned = Image.Exif()
    turned[274] = 3
    match file:
        case "halves.tif":
            Image.fromarray(HALF.astype(np.float32) * 0.9).save(tmp_path / f"a{ending}")
        case "nothing.tif":
            Image.fromarray(np.full((16, 16), np.nan, np.float32)).save(tmp_path / f"a{ending}")
        case "below.tif":
            Image.fromarray(HALF.astype(np.int32) * 255 - 1).save(tmp_path / f"a{ending}")
        case "print.tif":
            good.convert("CMYK").save(tmp_path / f"a{ending}")
        case "palette.tif":
            good.convert("P").convert("PA").save(tmp_path / f"a{ending}")
        case "hidden.png":  # drawn by what shows through, under which every pixel is white
            Image.merge("RGBA", [Image.new("L", (16, 16), 255)] * 3 + [good]).save(tmp_path / f"a{ending}")
        case "hidden_grey.png":
            Image.merge("LA", [Image.new("L", (16, 16), 255), good]).save(tmp_path / f"a{ending}")
        case "turned.png":
            good.save(tmp_path / f"a{ending}", exif=turned)
        case "pages.tif":
            good.save(tmp_path / f"a{ending}", save_all=True, append_images=[good])
    with pytest.raises(DataError, match=rf"its mask a{ending} .*{word}"):
        read(tmp_path, make_segmentation(masks=ending, threshold=128))


def test_a_mask_on_transparent_ground_is_read(tmp_path: Path) -> None:
    drawn = Image.fromarray(HALF.astype(np.uint8) * 255)
    write(tmp_path, Image.merge("RGBA", [drawn] * 4))
    raw = read(tmp_path)
    assert raw.targets is not None
    np.testing.assert_array_equal(raw.targets[0], HALF)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"masks": "/x.png"}, "masks"),
        ({"masks": "..\\x.png"}, "masks"),
        ({"masks": "\0.png"}, "masks"),
        ({"classes": {"": 0, "b": 1}}, "classes"),
        ({"classes": {"a\nb": 0, "b": 1}}, "classes"),
        ({"classes": {"\x1b[31m": 0, "b": 1}}, "classes"),
        ({"classes": {"a": 0, "x" * 201: 1}}, "classes"),
        ({"classes": {"a": 0, " a": 1}}, "classes"),
        ({"classes": {"a": 0}}, "classes"),
        ({"classes": {"a": 0, "b": 0}}, "classes"),
        ({"classes": {"a": 0, "b": 300}}, "classes"),
        ({"classes": {"a": 0, "b": (1, 2, 3)}}, "classes"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": 128, "ignore": 3}, "threshold"),
        ({"masks": ""}, "masks"),
        ({"dilated": 4}, "dilated"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=f"^{word}"):
        make_segmentation(**changes)


def test_prepared_masks_come_back_as_they_were(tmp_path: Path) -> None:
    data = prepared_spots(tmp_path / "images", make_segmentation(ignore=9))
    save_prepared(data, tmp_path / "prepared", ("train", "test"))
    again = load_prepared(tmp_path / "prepared")
    assert again.task == data.task
    for split in ("train", "test"):
        np.testing.assert_array_equal(again.split(split).asked, data.split(split).asked)
        np.testing.assert_array_equal(again.split(split).images, data.split(split).images)
    spot = again.images[..., 0] > 127
    np.testing.assert_array_equal(spot, again.asked == 1)
