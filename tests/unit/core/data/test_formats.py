"""Data sets in their own files: idx, CIFAR's binary version, ImageNet's layout, CSV; and broken ones."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data import formats, load_prepared, save_prepared
from resnet_ops.data.conflicts import settle_conflicts
from resnet_ops.data.listing.csv_listing import extra_columns
from resnet_ops.data.raw import RawData
from resnet_ops.data.sources import DataParams, check_source, read_source
from resnet_ops.data.splits import split_images
from resnet_ops.errors import DataError
from tests.unit.core.makers import SHARES, make_data_params

FASHION = Path(__file__).parents[5] / "shared/data/fashion-mnist"


def params(source: Any, root: Path, image_size: int, channels: Any) -> DataParams:
    return make_data_params(source=source, root=str(root), image_size=image_size, channels=channels)


def random(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_idx(root: Path, packed: bool = True, count: int = 60) -> dict[str, np.ndarray]:
    """Four files in MNIST's format: `count` images for training, half of that held out; three classes in turn."""
    arrays = {}
    for seed, (part, number) in enumerate({"train": count, "t10k": count // 2}.items()):
        arrays[f"{part}-images-idx3-ubyte"] = random((number, 28, 28), seed)
        arrays[f"{part}-labels-idx1-ubyte"] = np.arange(number, dtype=np.uint8) % 3
    for name, array in arrays.items():
        path = root / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return arrays


def splits_of(raw: RawData) -> dict[str, set[str]]:
    """The splits that the images of each part of the data set end up in."""
    found: dict[str, set[str]] = {}
    for row in split_images(raw, SHARES, 0).rows:
        found.setdefault(row.path.split("/")[0], set()).add(row.split)
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_read_packed_or_not_and_what_was_held_out_stays_so(
    tmp_path: Path, packed: bool
) -> None:
    arrays = write_idx(tmp_path, packed)
    raw = read_source(params("idx", tmp_path, 28, 1))
    expected = np.concatenate([arrays["train-images-idx3-ubyte"], arrays["t10k-images-idx3-ubyte"]])
    assert np.array_equal(raw.images[..., 0], expected)
    assert raw.labels.tolist() == [*(i % 3 for i in range(60)), *(i % 3 for i in range(30))]
    assert raw.classes == ("0", "1", "2")
    assert (raw.paths[0], raw.paths[60]) == ("train/00000", "t10k/00000")
    assert splits_of(raw) == {"train": {"train", "validation"}, "t10k": {"test", "production"}}


def test_shares_deal_out_what_was_given_for_training_among_its_splits(tmp_path: Path) -> None:
    write_idx(tmp_path, count=1800)
    rows = split_images(read_source(params("idx", tmp_path, 28, 1)), SHARES, 0).rows
    counts = {name: sum(row.split == name for row in rows) for name in SHARES.as_dict()}
    assert counts["train"] + counts["validation"] == 1800
    assert abs(counts["train"] - 1500) < 64
    assert counts["test"] + counts["production"] == 900
    assert abs(counts["test"] - 450) < 60


def test_class_names_stand_in_a_file_beside_and_images_are_brought_to_size(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "classes.txt").write_text("shirt\nshoe\nbag\n")
    raw = read_source(params("idx", tmp_path, 32, 3))
    assert raw.classes == ("shirt", "shoe", "bag")
    assert raw.images.shape == (90, 32, 32, 3)
    assert raw.sizes[0] == (28, 28)
    (tmp_path / "classes.txt").write_text("shirt\nshoe\n")
    with pytest.raises(DataError, match=r"has 2 names, .* 3 classes, .* 0 to 2"):
        read_source(params("idx", tmp_path, 32, 3))


def test_every_idx_file_that_is_cut_off_missing_or_another_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path)
    images, labels = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
    content = (tmp_path / images).read_bytes()
    (tmp_path / images).write_bytes(content[: len(content) // 2])
    (tmp_path / labels).write_bytes(gzip.compress(idx(np.zeros((60, 2), np.uint8))))
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros(30, np.uint8))[:-3]))
    with pytest.raises(DataError) as caught:
        read_source(params("idx", tmp_path, 28, 1))
    for part in (
        "4 file(s) cannot be used",
        f"{images} (cut off or damaged",
        f"{labels} (not an idx file of bytes in 1 dimensions)",
        "t10k-images-idx3-ubyte (No such file or directory)",
        "t10k-labels-idx1-ubyte.gz (27 bytes of data, not 30)",
    ):
        assert part in str(caught.value)


def test_images_and_labels_of_different_number_are_named(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros(59, np.uint8))))
    with pytest.raises(DataError, match="60 images but 59 labels"):
        read_source(params("idx", tmp_path, 28, 1))


@pytest.mark.skipif(not FASHION.is_dir(), reason="shared/data/fashion-mnist is not here")
def test_the_original_files_of_fashion_mnist_are_read_whole() -> None:
    raw = read_source(params("idx", FASHION, 28, 1))
    assert raw.images.shape == (70_000, 28, 28, 1)
    assert np.bincount(raw.labels).tolist() == [7000] * 10
    assert raw.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert (
        round(float(raw.images[:60_000].mean()) / 255, 4) == 0.2860
    )  # the published mean of its training images


def write_cifar(root: Path, fine: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """Small files in the format of CIFAR's binary version; all images and labels in order."""
    files = dict.fromkeys(formats.CIFAR100_FILES if fine else formats.CIFAR10_FILES, 40)
    monkeypatch.setattr(formats, "CIFAR100_FILES" if fine else "CIFAR10_FILES", files)
    images, labels = random((40 * len(files), 32, 32, 3), 0), np.arange(40 * len(files)) % 10
    for number, name in enumerate(files):
        part = slice(40 * number, 40 * number + 40)
        planes = images[part].transpose(0, 3, 1, 2).reshape(40, -1)
        heading = [np.full((40, 1), 7), labels[part, None]] if fine else [labels[part, None]]
        (root / name).write_bytes(np.concatenate([*heading, planes], axis=1).astype(np.uint8).tobytes())
    return images, labels


@pytest.mark.parametrize("fine", [False, True])
def test_cifar_is_read_with_its_planes_labels_and_held_out_images(
    tmp_path: Path, fine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = write_cifar(tmp_path, fine, monkeypatch)
    names = [f"name{number}" for number in range(100 if fine else 10)]
    (tmp_path / ("fine_label_names.txt" if fine else "batches.meta.txt")).write_text(
        "\n".join(names) + "\n\n"
    )
    source = "cifar100" if fine else "cifar10"
    raw = read_source(params(source, tmp_path, 32, 3))
    assert np.array_equal(raw.images, images)
    assert np.array_equal(raw.labels, labels)
    assert raw.classes == tuple(names)
    if fine:
        with pytest.raises(DataError, match="Class name10 has only 0"):
            split_images(raw, SHARES, 0)
    else:
        found = splits_of(raw)
        assert found.pop("test_batch") == {"test", "production"}
        assert set.union(*found.values()) == {"train", "validation"}


def test_every_cifar_file_that_is_cut_off_or_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(tmp_path, False, monkeypatch)
    cut = tmp_path / "data_batch_3.bin"
    cut.write_bytes(cut.read_bytes()[:-3073])
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(DataError) as caught:
        read_source(params("cifar10", tmp_path, 32, 3))
    assert "data_batch_3.bin (119,847 bytes, not 122,920)" in str(caught.value)
    assert "test_batch.bin (No such file or directory)" in str(caught.value)


def test_cifar_sizes_are_those_of_the_original_files() -> None:
    assert set(formats.CIFAR10_FILES.values()) == {10_000}
    assert formats.CIFAR100_FILES == {"train.bin": 50_000, "test.bin": 10_000}


def write_images(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(random((count, 10, 12, 3), seed)):
        Image.fromarray(image).save(folder / f"{number}.png")


def test_imagenets_layout_keeps_its_validation_images_from_training(tmp_path: Path) -> None:
    for seed, (part, name) in enumerate([("train", "cat"), ("train", "dog"), ("val", "cat"), ("val", "dog")]):
        write_images(tmp_path / part / name, 20, seed)
    raw = read_source(params("imagenet", tmp_path, 8, 3))
    assert raw.classes == ("cat", "dog")
    assert splits_of(raw) == {"train": {"train", "validation"}, "val": {"test", "production"}}
    write_images(tmp_path / "val" / "cow", 1, 9)
    for read in (read_source, check_source):
        with pytest.raises(DataError, match=r"class cow .* train and val"):
            read(params("imagenet", tmp_path, 8, 3))


def write_csv(root: Path, text: str) -> Path:
    write_images(root / "shots", 6, 0)
    file = root / "list.csv"
    file.write_text(text)
    return file


def test_a_csv_file_gives_paths_classes_and_splits(tmp_path: Path) -> None:
    rows = "shots/0.png,ok,train\nshots/1.png,dent,train\nshots/2.png,ok,test\nshots/3.png,dent,validation\n"
    file = write_csv(tmp_path, f"path,class,split\n{rows}")
    raw = read_source(params("csv", file, 8, 3))
    assert raw.classes == ("dent", "ok")
    assert raw.labels.tolist() == [1, 0, 1, 0]
    assert raw.paths == ["shots/0.png", "shots/1.png", "shots/2.png", "shots/3.png"]
    assert [row.split for row in split_images(raw, SHARES, 0).rows] == [
        "train",
        "train",
        "test",
        "validation",
    ]


def test_a_csv_file_without_splits_is_dealt_out_like_a_folder(tmp_path: Path) -> None:
    for seed, name in enumerate(("ok", "dent")):
        write_images(tmp_path / "root" / name, 20, seed)
    lines = [
        f"root/{name}/{number}.png,{name}"
        for name in ("dent", "ok")
        for number in sorted(map(str, range(20)))
    ]
    file = tmp_path / "list.csv"
    file.write_text("\n".join(["path,class", *lines]))
    listed = split_images(read_source(params("csv", file, 8, 3)), SHARES, 0)
    folder = split_images(read_source(params("imagefolder", tmp_path / "root", 8, 3)), SHARES, 0)
    assert [row.split for row in listed.rows] == [row.split for row in folder.rows]


def test_every_wrong_row_and_image_of_a_csv_file_is_named(tmp_path: Path) -> None:
    file = write_csv(
        tmp_path, "path,class,split\nshots/0.png,,train\n,ok,\nshots/1.png,ok,trian\nshots/2.png,dent,\n"
    )
    with pytest.raises(DataError) as caught:
        check_source(params("csv", file, 8, 3))
    for part in ("3 of 4 rows are wrong", "line 2: path or class is empty", "line 4: split trian is none of"):
        assert part in str(caught.value)
    file.write_text("path,class\nshots/0.png,ok\nshots/gone.png,dent\nshots/away.png,dent\n")
    with pytest.raises(DataError, match=r"2 of 3 images cannot be read(.|\n)*gone\.png(.|\n)*away\.png"):
        read_source(params("csv", file, 8, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("photo,label\n", "has no column path, class"),
        (None, "cannot be read"),
        ("path,class\na.png,x\n", "1 class"),
    ],
)
def test_a_csv_file_that_is_none_says_what_it_needs(
    tmp_path: Path, content: str | None, message: str
) -> None:
    file = tmp_path / "list.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DataError, match=message):
        read_source(params("csv", file, 8, 3))


@pytest.mark.parametrize("source", ["idx", "cifar10", "cifar100"])
def test_a_missing_folder_is_said_before_anything_is_read(source: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone is missing\. Set data\.root"):
        check_source(params(source, tmp_path / "gone", 28, 1))


@pytest.mark.parametrize(("source", "what"), [("csv", "CSV file"), ("cifar10", "image folder")])
def test_a_source_without_a_root_is_refused(source: Any, what: str) -> None:
    with pytest.raises(ValueError, match=f"root must name the {what} when source is {source}"):
        make_data_params(source=source, root=None, image_size=32, channels=3)


def test_idx_labels_may_begin_at_1_and_have_gaps(tmp_path: Path) -> None:
    arrays = write_idx(tmp_path, packed=False)
    for part in ("train", "t10k"):
        labels = np.array([1, 3, 7], np.uint8)[arrays[f"{part}-labels-idx1-ubyte"]]
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    raw = read_source(params("idx", tmp_path, 28, 1))
    assert raw.classes == ("1", "3", "7")
    assert raw.labels.tolist()[:4] == [0, 1, 2, 0]
    (tmp_path / "classes.txt").write_text("\ufeffA\nC\nG\n", encoding="utf-8")
    assert read_source(params("idx", tmp_path, 28, 1)).classes == ("A", "C", "G")
    (tmp_path / "classes.txt").write_text("zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n")
    assert read_source(params("idx", tmp_path, 28, 1)).classes == ("one", "three", "seven")
    (tmp_path / "classes.txt").write_text("A\nB\nC\nD\n")
    with pytest.raises(DataError, match=r"has 4 names, .* 3 classes, .* 1 to 7"):
        read_source(params("idx", tmp_path, 28, 1))
    (tmp_path / "classes.txt").write_text("A\nB\nA\n")
    with pytest.raises(DataError, match="has A twice"):
        read_source(params("idx", tmp_path, 28, 1))


@pytest.mark.parametrize(
    "form",
    [
        "\ufeffpath,class\r\n{0}\r\n{1}\r\n",
        "path;class\n{0}\n{1}\n",
        "path\tclass\n{0}\n{1}\n",
        ' path , class \n"{0a}", {0b} \n{1}\n\n',
        "note,path,class\n,{0}\n,{1}\n",
    ],
)
def test_a_csv_file_is_read_as_people_write_it(tmp_path: Path, form: str) -> None:
    rows = [("shots/0.png", "NA"), ("shots/1.png", "001")]
    separator = next(sign for sign in ";\t," if sign in form)
    texts = [separator.join(row) for row in rows]
    file = write_csv(tmp_path, form.replace("{0a}", rows[0][0]).replace("{0b}", "NA").format(*texts))
    raw = read_source(params("csv", file, 8, 3))
    assert raw.classes == ("001", "NA")
    assert raw.paths == ["shots/0.png", "shots/1.png"]
    assert ("Columns are separated by" in raw.notes[0]) == (separator != ",")
    assert ("note" in raw.extra) == form.startswith("note")


def test_other_columns_of_a_csv_file_go_into_the_manifest_and_can_be_slices(tmp_path: Path) -> None:
    lines = ["path,class,site,width"]
    for number in range(32):
        lines.append(f"shots/{number % 2}.png,{'ab'[number % 2]},site {number % 3},9")
    file = write_csv(tmp_path, "\n".join(lines))
    assert extra_columns(file) == ["site"]
    raw = read_source(params("csv", file, 8, 3))
    assert any(note.endswith("names: 'width'") for note in raw.notes)
    images = np.arange(32 * 8 * 8 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 8, 8, 3)
    images[:, 0, 0, 0] = range(32)
    data = split_images(replace(raw, images=images, digests=None), SHARES, seed=0)
    save_prepared(data, tmp_path / "prepared", ("train", "validation", "test"))
    test = load_prepared(tmp_path / "prepared").split("test")
    assert [f"site {row.index % 3}" for row in test.rows] == test.columns()["site"].tolist()


def test_wrong_rows_of_a_csv_file_are_named_by_the_lines_of_the_file(tmp_path: Path) -> None:
    file = write_csv(
        tmp_path,
        'path,class\n"shots/\n0.png",ok\n\nshots/1.png,\nshots/a, b.png,ok\nshots\\2.png,dent\nshots/2.png\n',
    )
    with pytest.raises(DataError) as caught:
        check_source(params("csv", file, 8, 3))
    for part in (
        "4 of 5 rows are wrong",
        "line 5: path or class is empty",
        "line 6: 3 values for 2 columns",
        "line 7: shots\\2.png: there is no such file; write its folders with / instead",
        "line 8: 1 values for 2 columns",
    ):
        assert part in str(caught.value)
    file.write_text('path,class\nshots/0.png,ok\n"shots/1.png,ok\nshots/2.png,dent\n')
    with pytest.raises(DataError, match=r"line 3: unexpected end of data"):
        check_source(params("csv", file, 8, 3))
    file.write_text("path,class,class\nshots/0.png,ok,ok\n")
    with pytest.raises(DataError, match="two columns of one name"):
        check_source(params("csv", file, 8, 3))


def test_equal_images_with_two_labels_are_all_named_or_settled_as_asked(tmp_path: Path) -> None:
    write_idx(tmp_path)
    raw = read_source(params("idx", tmp_path, 28, 1))
    images = raw.images.copy()
    images[[10, 20, 80]] = images[3]  # labels 1, 2, 2 and 0
    images[30] = images[0]  # one label
    twins = replace(raw, images=images)
    with pytest.raises(DataError) as caught:
        settle_conflicts(twins, "stop")
    assert "train/00003 (0) = train/00010 (1) = train/00020 (2) = t10k/00020 (2)" in str(caught.value)
    assert "data.conflicts: drop (all 4 are left out) or first" in str(caught.value)
    first = settle_conflicts(twins, "first")
    assert first.labels[[3, 10, 20, 80]].tolist() == [0, 0, 0, 0]
    assert "4 images appear with two labels" in first.notes[-1]
    dropped = settle_conflicts(twins, "drop")
    rows = split_images(dropped, SHARES, 0).rows
    assert [row.index for row in rows if row.split not in SHARES.as_dict()] == [3, 10, 20, 80]
    save_prepared(split_images(dropped, SHARES, 0), tmp_path / "prepared", tuple(SHARES.as_dict()))
    assert len(load_prepared(tmp_path / "prepared")) == 86
    assert settle_conflicts(raw, "stop").notes == ()
