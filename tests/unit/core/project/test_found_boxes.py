"""What `resnet-ops init` takes for boxes, in any form, and what it says of them."""

import json
from pathlib import Path

import pytest

from resnet_ops.errors import DataError
from resnet_ops_pipelines.new_project.found_boxes import FoundBoxes, find_boxes
from tests.unit.core.project.new_images import write_folder, write_image

pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")

COUNT, WIDTH, HEIGHT = 6, 80, 40
BOX = (8, 4, 28, 14)
"""Left, top, right, bottom."""


def kind(number: int) -> str:
    return ("nut", "bolt")[number % 2]


def write_voc(root: Path, images: Path) -> None:
    left, top, right, bottom = BOX
    (root / "Annotations").mkdir(parents=True)
    for number in range(COUNT):
        (root / f"Annotations/{number}.xml").write_text(
            f"<annotation><filename>{number}.png</filename><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
            f"<object><name>{kind(number)}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
            f"<ymax>{bottom}</ymax></bndbox></object></annotation>"
        )


def write_coco(root: Path, images: Path) -> None:
    left, top, right, bottom = BOX
    content = {
        "images": [
            {"id": n, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT} for n in range(COUNT)
        ],
        "categories": [{"id": 1, "name": "bolt"}, {"id": 2, "name": "nut"}, {"id": 3, "name": "washer"}],
        "annotations": [
            {
                "id": n,
                "image_id": n,
                "category_id": 2 - n % 2,
                "bbox": [left, top, right - left, bottom - top],
            }
            for n in range(COUNT)
        ],
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "boxes.json").write_text(json.dumps(content) + "\n")


def write_yolo(root: Path, images: Path) -> None:
    left, top, right, bottom = BOX
    (root / "labels").mkdir(parents=True)
    (root / "classes.txt").write_text("nut\nbolt\n")
    shares = (
        (left + right) / 2 / WIDTH,
        (top + bottom) / 2 / HEIGHT,
        (right - left) / WIDTH,
        (bottom - top) / HEIGHT,
    )
    for number in range(COUNT):
        text = " ".join(map(str, (number % 2, *shares)))
        (root / f"labels/{number}.txt").write_text(text)


def write_csv(root: Path, images: Path) -> None:
    rows = [f"{number}.png;{kind(number)};{';'.join(map(str, BOX))}" for number in range(COUNT)]
    root.mkdir(parents=True, exist_ok=True)
    (root / "boxes.csv").write_text("\n".join(["image;class;xmin;ymin;xmax;ymax", *rows]))


def made(root: Path, write: object, images: str) -> Path:
    """Images in a folder, and labels of a form."""
    for number in range(COUNT):
        write_image(root / images / f"{number}.png", number, side=(WIDTH, HEIGHT))
    write(root, root / images)  # type: ignore[operator]
    return root


def found_in(place: Path) -> FoundBoxes:
    found = find_boxes(place)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("write", "images", "labels"),
    [
        (write_voc, "JPEGImages", "Annotations"),
        (write_coco, "pictures/first", "boxes.json"),
        (write_yolo, "images", "."),
        (write_csv, ".", "boxes.csv"),
    ],
)
def test_each_form_is_found_with_its_images_and_classes(
    tmp_path: Path, write: object, images: str, labels: str
) -> None:
    root = made(tmp_path / "parts", write, images)
    found = found_in(root)
    assert (found.settings.labels, found.settings.images, found.root) == (labels, images, root)
    assert sorted(found.settings.classes) == ["bolt", "nut"], "a class without an object is none to learn"
    assert {path.name for path in found.images} == {f"{number}.png" for number in range(COUNT)}
    assert all(path.is_file() for path in found.images)
    assert (found.settings.faults, found.faults) == ("refuse", ())
    assert found.least_size == 64, "a box of 10 pixels in an image of 80 has 8 in one of 64"


def test_a_file_of_boxes_may_be_named_itself_where_a_folder_has_several(tmp_path: Path) -> None:
    root = made(tmp_path / "parts", write_coco, "images")
    write_csv(root, root / "images")
    with pytest.raises(DataError, match=r"several lists of boxes.*boxes\.csv.*boxes\.json"):
        find_boxes(root)
    for name in ("boxes.csv", "boxes.json"):
        assert found_in(root / name).settings.labels == name


def test_faults_are_named_and_remedied(tmp_path: Path) -> None:
    root = made(tmp_path / "parts", write_csv, ".")
    with (root / "boxes.csv").open("a") as file:
        file.write("\n0.png;nut;70;4;90;14\n1.png;bolt;5;5;5;9\n")
    found = found_in(root)
    assert found.settings.faults == "clip"
    assert ["line 8" in found.faults[0], "line 9" in found.faults[1], len(found.faults)] == [True, True, 2]


def test_images_that_are_not_there_are_named(tmp_path: Path) -> None:
    write_coco(tmp_path / "parts", tmp_path)
    with pytest.raises(
        DataError, match=r"6 images that the labels name, such as 0\.png, none is in any folder"
    ):
        find_boxes(tmp_path / "parts")


def test_the_rest_of_a_coco_file_is_not_passed_over_nor_one_with_something_behind_it(tmp_path: Path) -> None:
    write_coco(tmp_path / "parts", tmp_path / "parts")
    file = tmp_path / "parts/boxes.json"
    whole = file.read_bytes()
    for broken in (whole[:200], whole + b"}", whole[:200].decode().encode("utf-16")):
        file.write_bytes(broken)
        with pytest.raises(DataError, match=r"boxes\.json looks like a COCO file"):
            find_boxes(tmp_path / "parts")


def test_class_folders_with_notes_of_any_kind_have_no_boxes(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "parts", {"a": 3, "b": 3})
    (root / "classes.txt").write_text("a\nb\n")
    (root / "a/001.json").write_text('{"camera": 1}')
    (root / "a/broken.json").write_text("{")
    (root / "chat.json").write_text('\ufeff{"images": ["a/001.png"], "text": "a nut"}\n{"images": []}\n{"ima')
    (root / "list.csv").write_text("path,class\na/001.png,a\n")
    (root / "export.xml").write_text("<report/>")
    assert find_boxes(root) is None
    assert find_boxes(root / "list.csv") is None


def test_yolo_text_may_lie_in_folders_beside_those_of_the_images_of_each_part(tmp_path: Path) -> None:
    root = tmp_path / "parts"
    for part, name in (("train", "1"), ("valid", "2")):
        write_image(root / part / "images" / f"{name}.png", int(name), side=(WIDTH, HEIGHT))
        (root / part / "labels").mkdir()
        (root / part / "labels" / f"{name}.txt").write_text("0 .5 .5 .2 .2\n")
    (root / "data.yaml").write_text("names: [nut]\n")
    (root / "README.roboflow.txt").write_text("where it comes from")
    found = found_in(root)
    assert (found.settings.images, found.settings.classes, found.faults) == (".", ("nut",), ())
    assert len(found.images) == 2


@pytest.mark.parametrize(
    ("text", "why"), [('{"images": [', "is not valid JSON"), ('{"images": []}', "is no COCO file")]
)
def test_a_json_file_that_is_named_and_holds_no_boxes_is_told_as_such(
    tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(DataError, match=why):
        find_boxes(tmp_path / "boxes.json")
