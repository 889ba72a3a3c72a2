"""Folders that are called like splits say where their images go, in whatever spelling."""

from dataclasses import replace
from pathlib import Path

import pytest

from resnet_ops.data.conflicts import settle_conflicts
from resnet_ops.data.listing import listings
from resnet_ops.data.listing.given_splits import given_splits
from resnet_ops.data.sources import check_source, read_source
from resnet_ops.data.splits import split_images
from resnet_ops.errors import DataError
from tests.unit.core.data.image_folders import folder_params
from tests.unit.core.project.new_images import write_folder

LEARNED, HELD_OUT = ("train", "validation"), ("test", "production")


def tree(root: Path, *folders: str) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("folders", "wanted"),
    [
        (("train", "test"), (LEARNED, HELD_OUT)),
        (("Training", "Testing"), (LEARNED, HELD_OUT)),
        (("TRAIN", "val"), (LEARNED, HELD_OUT)),
        (("train", "valid"), (LEARNED, HELD_OUT)),
        (("train", "validation"), (LEARNED, HELD_OUT)),
        (("train", "valid", "test"), (("train",), ("validation",), HELD_OUT)),
        (("train", "validation", "test", "production"), tuple((each,) for each in LEARNED + HELD_OUT)),
        (("train", "test", "production"), (LEARNED, ("test",), ("production",))),
        (("train", "val", "production"), (("train",), ("validation",), HELD_OUT)),
    ],
)
def test_each_spelling_is_known_and_what_is_not_given_is_cut_from_its_neighbour(
    tmp_path: Path, folders: tuple[str, ...], wanted: tuple[tuple[str, ...], ...]
) -> None:
    root = tree(tmp_path, *(f"{folder}/cat" for folder in folders), "extra/cat", ".cache/cat")
    assert given_splits(root) == dict(zip((root / each for each in folders), wanted, strict=True))


@pytest.mark.parametrize(
    "folders", [(), ("train/cat",), ("test/cat", "val/cat"), ("train/cat", "test"), ("cat", "train", "test")]
)
def test_without_class_folders_in_two_parts_there_are_no_given_splits(
    tmp_path: Path, folders: tuple[str, ...]
) -> None:
    assert given_splits(tree(tmp_path, *folders)) == {}


def test_images_go_where_their_folders_say_and_what_lies_beside_is_told(tmp_path: Path) -> None:
    counts = {f"{part}/{name}": 12 for part in ("train", "valid", "test") for name in ("cat", "dog")}
    root = write_folder(tmp_path, {**counts, "extra/cow": 2})
    raw = read_source(replace(folder_params(root), source="split_folders"))
    assert raw.classes == ("cat", "dog")
    said = raw.notes[0]
    assert "train for train; valid for validation; test for test and production" in said
    assert raw.notes[1].endswith("extra")
    rows = split_images(raw, folder_params(root).split, 0).rows
    found = {(row.path.split("/")[0], row.split) for row in rows}
    assert found == {("train", "train"), ("valid", "validation"), ("test", "test"), ("test", "production")}


def test_folders_that_disagree_in_classes_stop_the_run_before_a_file_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path, "train/cat", "train/dog", "test/cat", "test/unknown")
    monkeypatch.setattr(listings, "find", None)
    with pytest.raises(DataError, match=r"unknown is not in train; class dog is not in test.* as unsorted"):
        check_source(replace(folder_params(root), source="split_folders"))


def test_a_test_folder_without_class_folders_is_left_to_a_person(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"train/cat": 2, "train/dog": 2, "test": 2})
    with pytest.raises(DataError, match=r"test, train are called like splits.* init \S+/train"):
        check_source(folder_params(root))
    with pytest.raises(DataError, match=r"source is split_folders, but there is no"):
        check_source(replace(folder_params(root), source="split_folders"))


def test_imagenets_layout_is_train_and_val_whatever_lies_beside_them(tmp_path: Path) -> None:
    counts = {f"{part}/{name}": 12 for part in ("train", "val") for name in ("cat", "dog")}
    root = write_folder(tmp_path, {**counts, "test/unknown": 2, "production/cat": 2})
    (root / "validation").symlink_to(root / "val")
    raw = read_source(replace(folder_params(root), source="imagenet"))
    assert raw.notes == ()
    splits = {
        (row.path.split("/")[0], row.split) for row in split_images(raw, folder_params(root).split, 0).rows
    }
    assert splits == {(part, split) for part, of in (("train", LEARNED), ("val", HELD_OUT)) for split in of}


def test_a_folder_that_is_another_ones_link_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/cat", "val/cat")
    (root / "test").symlink_to(root / "val")
    with pytest.raises(DataError, match="test and val are the same folder"):
        given_splits(root)


def test_two_folders_for_one_split_are_named(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/cat", "val/cat", "valid/cat")
    with pytest.raises(DataError, match=r"val and valid .* validation"):
        given_splits(root)


def test_copies_over_given_splits_are_counted_and_kept_together(tmp_path: Path) -> None:
    root = write_folder(
        tmp_path, {f"{part}/{name}": 8 for part in ("train", "test") for name in ("cat", "dog")}
    )
    copy = root / "test/cat/copy.png"
    for place in (copy, root / "train/cat/002.png"):
        place.write_bytes((root / "train/cat/001.png").read_bytes())
    params = replace(folder_params(root), source="split_folders")
    raw = settle_conflicts(read_source(params), "stop")
    assert raw.notes[-1].startswith(
        "1 images are given for more than one split, such as train/cat/001.png and its copy test/cat/copy.png"
    )
    splits = {row.path: row.split for row in split_images(raw, params.split, 0).rows}
    assert splits["test/cat/copy.png"] == splits["train/cat/001.png"] in LEARNED
    copy.unlink()
    assert not any(
        "more than one split" in note for note in settle_conflicts(read_source(params), "stop").notes
    )


@pytest.mark.parametrize(
    ("counts", "table", "said"),
    [
        ({"archive/data/cat": 1, "archive/data/dog": 1}, None, r"not 2.* \S+/archive, perhaps"),
        ({"images": 2}, "labels.csv", r"not 2.* columns path and class: \S+/labels\.csv, perhaps"),
        ({"train": 2, "test": 2}, "train.csv", r"columns path, class and split"),
        ({"images": 2, "labels": 0}, None, r"no image in class folder labels.* data\.yaml"),
    ],
)
def test_what_is_laid_out_otherwise_is_refused_with_what_is_there(
    tmp_path: Path, counts: dict[str, int], table: str | None, said: str
) -> None:
    root = write_folder(tree(tmp_path, *counts), counts)
    if table:
        (root / table).write_text("id,label\n")
    with pytest.raises(DataError, match=said):
        check_source(folder_params(root))


def test_it_is_told_that_splits_inside_of_the_classes_are_not_kept(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"cat/train": 2, "cat/test": 2, "dog": 2})
    (note,) = read_source(folder_params(root)).notes
    assert "inside of cat are not" in note
