"""What `resnet-ops init` takes for masks, and what their values say."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data.params import DataParams, SplitParams
from resnet_ops.errors import DataError
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops_pipelines.new_project import found_masks
from resnet_ops_pipelines.new_project.found_masks import find_masks
from tests.unit.core.project.new_images import write_folder, write_image

SIDE = 16


def pair(root: Path, number: int, mask: np.ndarray, ending: str = ".png", mode: str | None = None) -> None:
    """A photograph, and beside it a mask."""
    path = root / "line" / f"{number:03d}.jpg"
    write_image(path, number, side=(SIDE, SIDE))
    Image.fromarray(mask, mode).save(path.with_name(path.stem + ending))


def half(low: object, high: object) -> np.ndarray:
    """A mask whose left half is one value and whose right half another."""
    left, right = np.array(low, np.uint8), np.array(high, np.uint8)
    mask = np.empty((SIDE, SIDE, *left.shape), np.uint8)
    mask[:, : SIDE // 2], mask[:, SIDE // 2 :] = left, right
    return mask


@pytest.mark.parametrize("ending", [".png", "_mask.png", "-mask.bmp", "_gt.tif"])
def test_masks_are_known_by_the_name_of_their_image(tmp_path: Path, ending: str) -> None:
    for number in range(4):
        pair(tmp_path, number, half(0, 255), ending)
    found = find_masks(tmp_path)
    assert found is not None
    assert (found.settings.masks, found.settings.threshold) == (ending, None)
    assert found.settings.classes == {"background": 0, "foreground": 255}
    assert [path.name for path in found.images] == [f"{number:03d}.jpg" for number in range(4)]


def test_folders_called_like_splits_are_given_and_images_beside_them_are_not_looked_at(
    tmp_path: Path,
) -> None:
    for number, part in enumerate(("train", "valid", "unsorted")):
        pair(tmp_path / part, number, half(0, 255))
    found = find_masks(tmp_path)
    assert found is not None
    assert found.given
    assert [path.name for path in found.images] == ["000.jpg", "001.jpg"]
    apart = find_masks(tmp_path / "train")
    assert apart is not None
    assert not apart.given


def test_levels_and_colours_are_classes_and_a_border_of_255_beside_small_levels_is_ignored(
    tmp_path: Path,
) -> None:
    levels, colours = tmp_path / "levels", tmp_path / "colours"
    three = half(0, 2)
    three[0], three[-1] = 1, 255
    coloured = half((0, 0, 0), (200, 0, 16))
    for number in range(3):
        pair(levels, number, three)
        pair(colours, number, coloured)
    found = find_masks(levels)
    assert found is not None
    assert found.settings.classes == {"background": 0, "class_1": 1, "class_2": 2}
    assert found.settings.ignore == 255
    found = find_masks(colours)
    assert found is not None
    assert found.settings.classes == {"background": (0, 0, 0), "foreground": (200, 0, 16)}
    assert found.settings.ignore is None


def test_soft_edges_of_two_classes_get_a_threshold_and_what_was_found_is_read_without_a_fault(
    tmp_path: Path,
) -> None:
    soft = half(0, 255)
    soft[:, SIDE // 2] = np.linspace(10, 240, SIDE).astype(np.uint8)
    for number in range(3):
        pair(tmp_path, number, soft)
    found = find_masks(tmp_path)
    assert found is not None
    assert found.settings.threshold == 128
    shares = SplitParams(train=0.4, validation=0.2, test=0.2, production=0.2)
    data = DataParams(
        source="imagefolder", root=str(tmp_path), image_size=8, channels=1, fit="crop", background=0, grey_bits="auto",
        window=None, similar_classes="ask", conflicts="stop", group=None, split=shares, task="segmentation",
        segmentation=found.settings,
    )  # fmt: skip
    raw = reading_of(data.chosen_task).read(data, lambda done, total: None, tmp_path)
    assert raw.targets is not None
    assert set(np.unique(raw.targets)) == {0, 1}


def test_masks_of_which_few_show_anything_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where none of those that are looked at first does."""
    monkeypatch.setattr(found_masks, "SAMPLE", 2)
    for number in range(6):
        pair(tmp_path, number, half(0, 255 if number == 1 else 0))
    found = find_masks(tmp_path)
    assert found is not None
    assert found.settings.classes == {"background": 0, "foreground": 255}


def test_masks_that_show_nothing_at_all_are_named(tmp_path: Path) -> None:
    for number in range(3):
        pair(tmp_path, number, half(0, 0), "_mask.png")
    with pytest.raises(DataError, match=r"_mask\.png.* 0"):
        find_masks(tmp_path)


def test_masks_one_of_which_has_too_many_levels_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no class folders of which none is there."""
    monkeypatch.setattr(found_masks, "SAMPLE", 2)
    for number in range(6):
        grey = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
        pair(tmp_path, number, grey if number == 1 else half(0, 255), "_mask.png")
    with pytest.raises(DataError, match=r"_mask\.png.* levels"):
        find_masks(tmp_path)


def test_photographs_of_one_name_in_two_formats_are_no_masks(tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / "a" / f"{number}.jpg", number, side=(SIDE, SIDE))
        write_image(tmp_path / "a" / f"{number}.png", 10 + number, side=(SIDE, SIDE))
    assert find_masks(tmp_path) is None


def test_class_folders_are_no_masks_also_where_names_repeat(tmp_path: Path) -> None:
    assert find_masks(write_folder(tmp_path / "parts", {"good": 4, "bad": 4})) is None
    for name in ("good", "bad"):
        write_image(tmp_path / "same" / name / "1.png", 1)
    assert find_masks(tmp_path / "same") is None


def test_a_folder_of_masks_beside_that_of_images_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / "images" / f"{number}.jpg", number)
        write_image(tmp_path / "masks" / f"{number}.png", number)
    with pytest.raises(DataError, match=r"masks seems to hold the masks.*NAME_mask\.png"):
        find_masks(tmp_path)
