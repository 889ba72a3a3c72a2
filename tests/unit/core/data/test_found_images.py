"""Which files of a folder are taken for images, what is passed over, and what stops the run."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data.opening import image_suffixes
from resnet_ops.data.sources import check_source, read_source
from resnet_ops.errors import DataError
from tests.unit.core.data.image_folders import folder_params, write_image


def fill(folder: Path, count: int, suffix: str = ".png", first: int = 0) -> None:
    for number in range(first, first + count):
        write_image(folder / f"{number:03}{suffix}", (number % 256, 80, 160))


def test_images_are_found_by_their_content_and_in_deeper_folders(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 2)
    fill(tmp_path / "dog" / "2026" / "january", 3)
    fill(tmp_path / "dog", 1)
    image = Image.new("RGB", (20, 20), (1, 2, 3))
    image.save(tmp_path / "cat" / "noending", "PNG")
    image.save(tmp_path / "cat" / "wrong.dat", "WEBP")
    image.save(tmp_path / "cat" / "x.JFIF", "JPEG")
    image.save(tmp_path / "cat" / "x.avif")
    image.convert("L").save(tmp_path / "cat" / "x.pgm")
    (tmp_path / "dog" / "2026" / "back").symlink_to(tmp_path / "dog")
    raw = read_source(folder_params(tmp_path))
    cats = ["000.png", "001.png", "noending", "wrong.dat", "x.JFIF", "x.avif", "x.pgm"]
    dogs = ["000.png", "2026/january/000.png", "2026/january/001.png", "2026/january/002.png"]
    assert raw.paths == [f"cat/{name}" for name in cats] + [f"dog/{name}" for name in dogs]
    assert raw.notes == ()


def test_what_systems_leave_behind_is_passed_over_in_one_line(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, 5)
        for number in range(5):
            (tmp_path / name / f"._{number:03}.png").write_bytes(b"\0\5\x16\7" + bytes(100))
        (tmp_path / name / "@eaDir").mkdir()
        fill(tmp_path / name / "@eaDir", 2)
        (tmp_path / name / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    fill(tmp_path / "__MACOSX" / "cat", 3)
    raw = read_source(folder_params(tmp_path))
    assert len(raw.paths) == 10
    assert raw.classes == ("cat", "dog")
    (note,) = raw.notes
    assert note.startswith("Skipped 15 files")


def test_files_that_are_no_images_are_counted_by_ending(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, 5)
        (tmp_path / name / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60))
        (tmp_path / name / "drawing.svg").write_text("<svg/>")
        (tmp_path / name / "notes.txt").write_text("a note")
    fill(tmp_path, 2)
    notes = read_source(folder_params(tmp_path)).notes
    assert notes[0].startswith("Skipped 2 .heic, 2 .svg:")
    assert "resnet-ops[heif]" in notes[0]
    assert notes[1].startswith("Skipped 2 .txt:")
    assert [note.startswith("Skipped 2 images") for note in notes[2:]] == [True]


def test_a_class_of_which_most_would_be_lost_stops_the_run(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 20)
    fill(tmp_path / "dog", 2)
    for number in range(3):
        (tmp_path / "dog" / f"{number}.CR2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(100))
    for read in (read_source, check_source):
        with pytest.raises(DataError, match=r"dog: 3 of 5 files .* 3 \.cr2\."):
            read(folder_params(tmp_path))


def test_images_beside_the_classes_and_folders_called_like_splits_stop_the_run(tmp_path: Path) -> None:
    for name in ("train", "test"):
        fill(tmp_path / "a" / name / "cat", 3)
    with pytest.raises(DataError, match=r"folders test, train are called like splits.*split_folders"):
        read_source(folder_params(tmp_path / "a"))
    fill(tmp_path / "b" / "cat", 1)
    fill(tmp_path / "b" / "dog", 1)
    fill(tmp_path / "b", 3)
    with pytest.raises(DataError, match=r"3 images .* only 2 in them"):
        read_source(folder_params(tmp_path / "b"))


def test_heic_behind_another_ending_is_named_with_what_reads_it(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 1)
    fill(tmp_path / "dog", 1)
    (tmp_path / "dog" / "photo.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60))
    with pytest.raises(DataError, match=r"dog/photo\.jpg .*(heif\]|photo\.jpg)"):
        read_source(folder_params(tmp_path))


def test_dicom_without_its_extra_is_counted_and_named_with_what_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_ops.data.dicom.image.find_spec", lambda name: None)
    image_suffixes.cache_clear()
    for name in ("cat", "dog"):
        fill(tmp_path / name, 3)
        for scan in ("scan.dcm", "IM0001"):
            (tmp_path / name / scan).write_bytes(bytes(128) + b"DICM" + bytes(60))
    notes = read_source(folder_params(tmp_path)).notes
    image_suffixes.cache_clear()
    (note,) = notes
    assert note.startswith("Skipped 4 .dcm:")
    assert note.endswith("pip install 'resnet-ops[dicom]'")
    (tmp_path / "list.csv").write_text("path,class\ncat/000.png,cat\ndog/IM0001,dog\n")
    params = replace(folder_params(tmp_path / "list.csv"), source="csv")
    with pytest.raises(DataError, match=r"dog/IM0001 \(a DICOM file needs pydicom, .*'resnet-ops\[dicom\]'"):
        read_source(params)


def test_what_is_odd_about_images_is_counted(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 3)
    write_image(tmp_path / "dog" / "wide.png", size=(80, 20))
    Image.new("RGBA", (20, 20), (9, 9, 9, 100)).save(tmp_path / "dog" / "glass.png")
    pages = [Image.new("L", (20, 20), grey) for grey in (10, 200)]
    pages[0].save(tmp_path / "dog" / "pages.tif", save_all=True, append_images=pages[1:])
    notes = read_source(folder_params(tmp_path)).notes
    facts = (
        ("dog/pages.tif",),
        ("grey 255", "data.background", "dog/glass.png"),
        ("75%", "data.fit", "dog/wide.png"),
    )
    for note, told in zip(notes, facts, strict=True):
        assert note.startswith("1 images ")
        assert all(fact in note for fact in told)


def write_grey(path: Path, highest: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.linspace(0, highest, 256).astype(np.uint16).reshape(16, 16)).save(path)


def test_grey_of_12_bits_keeps_its_levels_and_the_setting_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_grey(tmp_path / name / "1.png", 4000)
    raw = read_source(folder_params(tmp_path, channels=1))
    assert len(np.unique(raw.images)) > 240
    assert "(up to 4,000 in a/1.png). With data.grey_bits: 12" in raw.notes[0]
    fixed = read_source(replace(folder_params(tmp_path, channels=1), grey_bits=12))
    assert np.array_equal(fixed.images, raw.images)
    assert fixed.notes == ()
    too_few = read_source(replace(folder_params(tmp_path, channels=1), grey_bits=10))
    assert "brighter than data.grey_bits: 10" in too_few.notes[0]


def test_one_bright_pixel_that_makes_all_others_black_is_said(tmp_path: Path) -> None:
    for number in range(5):
        write_grey(tmp_path / "a" / f"{number}.png", 4000)
        write_grey(tmp_path / "b" / f"{number}.png", 65535 if number == 0 else 4000)
    notes = read_source(folder_params(tmp_path, channels=1)).notes
    assert "(up to 65,535 in b/0.png)" in notes[0]
    assert "they reach 4,000 of 65,535" in notes[1]


def test_colours_of_16_bits_that_use_12_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "a", 1)
    (tmp_path / "b").mkdir()
    header = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    rows = (b"\0" + struct.pack(">3H", 4000, 2000, 100) * 16) * 16
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(content)) + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
        for kind, content in chunks
    )
    (tmp_path / "b" / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(DataError, match=r"1 images .*b/x\.png.* 8 bits"):
        read_source(folder_params(tmp_path))


@pytest.mark.parametrize(
    "names", [("cat", "Cat"), ("cat", "cat "), ("hot dog", "hotdog"), ("caf\u00e9", "cafe\u0301")]
)
def test_classes_that_differ_only_in_case_or_blanks_are_asked_about(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    fill(tmp_path / names[0], 2)
    fill(tmp_path / names[1], 3)
    fill(tmp_path / "other", 2)
    params = folder_params(tmp_path)
    with pytest.raises(DataError, match=r"data\.similar_classes: merge .* or keep"):
        check_source(params)
    merged = read_source(replace(params, similar_classes="merge"))
    assert set(merged.classes) == {names[1], "other"}
    assert np.bincount(merged.labels)[merged.classes.index(names[1])] == 5
    assert set(read_source(replace(params, similar_classes="keep")).classes) == {*names, "other"}


def test_a_class_name_with_a_line_break_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "a\nb", 1)
    fill(tmp_path / "c", 1)
    with pytest.raises(DataError, match=r"cannot be shown: 'a\\nb'\."):
        check_source(folder_params(tmp_path))
