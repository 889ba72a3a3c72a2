"""Reading images: the embedded digits, and folders of real image files made by Pillow."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from resnet_ops.data import load_prepared
from resnet_ops.data.sources import SplitParams, read_source
from resnet_ops.data.spool import spool
from resnet_ops.errors import DataError, StorageError
from tests.unit.core.data.image_folders import folder_params, noise, write_image
from tests.unit.core.makers import make_data_params


def test_digits_are_all_read_with_their_labels_over_the_whole_range_of_values() -> None:
    raw = read_source(make_data_params())
    original = load_digits()
    assert raw.images.shape == (1797, 8, 8, 1)
    assert raw.images.dtype == np.uint8
    assert (raw.images.min(), raw.images.max()) == (0, 255)
    assert np.array_equal(raw.labels, original.target)
    assert np.abs(raw.images[..., 0] / 255 - original.images / 16).max() < 0.5 / 255 + 1e-9
    assert len(set(raw.paths)) == 1797
    assert raw.classes == tuple("0123456789")


def test_classes_are_the_folders_in_alphabetical_order_and_labels_follow_them(tmp_path: Path) -> None:
    for name in ("scratch", "dent", "ok"):
        write_image(tmp_path / name / "1.png")
    write_image(tmp_path / "dent" / "2.JPG")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "dent" / "notes.txt").write_text("not an image")
    (tmp_path / "readme.txt").write_text("not a class")
    raw = read_source(folder_params(tmp_path))
    assert raw.classes == ("dent", "ok", "scratch")
    assert raw.paths == ["dent/1.png", "dent/2.JPG", "ok/1.png", "scratch/1.png"]
    assert raw.labels.tolist() == [0, 0, 1, 2]
    assert raw.labels.dtype == np.int64


@pytest.mark.parametrize(("suffix", "tolerance"), [("png", 0), ("bmp", 0), ("tiff", 0), ("jpg", 3)])
def test_each_format_gives_the_colours_that_were_saved(tmp_path: Path, suffix: str, tolerance: int) -> None:
    write_image(tmp_path / "a" / f"1.{suffix}", (200, 30, 60))
    write_image(tmp_path / "b" / f"1.{suffix}", (10, 250, 128))
    raw = read_source(folder_params(tmp_path))
    expected = np.array([(200, 30, 60), (10, 250, 128)])[:, None, None, :]
    assert np.abs(raw.images.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (8, 8), (17, 33), (400, 16)])
def test_of_an_image_the_square_in_its_centre_is_taken_and_resized(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    image = noise(*size)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "1.png")
    raw = read_source(folder_params(tmp_path))
    side = min(size)
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    expected = image.resize((16, 16), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    assert np.array_equal(raw.images[0], np.asarray(expected))
    assert raw.sizes == [size, size]


def test_colour_images_become_grey_by_their_luminance_and_grey_ones_become_colour(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "1.png", (200, 30, 60))
    (tmp_path / "b").mkdir()
    Image.new("L", (20, 20), 77).save(tmp_path / "b" / "1.png")
    grey = read_source(folder_params(tmp_path, channels=1))
    assert grey.images.shape == (2, 16, 16, 1)
    assert np.abs(grey.images[0].astype(float) - (0.299 * 200 + 0.587 * 30 + 0.114 * 60)).max() <= 1
    assert (read_source(folder_params(tmp_path, channels=3)).images[1] == 77).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_16_bit_image_keeps_its_upper_8_bits(tmp_path: Path, suffix: str, channels: Literal[1, 3]) -> None:
    values = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(values).save(tmp_path / name / f"1.{suffix}")
    raw = read_source(folder_params(tmp_path, channels))
    assert np.array_equal(raw.images[0][..., 0], values >> 8)


def test_an_image_of_32_bit_values_is_refused_as_its_range_is_unknown(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    Image.fromarray(np.full((16, 16), 0.5, np.float32)).save(tmp_path / "b" / "1.tif")
    with pytest.raises(DataError, match=r"b/1\.tif \(ValueError: 32-bit pixels"):
        read_source(folder_params(tmp_path))


def test_an_image_that_the_camera_marked_as_turned_is_read_upright(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        picture = Image.new("L", (8, 8), 0)
        picture.paste(255, (0, 0, 8, 4))  # bright above, dark below
        exif = Image.Exif()
        exif[274] = 6 if name == "a" else 1  # orientation: turn by 90 degrees clockwise, or leave
        picture.save(tmp_path / name / "x.png", exif=exif)
    raw = read_source(folder_params(tmp_path, channels=1, image_size=8))
    turned, plain = raw.images[..., 0]
    assert plain[:4].min() == 255
    assert turned[:, 4:].min() == 255
    assert turned[:, :4].max() == 0


def test_progress_reaches_the_number_of_images(tmp_path: Path) -> None:
    for index in range(3):
        write_image(tmp_path / "a" / f"{index}.png")
        write_image(tmp_path / "b" / f"{index}.png")
    seen: list[tuple[int, int]] = []
    read_source(folder_params(tmp_path), lambda done, total: seen.append((done, total)))
    assert seen == [(done, 6) for done in range(1, 7)]


PREPARE = """
import resource, sys, threading
from pathlib import Path
import numpy as np
from resnet_ops.data import save_prepared
from resnet_ops.data.sources import DataParams, SplitParams, check_source, read_source
from resnet_ops.data.splits import split_images
root = Path(sys.argv[1])
shares = SplitParams(train=0.5, validation=0.1, test=0.2, production=0.2)
params = DataParams(
    source="imagefolder", root=str(root), image_size=512, channels=3, split=shares, fit="crop", background=255,
    grey_bits="auto", window=None, similar_classes="ask", conflicts="stop", group=None,
)
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
limit = used * 1024 + 150 * 2**20
threading.stack_size(2**20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
data = split_images(read_source(params, scratch=root), shares, 0)
save_prepared(data, root / "prepared", ("train", "validation", "test"))
print(data.images.nbytes // 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to limit memory")
def test_225_mebibytes_of_images_are_prepared_with_150_of_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(300):
        path = tmp_path / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(path)

    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(tmp_path)],
        cwd=Path(__file__).parents[4],
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 225
    images = load_prepared(tmp_path / "prepared").images
    assert images.shape[1:] == (512, 512, 3)
    assert 200 < len(images) < 275  # 80 % of 300, as chance has it
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "prepared"]


def test_a_disk_that_is_full_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs Linux")
    with pytest.raises(StorageError, match=r"nowhere.*after 0 bytes\. Free"):
        spool([np.zeros((2, 2, 1), np.uint8)], (2, 2, 1), tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named_with_the_setting_to_change(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"image folder {tmp_path}/nowhere is missing. Set data.root"):
        read_source(folder_params(tmp_path / "nowhere"))


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png")
    write_image(tmp_path / "only" / "1.png")
    with pytest.raises(DataError, match=r"1 class folder.*Lay images out as .*/CLASS/IMAGE"):
        read_source(folder_params(tmp_path))


def test_every_empty_class_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "full" / "1.png")
    (tmp_path / "hollow").mkdir()
    (tmp_path / "vacant").mkdir()
    (tmp_path / "vacant" / "notes.txt").write_text("nothing to see")
    with pytest.raises(DataError, match="folder hollow, vacant"):
        read_source(folder_params(tmp_path))


def test_all_corrupt_images_are_listed_at_once_with_what_is_wrong(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "good.png")
    write_image(tmp_path / "b" / "good.jpg")
    noise(64, 64).save(tmp_path / "a" / "cut.jpg")
    whole = (tmp_path / "a" / "cut.jpg").read_bytes()
    (tmp_path / "a" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b" / "text.png").write_text("this is no image")
    (tmp_path / "b" / "void.png").touch()
    (tmp_path / "b" / "folder.png").mkdir()
    with pytest.raises(DataError) as caught:
        read_source(folder_params(tmp_path))
    first, *lines = str(caught.value).splitlines()
    assert "4 of 6 images cannot be read" in first
    assert [line.split()[0] for line in lines] == ["a/cut.jpg", "b/folder.png", "b/text.png", "b/void.png"]
    assert "truncated" in lines[0]
    assert "cannot identify image file" in lines[2]


def test_a_file_name_that_is_not_utf_8_is_listed_as_the_manifest_cannot_hold_it(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "1.png")
    write_image(tmp_path / "b" / "1.png")
    try:
        (tmp_path / "b" / "1.png").rename(tmp_path / "b" / "caf\udce9.png")
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(DataError, match=r"1 of 2 images cannot be read.*\n.*UnicodeEncodeError"):
        read_source(folder_params(tmp_path))


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.5, 0.2, 0.2, 0.2), "sum to 1"),
        ((1.0, 0.0, 0.0, 0.0), "above 0"),
        ((1.2, -0.4, 0.1, 0.1), "above 0"),
        ((float("nan"), 0.2, 0.2, 0.2), "above 0"),
    ],
)
def test_shares_that_are_no_partition_are_refused(
    shares: tuple[float, float, float, float], message: str
) -> None:
    train, validation, test, production = shares
    with pytest.raises(ValueError, match=message):
        SplitParams(train=train, validation=validation, test=test, production=production)


def test_settings_that_contradict_the_source_are_refused() -> None:
    with pytest.raises(ValueError, match="root must name"):
        make_data_params(source="imagefolder", root=None, image_size=32, channels=3)
    with pytest.raises(ValueError, match="image_size must be 8"):
        make_data_params(source="digits", root=None, image_size=32, channels=3)
    with pytest.raises(ValueError, match=r"image_size is 7, .* 8 and 1024"):
        make_data_params(source="imagefolder", root="x", image_size=7, channels=3)
