"""Masks drawn from a COCO file are those that COCO's own code draws, and every fault is named with its place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data import load_prepared, save_prepared
from resnet_ops.data.raw import RawData
from resnet_ops.data.splits import split_images
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.params import parse_params
from resnet_ops.tasks.detection.labels.runs import inside, runs_of
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import IGNORED, CocoMasks, Remedy, Segmentation, noted_task, task_from_json
from tests.unit.core.makers import SHARES
from tests.unit.core.tasks.masks import make_params, make_segmentation, spots

SQUARE = [2, 2, 8, 2, 8, 6, 2, 6]
"""x 2 to 8, y 2 to 6."""
Annotation = dict[str, Any]


def settings(faults: Remedy = "refuse", **changes: Any) -> Segmentation:
    masks = CocoMasks(labels="labels.json", images="images", faults=faults)
    return make_segmentation(**{"masks": masks, "classes": {"ground": 0, "pipe": 1, "crack": 2}, **changes})


def read(root: Path, task: Segmentation) -> RawData:
    return reading_of(task).read(make_params(root, task), lambda done, total: None, None)


def write(root: Path, *objects: Annotation, images: int = 2, **changes: Any) -> Path:
    """Images 0.png, 1.png ... of 16x16 and the objects, each with an `id` from 1 on image 0 unless it says another."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    for place in range(images):
        Image.new("L", (16, 16), 10 * place).save(root / "images" / f"{place}.png")
    content = {
        "images": [
            {"id": place, "file_name": f"{place}.png", "width": 16, "height": 16} for place in range(images)
        ],
        "annotations": [
            {"id": place, "image_id": 0, "category_id": 4, "iscrowd": 0, **each}
            for place, each in enumerate(objects, 1)
        ],
        "categories": [{"id": 4, "name": "pipe"}, {"id": 9, "name": "crack"}],
        **changes,
    }
    (root / "labels.json").write_text(json.dumps(content))
    return root


def both(*more: Annotation) -> tuple[Annotation, ...]:
    """A pipe on the first image and a crack on the second, so that every class is there."""
    return ({"segmentation": [SQUARE]}, {"image_id": 1, "category_id": 9, "segmentation": [SQUARE]}, *more)


def box(rows: slice, columns: slice) -> np.ndarray:
    found = np.zeros((16, 16), np.uint8)
    found[rows, columns] = 1
    return found


def masks_of(raw: RawData) -> np.ndarray:
    assert raw.targets is not None
    return raw.targets


def test_polygons_are_drawn_together_and_an_image_without_objects_is_background(tmp_path: Path) -> None:
    two = {"segmentation": [SQUARE, [10, 10, 12, 10, 12, 13, 10, 13]]}
    raw = read(write(tmp_path, two, both()[1], images=3), settings())
    drawn = box(np.s_[2:6], np.s_[2:8]) + box(np.s_[10:13], np.s_[10:12])
    np.testing.assert_array_equal(masks_of(raw), [drawn, 2 * box(np.s_[2:6], np.s_[2:8]), 0 * drawn])
    assert (raw.classes, raw.labels.tolist()) == (("ground", "pipe", "crack"), [1, 2, 0])
    assert raw.paths == ["images/0.png", "images/1.png", "images/2.png"]
    assert any("1 of 3 images show no object" in note for note in raw.notes)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(("levels", "top"), [((0, 1, 2), 2), ((0, 7, 3), 1)])
def test_of_objects_over_each_other_the_class_of_the_higher_number_is_seen(
    tmp_path: Path, order: tuple[int, int], levels: tuple[int, ...], top: int
) -> None:
    pair: list[Annotation] = [
        {"segmentation": [SQUARE]},
        {"category_id": 9, "segmentation": [[6, 4, 14, 4, 14, 14, 6, 14]]},
    ]
    classes = dict(zip(("ground", "pipe", "crack"), levels, strict=True))
    raw = read(write(tmp_path, *(pair[place] for place in order), images=1), settings(classes=classes))
    assert (masks_of(raw)[0, 4:6, 6:8] == top).all()
    assert any("over each other, such as 0.png" in note for note in raw.notes)


def test_nothing_is_asked_of_a_crowd_but_where_another_object_is(tmp_path: Path) -> None:
    runs = {"size": [16, 16], "counts": [0, 128, 128]}  # columns 0 to 7
    crowd = {"segmentation": runs, "iscrowd": 1}
    (mask, _) = masks_of(read(write(tmp_path, *both(crowd)), settings()))
    expected = np.where(np.arange(16) < 8, IGNORED, 0) * np.ones((16, 1), int)
    expected[2:6, 2:8] = 1
    np.testing.assert_array_equal(mask, expected)


def test_runs_are_read_as_cocos_own_code_reads_them() -> None:
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for number in range(50):
        height, width = rng.integers(1, 60, 2)
        mask = np.asfortranarray(rng.random((height, width)) < rng.random(), np.uint8)
        if number % 2:
            mask[: height // 2] = number % 4 == 1
        text = coco.encode(mask)["counts"].decode()
        stated = {"size": [int(height), int(width)], "counts": text}
        runs = runs_of(stated, (width, height))
        np.testing.assert_array_equal(inside(runs, (width, height)), mask)
        again = runs_of({**stated, "counts": runs.tolist()}, (width, height))
        np.testing.assert_array_equal(again, runs)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": [16, 15]}, "height 16 and width 16"),
        ({"counts": [0, 128]}, "covers 128 pixels"),
        ({"counts": [0, 300, -44]}, "whole numbers"),
        ({"counts": [0, 128.0, 128]}, "whole numbers"),
        ({"counts": None}, "whole numbers"),
        ({"counts": "P"}, "whole numbers"),  # more signs were to follow
        ({"counts": "é"}, "whole numbers"),
        ({"counts": "o" * 1000}, "whole numbers"),
        ({"counts": "0000"}, "covers 0 pixels"),
    ],
)
def test_runs_that_do_not_fit_their_image_are_faults(tmp_path: Path, changes: Annotation, words: str) -> None:
    runs = {"size": [16, 16], "counts": [0, 128, 128], **changes}
    write(tmp_path, *both({"segmentation": runs}))
    with pytest.raises(DataError, match=rf"annotation 3: its run-length encoding .*{words}"):
        reading_of(settings()).check(make_params(tmp_path, settings()))


FAULTS: dict[str, tuple[Annotation, str]] = {
    "two points": ({"segmentation": [SQUARE, [1, 1, 5, 5]]}, "polygon 2: has fewer than three points"),
    "half a point": ({"segmentation": [[1, 1, 5, 5, 1, 5, 7]]}, "polygon 1: has fewer than three points"),
    "no number": ({"segmentation": [[1, 1, 5, 5, 1, "x"]]}, "polygon 1: a coordinate is no number"),
    "a line": ({"segmentation": [[1, 1, 5, 5, 9, 9]]}, "polygon 1: its points lie on one line"),
    "endless": (
        {"segmentation": [[0, 0, 16, 16] * 130_000 + [16, 0]]},
        "polygon 1: its way around is longer",
    ),
    "outside": ({"segmentation": [[12, 2, 20, 2, 20, 6]]}, "polygon 1: reaches out of the image of 16x16"),
    "no outline": ({"segmentation": []}, "has no `segmentation`"),
    "a box alone": ({"bbox": [1, 2, 3, 4]}, "has no `segmentation`"),
    "unknown category": ({"segmentation": [SQUARE], "category_id": 5}, "of the category 5, which is not"),
    "unknown image": ({"segmentation": [SQUARE], "image_id": 77}, "of the image 77, which is not listed"),
}


def test_every_fault_is_named_at_once_with_its_place_before_an_image_is_read(tmp_path: Path) -> None:
    faulty = [each for each, _ in FAULTS.values()]
    known = [{"id": place, "file_name": f"{place}.png", "width": 16, "height": 16} for place in range(4)]
    known[3] |= {"width": 20}
    write(tmp_path, *both(*faulty), images=4)
    content = json.loads((tmp_path / "labels.json").read_text())
    content["images"] = known
    content["categories"].append({"id": 12, "name": "dent"})
    content["annotations"].append({"id": 99, "image_id": 1, "category_id": 12, "segmentation": [SQUARE]})
    (tmp_path / "labels.json").write_text(json.dumps(content))
    (tmp_path / "images" / "2.png").unlink()
    with pytest.raises(DataError) as caught:
        reading_of(settings()).check(make_params(tmp_path, settings()))
    lines = str(caught.value).split("\n  ")[1:]
    assert len(lines) == len(FAULTS) + 3
    for number, (_, words) in enumerate(FAULTS.values(), 3):
        assert any(f"annotation {number}" in line and words in line for line in lines), words
    assert any("image 2 (2.png)" in line and "is not in" in line for line in lines)
    assert any("image 3 (3.png)" in line and "20x16" in line for line in lines)
    assert any("annotation 99: has the unknown class 'dent'" in line for line in lines)
    assert "`drop`" in str(caught.value)


@pytest.mark.parametrize(
    ("remedy", "polygons", "expected"),
    [
        ("drop", [SQUARE, [1, 1, 5, 5]], None),
        ("clip", [SQUARE, [1, 1, 5, 5]], box(np.s_[2:6], np.s_[2:8])),
        ("drop", [[12, 2, 20, 2, 20, 6, 12, 6]], None),
        ("clip", [[12, 2, 20, 2, 20, 6, 12, 6]], box(np.s_[2:6], np.s_[12:16])),
        ("clip", [[17, 2, 20, 2, 20, 6]], None),  # not in the image at all
        ("clip", [[2, 2, 1e12, 2, 2, 6]], None),  # drawing it would take long
        ("clip", [[2, 2, 1e308, -1e308, 2, 6]], None),
    ],
)
def test_what_is_at_fault_is_left_out_or_cut(
    tmp_path: Path, remedy: Remedy, polygons: list[list[float]], expected: np.ndarray | None
) -> None:
    write(tmp_path, {"segmentation": polygons, "image_id": 2}, *both(), images=3)
    raw = read(tmp_path, settings(remedy))
    np.testing.assert_array_equal(masks_of(raw)[2], 0 * masks_of(raw)[2] if expected is None else expected)
    assert any(f"remedied ({remedy})" in note and "annotation 1" in note for note in raw.notes)


def test_a_class_without_an_object_is_named_and_so_are_images_in_no_label(tmp_path: Path) -> None:
    write(tmp_path, both()[0])
    with pytest.raises(DataError, match="no object that counts is of class crack"):
        read(tmp_path, settings())
    Image.new("L", (16, 16)).save(write(tmp_path, *both()) / "images" / "other.png")
    assert any("1 images are in no label" in note for note in read(tmp_path, settings()).notes)


def test_polygons_and_files_of_masks_prepare_the_same_data(tmp_path: Path) -> None:
    images, masks = spots(40)
    (tmp_path / "images").mkdir()
    content: dict[str, list[Any]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 0, "name": "spot"}],
    }
    for place, (image, mask) in enumerate(zip(images, masks, strict=True)):
        Image.fromarray(image).save(tmp_path / "images" / f"{place:03d}.png")
        content["images"].append({"id": place, "file_name": f"{place:03d}.png"})
        if mask.any():
            rows, columns = (np.flatnonzero(mask.any(axis=axis)).tolist() for axis in (1, 0))
            (top, bottom), (left, right) = ((each[0], each[-1] + 1) for each in (rows, columns))
            outline = [left, top, right, top, right, bottom, left, bottom]
            content["annotations"].append({"image_id": place, "category_id": 0, "segmentation": [outline]})
    (tmp_path / "labels.json").write_text(json.dumps(content))
    task = settings(classes={"background": 0, "spot": 1})
    data = split_images(read(tmp_path, task), SHARES, seed=0)
    np.testing.assert_array_equal(data.asked, np.stack([masks[row.index] for row in data.rows]) > 0)
    save_prepared(data, tmp_path / "prepared", ("train", "test"))
    again = load_prepared(tmp_path / "prepared")
    assert again.task == data.task == task_from_json(noted_task(data.task)["task"])


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: settings(ignore=9), "masks"),
        (lambda: settings(classes={"ground": (0, 0, 0), "pipe": (1, 0, 0)}), "classes"),
        (lambda: CocoMasks(labels="../labels.json", images=".", faults="drop"), "labels"),
        (lambda: CocoMasks(labels="labels.json", images="/images", faults="drop"), "images"),
        (lambda: CocoMasks(labels="labels.json", images=".", faults="guess"), "faults"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make: Callable[[], object], word: str) -> None:
    with pytest.raises(ValueError, match=f"^{word}"):
        make()


def test_masks_of_a_coco_file_are_a_setting(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    text = (
        "{masks: {labels: labels.json, images: images, faults: refuse}, classes: {ground: 0, pipe: 1, crack: 2}, "
        "threshold: null, ignore: null, head: unet, dilated: 0, auxiliary: false}"
    )
    file.write_text(text)
    assert parse_params(file, Segmentation) == settings(head="unet", dilated=0, auxiliary=False)
    file.write_text(text.replace("refuse", "guess"))
    with pytest.raises(ConfigError, match="guess"):
        parse_params(file, Segmentation)
