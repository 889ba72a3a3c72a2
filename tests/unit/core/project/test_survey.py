"""What `resnet-ops init` says of a data set is what the pipeline will see of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data.params import DataParams
from resnet_ops.data.streaming import stream_images
from resnet_ops.errors import DataError
from resnet_ops_pipelines.new_project.sample import sample, source_of
from resnet_ops_pipelines.new_project.survey import Survey, read_all, survey
from tests.unit.core.makers import SHARES, make_data_params
from tests.unit.core.project.new_images import write_csv, write_folder, write_image
from tests.unit.core.tasks.masks import make_segmentation


def settings(root: Path) -> DataParams:
    return make_data_params(source=source_of(root), root=str(root), channels=3)


def look(root: Path, group: str = "auto") -> Survey:
    data = settings(root)
    raw = read_all(data, lambda done, total: None, root.parent)
    return survey(raw, data, 0, group)


def test_a_grey_folder_is_counted_by_class_format_size_and_split(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "parts", {"good": 30, "bad": 10})
    write_image(root / "good" / "wide.png", 1000, side=(30, 20))
    (root / "good" / ".DS_Store").write_bytes(b"x")
    (root / "good" / "notes.txt").write_text("a note")
    found = look(root)
    assert (found.data.channels, found.classes) == (1, ("bad", "good"))
    assert (found.totals, found.ratio) == ({"bad": 10, "good": 31}, 3.1)
    assert found.formats == {"png": 41}
    assert found.sizes == ((12, 12), (12, 12), (30, 20))
    assert sum(found.images(split) for split in found.counts) == 41
    assert all(found.counts[split][name] for split in SHARES.as_dict() for name in found.classes)
    said = "\n".join(found.notes)
    assert ".DS_Store" in said
    assert "1 .txt" in said


@pytest.mark.parametrize(("colour", "bits", "channels"), [(True, 8, 3), (False, 8, 1), (False, 16, 1)])
def test_colour_is_seen_in_the_pixels_and_16_bits_are_read(
    tmp_path: Path, colour: bool, bits: int, channels: int
) -> None:
    root = write_folder(tmp_path / "parts", {"a": 12, "b": 12}, colour=colour, bits=bits)
    found = look(root).data
    assert found.channels == channels
    assert found.depth == bits


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_the_bits_of_deep_grey_are_set_so_that_each_image_to_come_can_be_read_alone(
    tmp_path: Path, bits: int
) -> None:
    root = write_folder(tmp_path / "parts", {"a": 12, "b": 12}, bits=bits)
    found = look(root).data
    assert found.grey_bits == bits
    assert found.depth == 16, "what the detector wrote reaches the network"
    (image,) = stream_images([root / "a/001.png"], found, 1, lambda path, why: None)
    assert image is not None


def test_the_bits_of_grey_stay_open_where_no_image_has_more_than_eight(tmp_path: Path) -> None:
    found = look(write_folder(tmp_path / "parts", {"a": 12, "b": 12})).data
    assert (found.grey_bits, found.depth) == ("auto", 8)


def test_a_column_that_is_called_like_a_group_keeps_groups_together(tmp_path: Path) -> None:
    file = write_csv(tmp_path, patients=40, each=3)
    found = look(file)
    assert found.data.group == "patient"
    assert sum(found.groups.values()) == 40, "no patient is counted in two splits"
    assert {name: len(each) for name, each in found.tested.items()} == found.counts["test"]
    assert len(np.unique(np.concatenate(list(found.tested.values())))) == found.groups["test"]
    alone = look(file, "none")
    assert (alone.data.group, alone.groups, alone.tested) == (None, {}, {})
    with pytest.raises(DataError, match="columns are: patient"):
        look(file, "scanner")


def test_a_column_that_is_called_like_a_group_but_is_the_class_is_named_with_the_option_that_leaves_it(
    tmp_path: Path,
) -> None:
    root = write_folder(tmp_path, {"a": 12, "b": 12})
    rows = [f"{path.relative_to(root)},{path.parent.name},{path.parent.name}" for path in root.rglob("*.png")]
    (root / "list.csv").write_text("\n".join(["path,class,part", *rows]))
    with pytest.raises(DataError, match=r"column part .* by its name.*--group none.*Class a is in 1 groups"):
        look(root / "list.csv")
    with pytest.raises(DataError, match=r"^Class a is in 1 groups.*--group of `resnet-ops init`"):
        look(root / "list.csv", "part")
    assert look(root / "list.csv", "none").groups == {}


def test_equal_images_are_counted_and_those_with_two_labels_are_left_out(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "parts", {"a": 15, "b": 15})
    write_image(root / "a" / "copy.png", 1)
    write_image(root / "b" / "odd.png", 2)
    found = look(root)
    assert found.repeated == 2
    assert found.data.conflicts == "drop"
    assert found.totals == {"a": 15, "b": 15}, "16 of a less the one with two labels, 16 of b less its twin"
    assert any("two labels" in note for note in found.notes)


def test_every_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "parts", {"a": 12, "b": 12})
    for name in ("a/001.png", "b/020.png"):
        (root / name).write_bytes((root / name).read_bytes()[:60])
    with pytest.raises(DataError, match=r"2 of 24 images cannot be read; replace or remove them") as refused:
        look(root)
    assert all(name in str(refused.value) for name in ("a/001.png", "b/020.png"))


def test_one_class_is_refused_with_the_layout_that_is_needed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "parts", {"good": 12})
    with pytest.raises(DataError, match=r"1 class folder\(s\), not 2.*/CLASS/IMAGE"):
        sample(settings(root))


def test_two_images_of_a_class_are_too_few(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "parts", {"a": 20, "b": 2})
    with pytest.raises(DataError, match=r"Class b has only 2 different images: too few.*Add images"):
        look(root)


def test_splits_that_a_list_leaves_empty_are_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": 10, "b": 10})
    rows = [
        f"{path.relative_to(root)},{path.parent.name},{'train' if number % 2 else 'test'}"
        for number, path in enumerate(sorted(root.rglob("*.png")))
    ]
    (root / "list.csv").write_text("\n".join(["path,class,split", *rows]))
    with pytest.raises(DataError, match=r"no image of class a of validation.*leave them empty"):
        look(root / "list.csv")


def test_so_few_masks_that_a_split_has_none_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "tiles"
    mask = np.zeros((12, 12), np.uint8)
    mask[4:] = 1
    for number in range(3):
        write_image(root / f"{number}.jpg", number)
        Image.fromarray(mask).save(root / f"{number}_mask.png")
    masks = make_segmentation(masks="_mask.png", classes={"background": 0, "foreground": 1})
    data = replace(settings(root), task="segmentation", segmentation=masks)
    with pytest.raises(DataError, match=r"3 images.* none .*(test|validation)"):
        survey(read_all(data, lambda done, total: None, tmp_path), data, 0, "none")


def test_the_kind_of_data_set_is_seen_in_its_files(tmp_path: Path) -> None:
    write_folder(tmp_path / "net", {"train/a": 1, "val/a": 1})
    write_folder(tmp_path / "parted", {"Training/a": 1, "Testing/a": 1, "notes": 1})
    write_folder(tmp_path / "plain", {"train": 1, "val": 1, "good": 1})
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"")
    (tmp_path / "list.csv").write_text("path,class\n")
    kinds = {name: source_of(tmp_path / name) for name in ("net", "parted", "plain", "mnist", "list.csv")}
    assert kinds == {
        "net": "split_folders",
        "parted": "split_folders",
        "plain": "imagefolder",
        "mnist": "idx",
        "list.csv": "csv",
    }
    with pytest.raises(DataError, match=r"does not exist. Name a folder"):
        source_of(tmp_path / "gone")


def test_a_sample_gives_the_typical_side_and_what_a_square_would_lose(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "parts", {"a": 5, "b": 5}, side=(40, 30))
    found = sample(settings(root))
    assert (found.images, found.classes, found.side, found.lost) == (10, 2, 30, 0.25)


def test_the_level_beside_deep_grey_is_one_of_the_bits_that_it_uses(tmp_path: Path) -> None:
    for number in range(8):
        pixels = np.full((10, 40), 2048 + number, np.uint16)
        pixels[0, 0] = 4095
        (tmp_path / "parts" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "parts" / "ab"[number % 2] / f"{number}.png")
    found = sample(settings(tmp_path / "parts"))
    assert 127 <= found.background <= 129, "half of 12 bits is half of 8"
