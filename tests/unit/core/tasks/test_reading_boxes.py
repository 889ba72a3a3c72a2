"""Boxes are read with their images, and come to the prepared image as its pixels do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data import load_prepared, save_prepared
from resnet_ops.data.params import DataParams
from resnet_ops.data.raw import RawData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.tasks.detection.boxes import BoxedImage
from resnet_ops.tasks.detection.measured import as_labels
from resnet_ops.tasks.reading.detection import fit_boxes
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import BACKGROUND, noted_task, task_from_json
from tests.unit.core.makers import make_data_params
from tests.unit.core.tasks.drawn_boxes import (
    CLASSES,
    SIDE,
    make_detection,
    make_params,
    prepared_boxes,
    write_boxes,
)


def read(params: DataParams) -> RawData:
    return reading_of(params.chosen_task).read(params, lambda done, total: None, None)


def boxed_image(size: tuple[int, int], boxes: list[list[int]]) -> BoxedImage:
    count = len(boxes)
    corners, kinds = np.array(boxes, float), np.zeros(count, np.int64)
    return BoxedImage("a", "a.png", *size, corners, kinds, np.zeros(count, bool), np.ones(count))


def test_images_come_with_their_boxes_and_those_without_are_kept(tmp_path: Path) -> None:
    params = make_params(write_boxes(tmp_path))
    raw = read(params)
    assert raw.classes == (BACKGROUND, *CLASSES)
    assert raw.targets is not None
    empty = [place for place, target in enumerate(raw.targets) if not target[:, 4].any()]
    assert empty == [place for place in range(40) if place % 8 == 0]
    assert (raw.labels[empty] == 0).all()
    for image, target in zip(raw.images, raw.targets, strict=True):
        for left, top, right, bottom, kind, crowd in target[target[:, 4] > 0].astype(int):
            assert (image[top:bottom, left:right] == (230, 20)[kind - 1]).all()
            assert crowd == 0


def test_prepared_boxes_are_the_same_after_they_were_saved(tmp_path: Path) -> None:
    data = prepared_boxes(tmp_path / "raw")
    save_prepared(data, tmp_path / "prepared", ("train", "validation", "test"))
    again = load_prepared(tmp_path / "prepared")
    assert again.task == data.task == task_from_json(noted_task(data.task)["task"])
    assert again.asked.dtype == np.float32
    part, other = data.split("test"), again.split("test")
    np.testing.assert_array_equal(part.asked, other.asked)
    labels = as_labels(other)
    assert labels.classes == CLASSES
    assert [image.file for image in labels.images] == [row.path for row in part.rows]


@pytest.mark.parametrize(("fit", "expected"), [("crop", [0.0, 5, 10, 15]), ("pad", [7.5, 7.5, 12.5, 12.5])])
def test_boxes_are_brought_to_the_prepared_size(fit: Any, expected: list[float]) -> None:
    """A box in an image of 80 x 40, whose middle 40 or all is brought to 20 pixels."""
    image = boxed_image((80, 40), [[20, 10, 40, 30]] if fit == "crop" else [[30, 10, 50, 30]])
    fitted = fit_boxes(image, make_data_params(source="imagefolder", root=".", image_size=20, fit=fit))
    assert fitted.boxes.tolist() == [expected]


def test_what_is_mostly_cut_off_does_not_count_and_what_is_outside_is_gone() -> None:
    image = boxed_image((80, 40), [[0, 0, 30, 30], [0, 0, 24, 30], [0, 0, 19, 10]])
    fitted = fit_boxes(image, make_data_params(source="imagefolder", root=".", image_size=40))
    assert fitted.boxes.tolist() == [[0, 0, 10, 30], [0, 0, 4, 30]]
    assert fitted.crowd.tolist() == [False, True]


def test_a_box_drawn_on_a_scaled_and_padded_image_lies_where_its_pixels_are(tmp_path: Path) -> None:
    pixels = np.zeros((60, 96), np.uint8)
    pixels[12:36, 48:84] = 255
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images/a.png")
    (tmp_path / "boxes.csv").write_text("image,class,xmin,ymin,xmax,ymax\na.png,bright,48,12,84,36\n")
    raw = read(make_params(tmp_path, make_detection(classes=("bright",)), fit="pad", background=0))
    assert raw.targets is not None
    left, top, right, bottom = raw.targets[0, 0, :4].astype(int)
    assert (left, top, right, bottom) == (16, 6 + 4, 28, 6 + 12)
    assert raw.images[0, top:bottom, left:right].min() > 200
    assert raw.images[0].sum(dtype=int) == pytest.approx(255 * 12 * 8, rel=0.02)


def test_an_image_is_of_its_rarest_class_unless_hardly_any_would_be(tmp_path: Path) -> None:
    lines = ["image,class,xmin,ymin,xmax,ymax"]
    kinds = {"both": 25, "common": 30, "odd": 3}
    (tmp_path / "images").mkdir()
    for name, count in kinds.items():
        for place in range(count):
            Image.fromarray(np.full((8, 8), 100 + place, np.uint8)).save(
                tmp_path / f"images/{name}{place}.png"
            )
            objects = {"both": ("common", "rare"), "common": ("common",), "odd": ("common", "odd")}[name]
            lines += [f"{name}{place}.png,{each},1,1,5,5" for each in objects]
    (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n")
    raw = read(make_params(tmp_path, make_detection(classes=("odd", "rare", "common"))))
    label_of = dict(zip(raw.paths, (raw.classes[label] for label in raw.labels), strict=True))
    assert {label_of[f"both{place}.png"] for place in range(25)} == {"rare"}
    assert {label_of[f"odd{place}.png"] for place in range(3)} == {"common"}


def test_faults_are_refused_or_remedied_as_the_setting_says(tmp_path: Path) -> None:
    write_boxes(tmp_path)
    with (tmp_path / "boxes.csv").open("a") as file:
        file.write("001.png,bright,5,5,5,9\n")
    with pytest.raises(DataError, match="no area"):
        reading_of(make_detection()).check(make_params(tmp_path))
    raw = read(make_params(tmp_path, make_detection(faults="drop")))
    assert any("1 faults were remedied" in note for note in raw.notes)


def test_images_that_no_label_names_are_left_out_and_said(tmp_path: Path) -> None:
    write_boxes(tmp_path)
    Image.new("L", (8, 8)).save(tmp_path / "images/other.png")
    raw = read(make_params(tmp_path))
    assert len(raw.images) == 40
    assert any("other.png" in note for note in raw.notes)


def test_a_class_without_an_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="grey"):
        read(make_params(write_boxes(tmp_path), make_detection(classes=(*CLASSES, "grey"))))


def test_a_class_of_which_no_object_comes_to_the_prepared_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("L", (400, 20)).save(tmp_path / "images/a.png")
    (tmp_path / "boxes.csv").write_text(
        "image,class,xmin,ymin,xmax,ymax\na.png,dark,1,1,9,9\na.png,bright,195,1,205,20\n"
    )
    with pytest.raises(DataError, match=r"dark.* data\.fit"):
        reading_of(make_detection()).check(make_params(tmp_path))
    raw = read(make_params(tmp_path, fit="pad"))
    assert raw.targets is not None
    assert sorted(raw.targets[0, :, 4].tolist()) == [1, 2]


def test_labels_of_which_nothing_is_left_say_why(tmp_path: Path) -> None:
    write_boxes(tmp_path)
    text = (tmp_path / "boxes.csv").read_text().replace(".png", ".jpg")
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(DataError, match=r"000\.jpg is not in"):
        reading_of(make_detection()).check(make_params(tmp_path, make_detection(faults="drop")))


def test_another_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="imagefolder"):
        reading_of(make_detection()).check(make_params(tmp_path, source="csv"))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"labels": "/etc/boxes.csv"}, "labels"),
        ({"images": "../images"}, "images"),
        ({"labels": ""}, "labels"),
        ({"classes": ()}, "classes"),
        ({"classes": ("a", "a")}, "classes"),
        ({"classes": (BACKGROUND,)}, BACKGROUND),
        ({"head": "yolo"}, "head"),
        ({"faults": "ignore"}, "faults"),
        ({"width": 48}, "width"),
    ],
)
def test_settings_that_cannot_be_are_named(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        make_detection(**changes)


def test_settings_of_a_task_that_is_not_asked_for_are_refused() -> None:
    with pytest.raises(ValueError, match="detection has settings"):
        make_data_params(detection=make_detection())
    with pytest.raises(ValueError, match="detection is missing"):
        make_data_params(source="imagefolder", root=".", task="detection")
    assert make_params(Path()).image_size == SIDE
