"""Images with boxes or masks go to the splits that their makers gave them, where `data.source` says so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_ops.data.listing.given_splits import part_of_each
from resnet_ops.data.params import DataParams
from resnet_ops.data.raw import RawData
from resnet_ops.data.splits import split_images
from resnet_ops.errors import DataError
from resnet_ops.tasks.detection.labels.image_sets import set_of_each
from resnet_ops.tasks.detection.labels.reading import list_labels
from resnet_ops.tasks.reading.given import find_given
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import CocoMasks
from tests.unit.core.makers import SHARES
from tests.unit.core.tasks import drawn_boxes, masks
from tests.unit.core.tasks.coco_folders import PARTS, write_coco_folders

LEARNED, HELD_OUT = ("train", "validation"), ("test", "production")


def read(params: DataParams) -> RawData:
    return reading_of(params.chosen_task).read(params, lambda done, total: None, None)


def by_folder(raw: RawData) -> dict[str, set[str]]:
    """The splits to which the images of each folder went."""
    found: dict[str, set[str]] = {}
    for row in split_images(raw, SHARES, 0).rows:
        found.setdefault(row.path.split("/")[0], set()).add(row.split)
    return found


GIVEN = {"train": {"train"}, "valid": {"validation"}, "test": {*HELD_OUT}}


def boxes_of(root: Path, **changes: Any) -> DataParams:
    settings = {"labels": ".", "images": ".", "classes": ("pipe", "crack"), **changes}
    return drawn_boxes.make_params(root, drawn_boxes.make_detection(**settings), source="split_folders")


def test_coco_files_in_folders_are_one_data_set_whose_ids_do_not_meet(tmp_path: Path) -> None:
    raw = read(boxes_of(write_coco_folders(tmp_path)))
    assert len(raw.paths) == sum(PARTS.values()) == len({*raw.paths})
    assert raw.targets is not None
    for path, target in zip(raw.paths, raw.targets, strict=True):
        (box,) = target[target[:, 4] > 0]
        part, number = Path(path).parent.name, int(Path(path).stem)
        assert (box[3] - box[1], box[4]) == (2 * (4 + len(part)), 1 + number % 2), (
            "its own, at twice the size"
        )
    assert by_folder(raw) == GIVEN
    assert any(
        "train for train; valid for validation; test for test and production" in each for each in raw.notes
    )


def test_vocs_files_count_where_coco_files_lie_beside_them(tmp_path: Path) -> None:
    """As before folders of COCO files were read."""
    root = write_coco_folders(tmp_path)
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    (root / "train/0.xml").write_text(
        "<annotation><filename>0.png</filename><size><width>16</width><height>16</height></size>"
        f"<object><name>pipe</name>{box}</object></annotation>"
    )
    assert [each.file for each in list_labels(root, root / "train")[0].images] == ["0.png"]


def test_without_given_splits_in_the_settings_all_images_are_split_anew(tmp_path: Path) -> None:
    params = drawn_boxes.make_params(
        write_coco_folders(tmp_path),
        drawn_boxes.make_detection(labels=".", images=".", classes=("pipe", "crack")),
    )
    assert read(params).allowed is None


def test_a_fault_in_one_of_several_coco_files_is_named_with_it(tmp_path: Path) -> None:
    root = write_coco_folders(tmp_path)
    file = root / "valid/_annotations.coco.json"
    content = json.loads(file.read_text())
    content["annotations"][2]["category_id"] = 7
    content["images"].append({"id": 99, "file_name": "gone.png", "width": 16, "height": 16})
    file.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        read(boxes_of(root))
    for part in (
        "2 faults",
        "valid/_annotations.coco.json, annotation 2: is of the category 7",
        "valid/gone.png is",
    ):
        assert part in str(caught.value)
    assert by_folder(read(boxes_of(root, faults="drop"))) == GIVEN
    file.write_text("{")
    with pytest.raises(DataError, match=r"valid/_annotations\.coco\.json is not valid JSON"):
        read(boxes_of(root))


def test_masks_are_drawn_from_several_coco_files(tmp_path: Path) -> None:
    settings = masks.make_segmentation(
        masks=CocoMasks(labels=".", images=".", faults="refuse"), classes={"ground": 0, "pipe": 1, "crack": 2}
    )
    params = masks.make_params(write_coco_folders(tmp_path), settings, source="split_folders")
    raw = read(params)
    assert by_folder(raw) == GIVEN
    assert raw.targets is not None
    for path, target in zip(raw.paths, raw.targets, strict=True):
        assert {*np.unique(target)} == {0, 1 + int(Path(path).stem) % 2}


def test_masks_beside_images_go_with_them_to_the_split_of_their_folder(tmp_path: Path) -> None:
    parts = [tmp_path / part for part in ("Training/line 1", "Testing", "unsorted")]
    masks.write_spots(tmp_path, 42)
    for part in parts:
        part.mkdir(parents=True)
        for file in sorted(tmp_path.glob("*.png"))[: 2 * 14]:
            file.rename(part / file.name)
    raw = read(masks.make_params(tmp_path, source="split_folders"))
    assert by_folder(raw) == {"Training": {*LEARNED}, "Testing": {*HELD_OUT}}
    assert any("14 images are in none of them and are left out" in each for each in raw.notes)
    assert by_folder(read(masks.make_params(tmp_path))).keys() == {"Training", "Testing", "unsorted"}


@pytest.mark.parametrize("folders", [("train",), ("val", "test"), ("nuts", "bolts")])
def test_splits_that_are_not_given_are_missed(tmp_path: Path, folders: tuple[str, ...]) -> None:
    for folder in folders:
        masks.write_spots(tmp_path / folder, 4)
    with pytest.raises(
        DataError, match=r"source is split_folders, but .* set data\.source in params\.yaml to"
    ):
        read(masks.make_params(tmp_path, source="split_folders"))


def test_the_folders_that_count_lie_below_what_all_images_share() -> None:
    paths = [Path(f"test/train/images/{part}/{n}.png") for part in ("val", "train") for n in range(2)]
    given = find_given(paths, None)
    assert given is not None
    assert {path.parent.name: splits for path, splits in given.allowed.items()} == {
        "train": LEARNED,
        "val": HELD_OUT,
    }
    assert find_given(paths[:2], None) is None
    assert find_given([], None) is None
    with pytest.raises(DataError, match="val and valid are both called like the validation split"):
        find_given([*paths, Path("test/train/images/valid/0.png")], None)


def write_sets(root: Path, **lists: str) -> list[Path]:
    """Image sets of images a to f."""
    (root / "ImageSets/Main").mkdir(parents=True)
    for name, text in lists.items():
        (root / f"ImageSets/Main/{name}.txt").write_text("\n".join(text) + "\n\n")
    return [root / f"JPEGImages/{name}.jpg" for name in "abcdef"]


@pytest.mark.parametrize(
    ("lists", "wanted"),
    [
        ({"train": "ab", "val": "c", "trainval": "abc", "test": "de"},
         {("train",): "ab", ("validation",): "c", HELD_OUT: "de"}),
        ({"trainval": "abc", "test": "de"}, {LEARNED: "abc", HELD_OUT: "de"}),
        ({"train": "ab", "val": "cd", "trainval": "abcd"}, {LEARNED: "ab", HELD_OUT: "cd"}),
        ({"train": "a", "test": "de", "trainval": "abc"}, {LEARNED: "abc", HELD_OUT: "de"}),
    ],
)  # fmt: skip
def test_vocs_lists_say_the_splits(tmp_path: Path, lists: dict[str, str], wanted: dict[Any, str]) -> None:
    images = write_sets(tmp_path, **lists, cat_train="ab", layout="f")
    given = find_given(images, tmp_path)
    assert given is not None
    found = {splits: "".join(p.stem for p in images if given.allowed.get(p) == splits) for splits in wanted}
    assert found == wanted
    assert "Lists in ImageSets/Main" in given.notes[0]
    assert any(
        "are in none of them and are left out" in note and note.endswith("jpg") for note in given.notes
    )


def test_an_image_in_two_lists_is_named_by_both_lines(tmp_path: Path) -> None:
    images = write_sets(tmp_path, train="abc", test="dcb")
    with pytest.raises(DataError) as caught:
        set_of_each(tmp_path, images)
    assert "2 images are in two lists" in str(caught.value)
    assert f"train.txt, line 3: c stands at {tmp_path}/ImageSets/Main/test.txt, line 2" in str(caught.value)


def test_lines_without_an_image_are_told_and_names_may_hold_blanks_an_ending_or_a_number_behind(
    tmp_path: Path,
) -> None:
    images = [*write_sets(tmp_path, train="ax", test="de"), tmp_path / "JPEGImages/b c.jpg"]
    (tmp_path / "ImageSets/Main/test.txt").write_text("d.jpg  1\n\nb c\ny\n")
    named, notes = set_of_each(tmp_path, images)
    assert {image.stem: name for image, name in named.items()} == {"a": "train", "d": "test", "b c": "test"}
    (note,) = notes
    assert "2 lines name no image that has labels" in note
    assert "test.txt, line 4: y" in note
    (tmp_path / "ImageSets/Main/test.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"test\.txt cannot be read"):
        set_of_each(tmp_path, images)


def test_a_name_that_several_images_have_leads_to_none_of_them(tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("train/1.png", "test/1.png", "train/2.png")]
    sets = tmp_path / "ImageSets/Main"
    sets.mkdir(parents=True)
    for name, lines in (("train", "1\n2\n"), ("test", "1\n")):
        (sets / f"{name}.txt").write_text(lines)
    named, notes = set_of_each(tmp_path, images)
    assert named == {images[2]: "train"}
    assert "2 lines" in notes[0]


def test_an_image_is_of_the_folder_in_which_it_lies_however_it_is_spelled(tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("train/1.png", "train/../test/2.png")]
    assert part_of_each(images) == {images[0]: "train", images[1]: "test"}
