"""The window through which deep grey is seen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from resnet_ops.data import PreparedData
from resnet_ops.data.params import WindowParams
from resnet_ops.data.sources import DataParams, read_source
from resnet_ops.data.splits import split_images
from resnet_ops.data.window import all_of, through
from resnet_ops.errors import ConfigError
from resnet_ops.params import parse_params
from resnet_ops.training.loop import fit
from resnet_ops_pipelines import project_params
from tests.unit.core.data.image_folders import folder_params, write_image
from tests.unit.core.makers import SHARES, TINY, make_data_params, make_plan, make_recipe

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    ("center", "width", "black", "white", "formula"),
    [  # the examples of DICOM PS3.3 C.11.2.1.2.1
        (2048, 4096, 0, 4095, lambda x: (x - 2047.5) / 4095 + 0.5),
        (2048, 1, 2047.5, 2047.5, None),
        (0, 100, -50, 49, lambda x: (x + 0.5) / 99 + 0.5),
        (0, 1, -0.5, -0.5, None),
    ],
)
def test_values_become_what_the_standard_says(
    center: float, width: float, black: float, white: float, formula: Any
) -> None:
    window = WindowParams(center=center, width=width)
    inside = np.linspace(black, white, 1001)[1:]
    outside = np.array([black - 1e6, black - 1, black, white + 1, white + 1e6])
    assert through(window, outside).tolist() == [0, 0, 0, 255, 255]
    if formula:
        assert np.array_equal(through(window, inside), np.rint(formula(inside) * 255))
    assert through(window, np.array([white + 0.001])).tolist() == [255]


def test_values_of_ct_by_hand() -> None:
    soft_tissue = WindowParams(center=40, width=400)  # (x - 39.5) / 399 + 0.5, from -160 to 239
    values = np.array([-1000, -160, -100, 0, 40, 100, 239, 240, 3000])
    assert through(soft_tissue, values).tolist() == [0, 0, 38, 102, 128, 166, 255, 255, 255]


@pytest.mark.parametrize(("lowest", "highest"), [(0, 255), (-1024, 3071), (0.5, 0.75), (7, 7)])
def test_a_window_of_all_begins_and_ends_where_it_is_said(lowest: float, highest: float) -> None:
    shown = through(all_of(lowest, highest), np.array([lowest, highest]))
    assert shown.tolist() == ([0, 255] if highest > lowest else [0, 0])


def write_grey(path: Path, values: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint16)).save(path, **options)


def read(root: Path, window: WindowParams | None, size: int = 16) -> tuple[np.ndarray, tuple[str, ...]]:
    raw = read_source(replace(folder_params(root, channels=1, image_size=size), window=window))
    return raw.images[..., 0], raw.notes


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_is_seen_through_the_window_in_stored_values(tmp_path: Path, suffix: str) -> None:
    values = np.arange(900, 1156).reshape(16, 16)
    write_grey(tmp_path / "a" / f"x.{suffix}", values)
    write_grey(tmp_path / "b" / f"x.{suffix}", values + 60_000)
    images, notes = read(tmp_path, WindowParams(center=1002, width=104))
    assert np.array_equal(images[0], np.rint(np.clip((values - 950) / 103, 0, 1) * 255))
    assert (images[1] == 255).all()
    assert notes == ()


def test_where_zero_is_white_the_window_is_inverted(tmp_path: Path) -> None:
    values = np.arange(900, 1156).reshape(16, 16)
    write_grey(tmp_path / "a" / "x.tif", values, tiffinfo={262: 0})
    write_grey(tmp_path / "b" / "x.tif", values)
    images, _ = read(tmp_path, WindowParams(center=1002, width=104))
    assert np.array_equal(images[0], 255 - images[1])


def test_images_of_8_bits_are_left_as_they_are_and_it_is_said(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "x.png")
    write_grey(tmp_path / "b" / "x.png", np.full((16, 16), 1000))
    images, notes = read(tmp_path, WindowParams(center=1000, width=100))
    plain, _ = read(tmp_path, None)
    assert np.array_equal(images[0], plain[0])
    (note,) = notes
    assert "8 bits" in note
    assert "(a/x.png)" in note


@pytest.mark.parametrize(
    ("window", "why"),
    [
        ({"center": 40, "width": 0.5}, "width is 0.5, but must be 1 or more"),
        ({"center": 40, "width": float("nan")}, "width is nan, but must be 1 or more"),
        ({"center": float("inf"), "width": 9}, "center is inf, but must be a finite number"),
        ({"center": 40}, "data.window.width is missing"),
        ({"center": 40, "width": 400, "low": 1}, "data.window.low is not a known setting"),
        (40, "data.window"),
    ],
)
def test_a_window_that_is_none_is_named(tmp_path: Path, window: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parsed(tmp_path, lambda data: data | {"source": "imagefolder", "window": window})


def test_a_window_is_for_image_files() -> None:
    with pytest.raises(ValueError, match=r"window .* source is digits"):
        make_data_params(window=WindowParams(center=40, width=400))


def test_a_file_of_settings_without_a_window_means_none(tmp_path: Path) -> None:
    without = parsed(tmp_path, lambda data: {name: data[name] for name in data if name != "window"})
    assert without == parsed(tmp_path, lambda data: data | {"window": None})
    given = parsed(
        tmp_path, lambda data: data | {"source": "imagefolder", "window": {"center": 40, "width": 400}}
    )
    assert given.window == WindowParams(center=40, width=400)


def parsed(folder: Path, change: Any) -> DataParams:
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["data"] = change(settings["data"])
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    return parse_params(folder / "params.yaml", project_params.Params).data


def write_stripes(root: Path) -> None:
    """Horizontal or vertical stripes of 1024 to 1279 in noise, with one dead pixel that is at its highest, 65535."""
    rng = np.random.default_rng(0)
    for number in range(240):
        wave = np.sin(np.arange(16) * 1.5 + rng.uniform(0, 6))
        stripes = np.tile(1151 + 90 * wave, (16, 1)) + rng.normal(0, 12, (16, 16))
        values = np.rint(stripes.clip(1024, 1279))
        values[tuple(rng.integers(0, 16, 2))] = 65_535
        write_grey(root / "hv"[number % 2] / f"{number}.png", values if number % 2 else values.T)


def accuracy(root: Path, window: WindowParams | None) -> float:
    raw = read_source(replace(folder_params(root, channels=1), window=window))
    data = split_images(raw, SHARES, seed=0)
    recipe = make_recipe(epochs=8, crop_padding=0)
    model = fit(make_plan(recipe, member=TINY), data.split("train", "validation"))
    held_out: PreparedData = data.split("test", "production")
    return float((model.predict(held_out.images).predicted == held_out.labels).mean())


@pytest.mark.slow
def test_a_signal_in_the_low_bits_is_learned_through_a_window_and_not_without(tmp_path: Path) -> None:
    write_stripes(tmp_path)
    assert accuracy(tmp_path, None) < 0.7  # of 8 bits, all that is left is where the dead pixel lies
    assert accuracy(tmp_path, WindowParams(center=1152, width=256)) > 0.95
