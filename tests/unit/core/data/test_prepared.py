"""Prepared data on disk: what is written is what is read, and what is broken is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnet_ops.data import PreparedData, load_prepared, save_prepared
from resnet_ops.errors import DataError
from tests.unit.core.makers import make_data


@pytest.fixture
def data() -> PreparedData:
    return make_data({"train": [0, 1, 0], "test": [1, 0]}, ("a,b", 'c"d\né'))


@pytest.fixture
def folder(data: PreparedData, tmp_path: Path) -> Path:
    save_prepared(data, tmp_path / "prepared", ("train", "test"))
    return tmp_path / "prepared"


def test_what_is_saved_is_loaded_again(data: PreparedData, tmp_path: Path) -> None:
    rows = [replace(row, path=f'odd, "name"\nü {row.index}.png') for row in data.rows]
    save_prepared(replace(data, rows=rows), tmp_path / "new" / "folder", ("train", "test"))
    loaded = load_prepared(tmp_path / "new" / "folder")
    assert np.array_equal(loaded.images, data.images)
    assert loaded.images.dtype == np.uint8
    assert np.array_equal(loaded.labels, data.labels)
    assert loaded.labels.dtype == np.int64
    assert loaded.rows == rows
    assert loaded.classes == data.classes


def test_the_folder_holds_three_files_with_the_columns_that_others_read(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["classes.json", "images.npy", "manifest.csv"]
    header = (folder / "manifest.csv").read_text().splitlines()[0]
    assert header == "index,path,label,class_name,split,sha256,width,height"


def test_equal_data_has_equal_bytes(data: PreparedData, folder: Path, tmp_path: Path) -> None:
    save_prepared(data, tmp_path / "again", ("train", "test"))
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_a_split_keeps_images_labels_and_rows_together(data: PreparedData) -> None:
    test = data.split("test")
    assert len(test) == 2
    assert np.array_equal(test.images, data.images[3:])
    assert test.labels.tolist() == [1, 0]
    assert [row.index for row in test.rows] == [3, 4]
    assert test.classes == data.classes
    assert [row.index for row in data.split("test", "train").rows] == [0, 1, 2, 3, 4]


def test_every_split_lies_in_one_stretch_in_the_order_it_had_and_is_read_from_disk(tmp_path: Path) -> None:
    data = make_data({"a": [0, 1, 0], "b": [1, 0], "c": [1, 1]}, ("x", "y"))
    mixed = [3, 0, 5, 1, 4, 2, 6]
    shuffled = PreparedData(data.images[mixed], data.labels[mixed], [data.rows[i] for i in mixed], ("x", "y"))
    save_prepared(shuffled, tmp_path, ("b", "a"))
    loaded = load_prepared(tmp_path)
    assert [row.index for row in loaded.rows] == [3, 4, 0, 1, 2]
    assert isinstance(loaded.images, np.memmap)
    assert not loaded.images.flags.writeable
    for name in ("a", "b"):
        part, expected = loaded.split(name), shuffled.split(name)
        assert np.shares_memory(part.images, loaded.images)
        assert np.array_equal(part.images, expected.images)
        assert np.array_equal(part.labels, expected.labels)
        assert part.rows == expected.rows


def test_an_empty_split_is_not_written(data: PreparedData, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="in split validation"):
        save_prepared(data, tmp_path / "new", ("train", "validation"))
    assert not (tmp_path / "new").exists()


def test_the_images_file_is_the_one_that_numpy_would_write(data: PreparedData, folder: Path) -> None:
    np.save(folder / "numpys.npy", data.images)
    assert (folder / "images.npy").read_bytes() == (folder / "numpys.npy").read_bytes()


def test_an_empty_split_is_an_error_that_names_it(data: PreparedData) -> None:
    with pytest.raises(DataError, match=r"in split validation\. Check data\.split"):
        data.split("validation")


@pytest.mark.parametrize("name", ["classes.json", "images.npy", "manifest.csv"])
def test_a_missing_file_is_an_error_that_says_what_to_run(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"{name}.*dvc repro"):
        load_prepared(folder)


@pytest.mark.parametrize("name", ["classes.json", "images.npy", "manifest.csv"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9])
def test_a_file_cut_off_is_an_error_that_says_what_to_run(folder: Path, name: str, kept: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match="dvc repro"):
        load_prepared(folder)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [("label,", "lable,", r"'label'.*dvc repro"), ("made/1,1,", "made/1,one,", "'one'")],
)
def test_a_missing_column_and_a_label_that_is_no_number_are_named(
    folder: Path, old: str, new: str, named: str
) -> None:
    text = (folder / "manifest.csv").read_text()
    (folder / "manifest.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=named):
        load_prepared(folder)


@pytest.mark.parametrize(
    ("images", "why"),
    [
        (np.zeros((7, 8, 8, 1), np.uint8), "7 images but 5"),
        (np.zeros((5, 8, 8, 1), np.float32), r"not uint8 or uint16 \(N, H, W, C\)"),
        (np.zeros((5, 8, 8), np.uint8), r"not uint8 or uint16 \(N, H, W, C\)"),
        (np.array([{"a": 1}] * 5, dtype=object), "Python objects"),
    ],
)
def test_images_of_another_kind_or_number_are_refused_and_pickles_never_read(
    folder: Path, images: np.ndarray, why: str
) -> None:
    np.save(folder / "images.npy", images)
    with pytest.raises(DataError, match=why):
        load_prepared(folder)


@pytest.mark.parametrize("content", ["5", "null", "{not json"])
def test_class_names_that_are_no_list_are_an_error(folder: Path, content: str) -> None:
    (folder / "classes.json").write_text(content)
    with pytest.raises(DataError, match="dvc repro"):
        load_prepared(folder)
