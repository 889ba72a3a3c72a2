"""CSV files that name images by an id alone, as Kaggle's do."""

from pathlib import Path

import pytest

from resnet_ops.data.listing.csv_listing import extra_columns, list_csv
from resnet_ops.data.sources import read_source
from resnet_ops.errors import DataError
from tests.unit.core.makers import make_data_params
from tests.unit.core.project.new_images import write_image

SPLITS = {"train", "validation", "test", "production"}


def write(root: Path, header: str, *rows: str, folder: str = "train", ending: str = ".png") -> Path:
    """`train.csv`, and an image for each first value of its rows."""
    root.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        write_image(root / folder / f"{row.split(',')[0].removesuffix(ending)}{ending}", number)
    file = root / "train.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


@pytest.mark.parametrize(
    ("header", "folder"),
    [
        ("id,label", "train"),
        ("image_id,label", "train_images"),
        ("id_code,diagnosis", "images"),
        ("Image,Id", "train/train"),
        ("id,breed", "."),
    ],
)
def test_ids_without_an_ending_lead_to_images_in_a_folder_beside_the_file(
    tmp_path: Path, header: str, folder: str
) -> None:
    file = write(tmp_path, header, "a.1,0", "b,1", "c,0", folder=folder)
    found, notes = list_csv(file, SPLITS)
    names = [each.path.relative_to(tmp_path / folder).name for each in found]
    assert names == ["a.1.png", "b.png", "c.png"]
    assert all(each.path.is_file() for each in found)
    assert [each.class_name for each in found] == ["0", "1", "0"]
    assert [each.extra for each in found] == [{}] * 3
    assert f"column {header.split(',')[0]}," in notes[0]
    assert extra_columns(file) == []


def test_ids_may_have_their_ending_and_other_columns_are_kept(tmp_path: Path) -> None:
    file = write(tmp_path, "image_id,patient,label,split", "a.png,p1,ok,train", "b.png,p2,dent,")
    raw = read_source(make_data_params(source="csv", root=str(file), image_size=8))
    assert raw.paths == ["train/a.png", "train/b.png"]
    assert raw.classes == ("dent", "ok")
    assert raw.extra == {"patient": ["p1", "p2"]}
    assert raw.allowed is not None
    assert raw.allowed[0] == ("train",)
    assert extra_columns(file) == ["patient"]


def test_of_several_folders_with_the_same_names_that_of_the_files_name_counts(tmp_path: Path) -> None:
    file = write(tmp_path, "id,label", "1,ok", "2,dent", folder="train_images")
    for number in (1, 2, 3):
        write_image(tmp_path / f"test_images/{number}.png", 50 + number)
    found, notes = list_csv(file, SPLITS)
    assert {each.path.parent.name for each in found} == {"train_images"}
    assert any("3 images are in no row and are left out" in note and "test_images/" in note for note in notes)
    other = file.rename(tmp_path / "labels.csv")
    with pytest.raises(DataError, match=r"labels\.csv: its column id names images in \S+ and in \S+ alike"):
        list_csv(other, SPLITS)


def test_every_row_without_its_image_is_named_by_its_line(tmp_path: Path) -> None:
    file = write(tmp_path, "id,label", "a,ok", "b,dent", "c,ok", "d,dent")
    (tmp_path / "train/b.png").unlink()
    write_image(tmp_path / "train/c.bmp", 9)
    with file.open("a") as lines:
        lines.write(",ok\nd,\n")
    with pytest.raises(DataError) as caught:
        list_csv(file, SPLITS)
    for part in (
        "train.csv: 4 of 6 rows are wrong",
        "line 3: there is no image b in train",
        "line 4: c is c.bmp and c.png; write its ending",
        "line 6: id is empty",
        "line 7: path or class is empty",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("header", "row", "why"),
    [
        (
            "image_id,healthy,scab",
            "a,1,0",
            r"none of the columns healthy, scab may be .* Call the one that is: class",
        ),
        ("id,label,target", "a,1,0", r"label and target of the columns label, target may be"),
        ("id", "a", r"column id names its images, but none of the columns"),
    ],
)
def test_a_file_whose_class_is_not_clear_is_asked_for_it(
    tmp_path: Path, header: str, row: str, why: str
) -> None:
    with pytest.raises(DataError, match=why):
        list_csv(write(tmp_path, header, row), SPLITS)


def test_images_that_are_elsewhere_are_missed_as_a_whole(tmp_path: Path) -> None:
    file = write(tmp_path, "id,label", "a,ok", "b,dent", "c,ok")
    for name in ("a", "b"):
        (tmp_path / f"train/{name}.png").unlink()
    with pytest.raises(
        DataError, match=r"of 3 images that its column id names, such as a, only 1 are in \S+/train, with"
    ):
        list_csv(file, SPLITS)
    for number, name in enumerate(("a", "b", "c")):
        write_image(tmp_path / f"test/{name}.png", 70 + number)
    with pytest.raises(DataError, match=r"only 1 are in \S+/train"):
        list_csv(file, SPLITS)  # and not those of the test, which are called so by chance
    file.write_text("id,label\n")
    with pytest.raises(DataError, match=r"column id names no image"):
        list_csv(file, SPLITS)
    file.write_text("id,label\nz,ok\n")
    with pytest.raises(DataError, match=r"such as z, none is in a folder of"):
        list_csv(file, SPLITS)


def test_a_column_without_a_name_is_no_class(tmp_path: Path) -> None:
    """As pandas writes its row numbers."""
    file = write(tmp_path, "id,healthy", "a,1", "b,0")
    rows = file.read_text().splitlines()
    file.write_text("\n".join([f",{rows[0]}", *(f"{place},{row}" for place, row in enumerate(rows[1:]))]))
    found, _ = list_csv(file, SPLITS)
    assert [(each.class_name, each.extra) for each in found] == [("1", {}), ("0", {})]
    file.write_text(",id\n0,a\n1,b\n")
    with pytest.raises(DataError, match="column id names its images, but none"):
        list_csv(file, SPLITS)
