"""Labels of boxes: four formats that say the same, and every kind of fault with its place."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_ops.errors import DataError
from resnet_ops.tasks.detection.boxes import Labels
from resnet_ops.tasks.detection.labels.reading import read_labels
from tests.unit.core.tasks.detection.label_files import (
    coco_content,
    voc_object,
    write_coco,
    write_images,
    write_voc,
    write_yolo,
)

BCCD = Path("/work/shared/data/bccd/bccd_voc.tar.xz")


def as_coco(root: Path) -> Path:
    content = coco_content()
    content["annotations"][1]["iscrowd"] = 0
    return write_coco(root / "coco.json", content)


def as_voc(root: Path) -> Path:
    write_voc(root / "voc", "a", voc_object("dog", 1, 2, 11, 22), voc_object("cat", 5, 5, 35.5, 25))
    return write_voc(root / "voc", "b")


def as_yolo(root: Path) -> Path:
    write_images(root / "yolo" / "images", "a.png", "b.png")
    return write_yolo(root / "yolo", a="1 0.15 0.4 0.25 0.6666666667\n0 0.50625 0.5 0.7625 0.6666666667\n")


def as_csv(root: Path) -> Path:
    file = root / "boxes.csv"
    file.write_text(
        "image;class;xmin;ymin;xmax;ymax;width;height\na.png;dog;1;2;11;22;40;30\n"
        "a.png;cat;5;5;35.5;25;40;30\nb.png;;;;;;40;30\n"
    )
    return file


@pytest.mark.parametrize("write", [as_coco, as_voc, as_yolo, as_csv])
def test_four_formats_come_to_the_same_boxes(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    found = read_labels(write(tmp_path), "refuse")
    assert found.classes == ("cat", "dog")
    first, empty = found.images
    assert (first.file, first.width, first.height, empty.file) == ("a.png", 40, 30, "b.png")
    np.testing.assert_allclose(first.boxes, np.array([[1.0, 2, 11, 22], [5, 5, 35.5, 25]]), atol=1e-6)
    assert first.classes.tolist() == [1, 0]
    assert empty.boxes.shape == (0, 4)
    assert any("1 of 2 images show no object and are kept" in note for note in found.notes)


def test_coco_ids_of_any_kind_are_numbered_anew_and_that_is_said(tmp_path: Path) -> None:
    found = read_labels(write_coco(tmp_path / "coco.json", coco_content()), "refuse")
    assert found.class_ids == {"1": 0, "3": 1, "cat": 0, "dog": 1}
    assert found.images[0].id == "7"
    assert found.images[0].crowd.tolist() == [False, True]
    assert found.images[0].areas.tolist() == [150, 610]
    assert any("category ids 1, 3 are numbered from 0" in note for note in found.notes)


def test_a_difficult_object_does_not_count(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", voc_object("dog", 1, 2, 11, 22, difficult=1), voc_object("dog", 5, 5, 9, 9))
    assert read_labels(tmp_path, "refuse").images[0].crowd.tolist() == [True, False]


OUTSIDE, FLAT, TWICE = (30.0, 20.0, 45.0, 29.0), (5.0, 5.0, 5.0, 9.0), (1.0, 2.0, 11.0, 22.0)


def faulty_voc(root: Path) -> Path:
    objects = [
        voc_object("dog", *TWICE),
        voc_object("dog", *OUTSIDE),
        voc_object("dog", *FLAT),
        voc_object("dog", *TWICE),
        voc_object("bird", 1, 2, 3, 4),
        voc_object("dog", float("nan"), 2, 3, 4),
    ]
    write_voc(root / "voc", "a", *objects)
    write_voc(root / "voc", "b", size=(41, 30))
    return write_voc(root / "voc", "c")


def read_faulty(root: Path, remedy: Any) -> Labels:
    images = write_images(root / "pictures", "a.png", "b.png")
    return read_labels(faulty_voc(root), remedy, classes=("cat", "dog"), images=images)


def test_every_fault_is_listed_with_its_file_and_line_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        read_faulty(tmp_path, "refuse")
    said = str(refused.value)
    a = tmp_path / "voc" / "a.xml"
    for line in (
        "has 7 faults",
        f"{a}, line 6: the box reaches out of the image of 40x30 pixels (30, 20, 45, 29)",
        f"{a}, line 9: the box has no area (left, top, right, bottom: 5, 5, 5, 9)",
        f"{a}, line 12: the same box stands at {a}, line 3",
        f"{a}, line 15: has the unknown class 'bird'",
        f"{a}, line 18: a corner of the box is no number (nan, 2, 3, 4)",
        f"{tmp_path / 'voc' / 'b.xml'}: says 41x30",
        f"{tmp_path / 'voc' / 'c.xml'}: the image c.png is not in",
        "`drop`",
        "`clip`",
    ):
        assert line in said


@pytest.mark.parametrize(
    ("remedy", "boxes"), [("drop", [list(TWICE)]), ("clip", [list(TWICE), [30.0, 20.0, 40.0, 29.0]])]
)
def test_faults_are_left_out_or_cut_as_the_remedy_says(tmp_path: Path, remedy: str, boxes: list[Any]) -> None:
    found = read_faulty(tmp_path, remedy)
    (image,) = found.images
    assert image.boxes.tolist() == boxes
    assert any(f"7 faults were remedied ({remedy})" in note for note in found.notes)
    assert any("No object is of the class cat" in note for note in found.notes)


def test_an_image_that_is_described_twice_is_a_fault(tmp_path: Path) -> None:
    for stem in ("x", "y"):
        write_voc(tmp_path, stem, voc_object("dog", 1, 2, 3, 4))
        text = (tmp_path / f"{stem}.xml").read_text().replace(f"{stem}.png", "same.png")
        (tmp_path / f"{stem}.xml").write_text(text)
    with pytest.raises(DataError, match=r"y\.xml: the image same\.png is also described by .*x\.xml"):
        read_labels(tmp_path, "refuse")
    assert len(read_labels(tmp_path, "drop").images) == 1


@pytest.mark.parametrize("again", ["./a.png", "sub/../a.png", ".//a.png"])
def test_an_image_described_twice_is_one_however_its_name_is_written(tmp_path: Path, again: str) -> None:
    content = coco_content()
    content["images"].append({**content["images"][0], "id": 70, "file_name": again})
    with pytest.raises(DataError, match=r"the image .*a\.png is also described by"):
        read_labels(write_coco(tmp_path / "coco.json", content), "refuse")


def test_annotations_of_images_and_categories_that_are_not_listed_are_faults(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"] += [
        {"id": 3, "image_id": 8, "category_id": 3, "bbox": [1, 2, 3, 4]},
        {"id": 4, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4]},
        {"id": 5, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3]},
    ]
    file = write_coco(tmp_path / "coco.json", content)
    with pytest.raises(DataError) as refused:
        read_labels(file, "refuse")
    assert "annotation 3: is of the image 8, which is not listed" in str(refused.value)
    assert "annotation 4: is of the category 2, which is not listed" in str(refused.value)
    assert "annotation 5: has no `bbox`" in str(refused.value)
    assert len(read_labels(file, "drop").images[0].boxes) == 2


def test_what_cannot_be_read_is_refused_whatever_the_remedy(tmp_path: Path) -> None:
    content = coco_content()
    content["images"].append({"id": 7, "file_name": "c.png"})
    content["categories"].append({"id": 4, "name": "dog"})
    with pytest.raises(DataError) as refused:
        read_labels(write_coco(tmp_path / "coco.json", content), "drop")
    assert "image 7 (c.png): the id stands there twice" in str(refused.value)
    assert "category 4 'dog': the id or the name stands there twice" in str(refused.value)
    (tmp_path / "cut.json").write_text('{"images": [\n{')
    with pytest.raises(DataError, match=r"not valid JSON .*line 2"):
        read_labels(tmp_path / "cut.json", "drop")


def test_yolo_numbers_from_1_pixels_and_lost_labels_are_faults_with_their_line(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.png")
    write_yolo(tmp_path, a="0 .5 .5 .2 .2\n2 .5 .5 .2 .2\n0 20 15 4 4\n", lost="0 .5 .5 .2 .2\n")
    with pytest.raises(DataError) as refused:
        read_labels(tmp_path, "refuse")
    assert "a.txt, line 2: has the unknown class 2; numbers are those of the names, from 0" in str(
        refused.value
    )
    assert "a.txt, line 3: is in pixels or percent" in str(refused.value)
    assert "lost.txt: there is no image of this name" in str(refused.value)
    write_yolo(tmp_path, a="0 .5 .5 .2\n")
    with pytest.raises(DataError, match=r"a\.txt, line 1: has 4 values"):
        read_labels(tmp_path, "drop")


def test_two_images_of_one_yolo_text_are_a_fault_and_neither_shows_nothing_by_chance(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "a.jpg", "a.png", "b.png")
    write_yolo(tmp_path, a="0 .5 .5 .2 .2\n")
    with pytest.raises(DataError, match=r"a\.png: shares a\.txt with .*a\.jpg"):
        read_labels(tmp_path, "refuse")
    left = read_labels(tmp_path, "drop")
    assert [(image.file, len(image.boxes)) for image in left.images] == [("a.jpg", 1), ("b.png", 0)]


def test_csv_rows_are_named_by_their_line(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text("image,class,xmin,ymin,xmax,ymax\na.png,dog,1,2,3,4\n,dog,1,2,3,4\na.png,dog,1,2,3\n")
    with pytest.raises(DataError) as refused:
        read_labels(file, "drop", images=write_images(tmp_path / "pictures", "a.png"))
    assert "line 3: has no image" in str(refused.value)
    assert "line 4: 5 values for 6 columns" in str(refused.value)


@pytest.mark.parametrize(
    "prologue",
    [
        '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;">]>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd">',
    ],
)
def test_xml_with_entities_is_refused_before_they_are_expanded(tmp_path: Path, prologue: str) -> None:
    (tmp_path / "a.xml").write_text(f"{prologue}<annotation><filename>&x;</filename></annotation>")
    with pytest.raises(DataError, match="declares a document type"):
        read_labels(tmp_path, "drop")


def test_xml_that_is_broken_or_deep_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<annotation><filename>")
    (tmp_path / "b.xml").write_text("<a>" * 100_000)
    (tmp_path / "c.xml").write_text("<html/>")
    with pytest.raises(DataError) as refused:
        read_labels(tmp_path, "drop")
    for said in ("a.xml: cannot be read as VOC XML: ", "nested more than 20 deep", "not <annotation>"):
        assert said in str(refused.value)


def test_a_name_that_leads_out_of_the_folder_of_images_is_no_image(tmp_path: Path) -> None:
    write_images(tmp_path, "secret.png")
    content = coco_content()
    content["images"][1]["file_name"] = "../secret.png"
    images = write_images(tmp_path / "pictures", "a.png")
    with pytest.raises(DataError, match=r"the image \.\./secret\.png is not in"):
        read_labels(write_coco(tmp_path / "coco.json", content), "refuse", images=images)


@pytest.mark.slow
@pytest.mark.skipif(not BCCD.exists(), reason="the BCCD images are not here")
def test_the_two_flat_boxes_of_bccd_are_named(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(BCCD) as archive:
        for each in archive:
            if each.isfile() and each.name.startswith(("BCCD/Annotations", "BCCD/ImageSets")):
                (tmp_path / each.name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / each.name).write_bytes(archive.extractfile(each).read())  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"has 2 faults(.|\n)*00338\.xml, line 158(.|\n)*00343\.xml, line 50"):
        read_labels(tmp_path / "BCCD" / "Annotations", "refuse")
    found = read_labels(tmp_path / "BCCD" / "Annotations", "drop")
    assert (len(found.images), sum(len(image.boxes) for image in found.images)) == (364, 4886)
    lists = tmp_path / "BCCD" / "ImageSets" / "Main"
    assert len(read_labels(lists / "test.txt", "refuse").images) == 72


@pytest.mark.parametrize(
    ("part", "entry", "said"),
    [
        ("categories", {"id": True, "name": "x"}, "has no whole number `id`"),
        ("categories", {"id": 5, "name": "x\x1b[2J"}, "is no name for a class"),
        (
            "images",
            {"id": 10, "file_name": "c.png", "width": 10**30, "height": 3},
            "says no width and height",
        ),
        ("images", {"id": [1], "file_name": "c.png"}, "has no `id`"),
        ("annotations", {"id": 3, "image_id": 7, "category_id": 3, "bbox": [0, 0, 10**400, 1]}, "no number"),
        ("annotations", [], "has no `bbox`"),
    ],
)
def test_odd_entries_are_named_and_not_raised(tmp_path: Path, part: str, entry: Any, said: str) -> None:
    content = coco_content()
    content[part].append(entry)
    with pytest.raises(DataError, match=said):
        read_labels(write_coco(tmp_path / "coco.json", content), "refuse")


@pytest.mark.parametrize(
    ("first", "next_one", "last"),
    [("[x]", "[{0}, {0}, {0}]", "[*l29]"), ("{a: b}", "{{<<: [{0}, {0}]}}", "[x]")],
    ids=["lists in lists", "merged mappings"],
)
def test_names_of_classes_that_yaml_lets_grow_without_end_are_refused(
    tmp_path: Path, first: str, next_one: str, last: str
) -> None:
    write_images(tmp_path / "images", "a.png")
    write_yolo(tmp_path, a="")
    grown = "".join(f"l{n}: &l{n} {next_one.format(f'*l{n - 1}')}\n" for n in range(1, 30))
    (tmp_path / "data.yaml").write_text(f"l0: &l0 {first}\n{grown}names: {last}\n")
    with pytest.raises(DataError, match="does not name the classes"):
        read_labels(tmp_path, "refuse")


@pytest.mark.parametrize(
    "name", ["a\0.png", "x" * 5000, "\ud800.png", ""], ids=["nul", "long", "surrogate", "empty"]
)
def test_a_name_that_no_file_can_have_is_named_and_not_raised(tmp_path: Path, name: str) -> None:
    content = coco_content()
    content["images"][1]["file_name"] = name
    images = write_images(tmp_path / "pictures", "a.png")
    for folder in (None, images):
        with pytest.raises(DataError, match="no file can be called"):
            read_labels(write_coco(tmp_path / "coco.json", content), "drop", images=folder)


def test_an_object_cannot_be_larger_than_its_image_so_that_it_would_not_count(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"][0]["area"] = 1e12
    file = write_coco(tmp_path / "coco.json", content)
    with pytest.raises(DataError, match="area of 1e\\+12 square pixels, more than its image has"):
        read_labels(file, "refuse")
    sides = read_labels(file, "drop").images[0]
    assert sides.areas[0] == (sides.boxes[0, 2:] - sides.boxes[0, :2]).prod()


def test_labels_of_crowds_alone_are_refused(tmp_path: Path) -> None:
    content = coco_content()
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    with pytest.raises(DataError, match="no object that counts"):
        read_labels(write_coco(tmp_path / "coco.json", content), "drop")


def test_how_many_objects_do_not_count_is_said(tmp_path: Path) -> None:
    whole = voc_object("dog", 0, 0, 40, 30, difficult=1)
    write_voc(tmp_path, "a", voc_object("dog", 1, 2, 11, 22), whole)
    found = read_labels(tmp_path, "refuse")
    assert found.images[0].crowd.tolist() == [False, True]
    assert any("1 of 2 objects" in note and "nor do boxes" in note for note in found.notes)


@pytest.mark.parametrize("encoding", ["foo", "hex"])
def test_an_encoding_that_nobody_knows_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.xml").write_text(f'<?xml version="1.0" encoding="{encoding}"?><annotation/>')
    with pytest.raises(DataError, match=r"a\.xml: cannot be read as VOC XML"):
        read_labels(tmp_path, "drop")


def test_long_names_of_elements_do_not_multiply(tmp_path: Path) -> None:
    long, inner = "x" * 100_000, "<a/>" * 1000
    (tmp_path / "a.xml").write_text(f"<annotation><{long}>{inner}</{long}></annotation>")
    tracemalloc.start()
    with pytest.raises(DataError):
        read_labels(tmp_path, "refuse")
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert highest < 10_000_000


def test_what_is_asked_of_an_image_includes_which_classes_there_are(tmp_path: Path) -> None:
    """Else answers of a class that has no object would be left out with it, false alarms and all."""
    content = coco_content()
    all_of_them = read_labels(write_coco(tmp_path / "all.json", content), "refuse")
    content["categories"].append({"id": 77, "name": "never there"})
    more = read_labels(write_coco(tmp_path / "more.json", content), "refuse")
    assert all_of_them.described(0) != more.described(0)
    assert all_of_them.images[0].boxes.tolist() == more.images[0].boxes.tolist()
