"""Data sets as people download them become projects as they are."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from resnet_ops.errors import DataError
from resnet_ops.files import read_json
from resnet_ops.params import parse_params
from resnet_ops.tasks.detection.labels.reading import read_labels
from resnet_ops_pipelines import prepare_data, validate_data
from resnet_ops_pipelines.new_project.found_boxes import find_boxes
from resnet_ops_pipelines.new_project.found_list import find_list
from resnet_ops_pipelines.new_project.sample import check_watched
from resnet_ops_pipelines.project_params import Params
from tests.unit.core.project.new_images import write_folder, write_image
from tests.unit.core.project.test_new_project import init
from tests.unit.core.tasks.coco_folders import PARTS, write_coco_folders
from tests.unit.core.tasks.detection.label_files import voc_object, write_voc
from tests.unit.core.tasks.masks import write_spots

pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepared(project: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Images by folder and split, once the project has checked them."""
    monkeypatch.chdir(project)
    prepare_data.main()
    validate_data.main()
    assert read_json(project / "reports/data/validation.json")["passed"]
    found = Counter[tuple[str, str]]()
    for folder in ("prepared", "production"):
        with (project / f"data/{folder}/manifest.csv").open() as file:
            found.update((str(Path(row["path"]).parent), row["split"]) for row in csv.DictReader(file))
    return found


@pytest.mark.parametrize("above", [".", "export"])
def test_coco_files_beside_the_images_of_each_split_are_one_list(tmp_path: Path, above: str) -> None:
    write_coco_folders(tmp_path / above)
    (tmp_path / above / "README.roboflow.txt").write_text("where it comes from")
    found = find_boxes(tmp_path)
    assert found is not None
    assert (found.settings.labels, found.settings.images, found.given) == (above, above, True)
    assert found.settings.classes == ("pipe", "crack"), "the category above these has no box"
    assert (len(found.images), found.faults) == (sum(PARTS.values()), ())
    for part in ("train", "train/_annotations.coco.json"):
        one = find_boxes(tmp_path / above / part)
        assert one is not None
        assert (one.settings.labels, one.given) == ("_annotations.coco.json", False)
        assert len(one.images) == PARTS["train"]


def test_a_damaged_coco_file_among_those_of_the_splits_is_named(tmp_path: Path) -> None:
    file = write_coco_folders(tmp_path) / "test/_annotations.coco.json"
    file.write_text(file.read_text()[:300])
    with pytest.raises(DataError, match=r"test/_annotations\.coco\.json looks like a COCO file"):
        find_boxes(tmp_path)


def write_voc_set(root: Path, *folders: str) -> None:
    """Six images in each folder, with a VOC file beside each."""
    for number, folder in enumerate(folders):
        for place in range(6):
            write_image(root / folder / f"{place}.png", 10 * number + place, side=(40, 30))
            write_voc(root / folder, str(place), voc_object(("cat", "dog")[place % 2], 2, 2, 20, 20))


def test_voc_files_beside_the_images_of_each_split_lose_none(tmp_path: Path) -> None:
    write_voc_set(tmp_path, "train", "valid", "test")
    found = find_boxes(tmp_path)
    assert found is not None
    assert (found.settings.labels, found.settings.images, found.given) == (".", ".", True)
    assert (len(found.images), found.faults) == (18, ())
    assert all(path.is_file() for path in found.images)


def test_copies_beside_voc_files_do_not_stand_for_the_images_of_the_folder_that_is_named(
    tmp_path: Path,
) -> None:
    write_voc_set(tmp_path, "Annotations")
    for number in range(6):
        write_image(tmp_path / f"JPEGImages/{number}.png", number, side=(40, 30))
    labels = read_labels(tmp_path / "Annotations", "refuse", images=tmp_path / "JPEGImages")
    assert [image.file for image in labels.images] == [f"{number}.png" for number in range(6)]
    inside = read_labels(tmp_path / "Annotations", "refuse", images=tmp_path)
    assert [image.file for image in inside.images] == [f"Annotations/{number}.png" for number in range(6)]


@pytest.mark.parametrize("layout", ["{part}/{what}", "{what}/{part}"])
def test_yolos_folders_give_splits_in_either_order(tmp_path: Path, layout: str) -> None:
    (tmp_path / "data.yaml").write_text("names: [nut]\n")
    for number, part in enumerate(("train", "val")):
        write_image(tmp_path / layout.format(part=part, what="images") / f"{number}.png", number)
        (tmp_path / layout.format(part=part, what="labels")).mkdir(parents=True)
        (tmp_path / layout.format(part=part, what="labels") / f"{number}.txt").write_text("0 .5 .5 .2 .2")
    found = find_boxes(tmp_path)
    assert found is not None
    assert (found.given, len(found.images), found.faults) == (True, 2, ())
    (tmp_path / layout.format(part="val", what="labels") / "1.txt").unlink()
    with pytest.raises(
        DataError, match=r"given for test and production, such as \S+1\.png, show no object\. If they"
    ):
        find_boxes(tmp_path)


def test_vocs_lists_give_splits_and_what_only_left_out_images_show_is_no_class(tmp_path: Path) -> None:
    write_voc_set(tmp_path, "Annotations")
    (tmp_path / "JPEGImages").mkdir()
    for file in (tmp_path / "Annotations").glob("*.png"):
        file.rename(tmp_path / "JPEGImages" / file.name)
    plain = find_boxes(tmp_path)
    assert plain is not None
    assert (plain.given, len(plain.images)) == (False, 6)
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/trainval.txt").write_text("0\n2\n")
    (tmp_path / "ImageSets/Main/test.txt").write_text("4\n")
    found = find_boxes(tmp_path)
    assert found is not None
    assert (found.given, len(found.images), found.settings.classes) == (True, 3, ("cat",))
    (tmp_path / "ImageSets/Main/test.txt").write_text("2\n")
    (tmp_path / "ImageSets/Main/train.txt").write_text("0\n2\n")
    with pytest.raises(DataError, match=r"train\.txt, line 2: 2 stands at \S+test\.txt, line 1 as well"):
        find_boxes(tmp_path)


def write_kaggle(root: Path, header: str, count: int) -> Path:
    """`train.csv` with ids, their images, and what is to be answered."""
    for number in range(count):
        write_image(root / f"train_images/{number:04x}.png", number)
    for number in range(20):
        write_image(root / f"test_images/{number:04x}.png", count + number)
    rows = [f"{number:04x},{number % 2}" for number in range(count)]
    (root / "train.csv").write_text("\n".join([header, *rows]))
    (root / "sample_submission.csv").write_text("\n".join([header, *rows[:20]]))
    (root / "test.csv").write_text("\n".join([header.split(",")[0], *(row[:4] for row in rows[:20])]))
    return root


def test_of_a_competitions_files_that_of_the_training_is_the_list(tmp_path: Path) -> None:
    root = write_kaggle(tmp_path / "a", "id_code,diagnosis", 4)
    assert find_list(root) == root / "train.csv"
    (root / "extra.csv").write_text("id,label\n")
    assert find_list(root) == root / "train.csv"
    (root / "train.csv").rename(root / "labels.csv")
    with pytest.raises(
        DataError, match=r"several lists of images: \S+extra\.csv, \S+labels\.csv\. Name the one"
    ):
        find_list(root)


def test_class_folders_are_none_of_a_lists_images_and_a_list_of_paths_is_one(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"images": 3})
    assert find_list(root) is None
    (root / "notes.csv").write_text("camera,lens\n")
    assert find_list(root) is None
    (root / "list.csv").write_text("path,class\n")
    assert find_list(root) == root / "list.csv"
    write_folder(root, {"cat": 2})
    assert find_list(root) is None


@pytest.mark.slow
def test_a_competitions_folder_becomes_a_project_without_its_unlabelled_test(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_kaggle(place / "aptos", "id_code,diagnosis", 200)
    status, said = init("aptos", "--into", "eyes", "--minutes", "0.1")
    assert status == 0, said
    assert "20 images are in no row and are left out" in said
    data = parse_params(place / "eyes/params.yaml", Params).data
    assert (data.source, data.root) == ("csv", str(place / "aptos/train.csv"))
    found = prepared(place / "eyes", monkeypatch)
    assert {folder for folder, _ in found} == {"train_images"}
    assert found.total() == 200


@pytest.mark.slow
def test_boxes_with_given_splits_become_a_project_that_keeps_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_coco_folders(place / "pipes", {"train": 80, "valid": 30, "test": 60})
    status, said = init("pipes", "--into", "kept", "--minutes", "0.1")
    assert status == 0, said
    assert "train for train; valid for validation; test for test and production" in " ".join(said.split())
    assert parse_params(place / "kept/params.yaml", Params).data.source == "split_folders"
    found = prepared(place / "kept", monkeypatch)
    assert (found["train", "train"], found["valid", "validation"]) == (80, 30)
    assert found["test", "test"] + found["test", "production"] == 60


@pytest.mark.slow
def test_given_splits_that_support_no_project_are_told_and_put_together(place: Path) -> None:
    write_spots(place / "parts", 120)
    for part, count in (("test", 4), ("train", 116)):
        (place / "parts" / part).mkdir()
        for file in sorted((place / "parts").glob("*.png"))[: 2 * count]:
            file.rename(place / "parts" / part / file.name)
    status, said = init("parts", "--into", "anew", "--minutes", "0.1")
    assert status == 0, said
    assert "are not kept; all images are put together and split anew" in " ".join(said.split())
    assert parse_params(place / "anew/params.yaml", Params).data.source == "imagefolder"


@pytest.mark.parametrize(
    ("production", "images", "kept"),
    [
        (39, 364, False),  # anew there are more
        (49, 2000, False),
        (50, 364, True),
        (30, 170, True),  # anew there are fewer still
    ],
)
def test_given_splits_are_kept_unless_they_alone_leave_too_few_images_to_watch(
    production: int, images: int, kept: bool
) -> None:
    if kept:
        check_watched(production, images)
    else:
        with pytest.raises(DataError, match=rf"{production} images for production.*split_folders"):
            check_watched(production, images)
