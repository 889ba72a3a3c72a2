"""Image files as people have them: odd modes, damaged metadata, extreme shapes, broken bytes."""

import random
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin, WebPImagePlugin
from PIL import _imaging as core

from resnet_ops.data.decoding import Facts, decode
from resnet_ops.data.opening import quiet_decoders
from tests.unit.core.makers import make_data_params
from tests.unit.core.mutated_images import mutated, whole_files


def read(path: Path, grey_bits: int = 16, **changes: Any) -> tuple[np.ndarray, Facts]:
    settings = {"source": "imagefolder", "root": "x", "image_size": 16, "channels": 3}
    found = decode(path, make_data_params(**{**settings, **changes}), grey_bits)
    assert not isinstance(found, str), found
    return found


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def two_colours() -> Image.Image:
    """Red on the left, blue on the right, 16 x 16."""
    image = Image.new("RGB", (16, 16), (200, 30, 60))
    image.paste((10, 60, 200), (8, 0, 16, 16))
    return image


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("size", [(20, 20), (30, 20), (21, 40)])
def test_each_orientation_is_honoured_as_pillow_would(
    tmp_path: Path, turn: int, suffix: str, size: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[274] = turn
    options = {"quality": 95} if suffix in ("jpg", "webp") else {}
    path = save(Image.fromarray(pixels).resize(size), tmp_path / f"x.{suffix}", exif=exif, **options)
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    found, facts = read(path)
    side = min(size)
    left, top = (upright.width - side) / 2, (upright.height - side) / 2
    expected = upright.resize((16, 16), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    assert facts.size == upright.size
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1


def test_a_wrong_tag_beside_the_orientation_neither_refuses_the_image_nor_loses_it(tmp_path: Path) -> None:
    body = BytesIO()
    top = Image.new("L", (8, 8), 0)
    top.paste(255, (0, 0, 8, 4))
    top.save(body, "JPEG")
    entries = struct.pack("<HHII", 274, 3, 1, 6) + struct.pack("<HHI4s", 256, 7, 4, b"AAAA")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + entries + b"\0\0\0\0"
    content = body.getvalue()
    path = tmp_path / "x.jpg"
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])
    pixels, _ = read(path, image_size=8)
    assert pixels[:, 5:].min() > 150
    assert pixels[:, :3].max() < 50


def _png_metadata(content: bytes) -> Iterator[tuple[int, int]]:
    place = 8
    while place < len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind in (b"eXIf", b"zTXt", b"iTXt", b"iCCP", b"tEXt"):
            yield place + 8, place + 12 + length
        place += 12 + length


def _jpeg_metadata(content: bytes) -> Iterator[tuple[int, int]]:
    place = 2
    while content[place + 1] != 0xDA:
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if content[place + 1] in (0xE1, 0xE2, 0xFE):
            yield place + 4, place + 2 + length
        place += 2 + length


def _tiff_metadata(content: bytes) -> Iterator[tuple[int, int]]:
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, place)[0] in (270, 282, 283, 305, 34665, 34675):
            yield place + 2, place + 12


def _webp_metadata(content: bytes) -> Iterator[tuple[int, int]]:
    place = 12
    while place < len(content):
        kind, length = struct.unpack_from("<4sI", content, place)
        if kind in (b"EXIF", b"ICCP"):
            yield place + 8, place + 8 + length
        place += 8 + length + length % 2


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        ("jpeg", _jpeg_metadata),
        ("jpeg-mpo", _jpeg_metadata),
        ("jpeg-progressive", _jpeg_metadata),
        ("png", _png_metadata),
        ("png-16", _png_metadata),
        ("tiff", _tiff_metadata),
        ("tiff-lzw", _tiff_metadata),
        ("webp-lossless", _webp_metadata),
    ],
)
def test_damaged_metadata_never_cost_an_image(
    tmp_path: Path, name: str, metadata: Callable[[bytes], Iterator[tuple[int, int]]]
) -> None:
    content, chance = whole_files()[name], random.Random(name)
    places = [place for place in metadata(content) if place[0] < place[1]]
    assert places
    path, marked = tmp_path / "x", 0
    with quiet_decoders():
        for _ in range(50):
            damaged = bytearray(content)
            for _ in range(chance.choice((1, 3, 8))):
                damaged[chance.randrange(*chance.choice(places))] = chance.choice(
                    (0, 255, chance.randrange(256))
                )
            path.write_bytes(damaged)
            marked += read(path)[1].metadata_damaged
    assert marked or name.startswith(("jpeg", "webp"))  # whose metadata do not have a checksum


@pytest.mark.slow
def test_damaged_files_are_read_or_named_in_one_line_and_nothing_is_raised(tmp_path: Path) -> None:
    params = make_data_params(source="imagefolder", root="x", image_size=16, channels=3)
    outcomes = {"named": 0, "read": 0}
    with quiet_decoders():
        for name, content in mutated(1500, seed=7):
            path = tmp_path / name
            path.write_bytes(content)
            found = decode(path, params, 16)
            outcomes["named" if isinstance(found, str) else "read"] += 1
            assert "\n" not in found if isinstance(found, str) else found[0].shape == (16, 16, 3)
            path.unlink()
    assert min(outcomes.values()) > 150


def claiming(content: bytes, width: int, height: int) -> bytes:
    """The file with another size in its header; of a WebP that of its canvas."""
    if content.startswith(b"RIFF"):
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return content[:24] + sides + content[30:]
    place = next(at for marker in (b"\xff\xc0", b"\xff\xc2") if (at := content.find(marker)) > 0) + 5
    return content[:place] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + content[place + 4 :]


@pytest.mark.parametrize("kind", ["webp-animated", "jpeg", "jpeg-progressive", "jpeg-grey"])
def test_a_header_that_claims_more_than_its_file_can_hold_is_refused_before_memory_is_taken(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "claims.img"
    path.write_bytes(claiming(whole_files()[kind], 9_000, 8_000))
    loaded: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "load", lambda self: loaded.append("all of it"))
        for plugin in (JpegImagePlugin.JpegImageFile, WebPImagePlugin.WebPImageFile):
            patch.setattr(plugin, "load", lambda self: loaded.append("all of it"))
        found = decode(path, make_data_params(source="imagefolder", root="x", image_size=16, channels=3), 16)
    assert isinstance(found, str)
    assert "9,000 x 8,000 pixels" in found
    assert loaded == []


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("L", "JPEG", {"quality": 1, "optimize": True}),
        ("RGB", "JPEG", {"quality": 1, "progressive": True}),
        ("RGB", "WEBP", {"quality": 0}),
    ],
)
def test_a_large_picture_of_one_colour_is_read_though_its_file_is_as_small_as_can_be(
    tmp_path: Path, mode: str, kind: str, options: dict[str, Any]
) -> None:
    path = tmp_path / "blank.img"
    Image.new(mode, (3000, 3000), 128 if mode == "L" else (128, 128, 128)).save(path, kind, **options)
    pixels, _ = read(path, image_size=16)
    assert abs(int(pixels.max()) - 128) <= 3


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("texts", b"mluc" + bytes(4) + (5_000_000).to_bytes(4, "big") + (12).to_bytes(4, "big")),
        ("a table of 8 bits", b"mft1" + bytes(4) + bytes([4, 3, 255])),
        ("a table of 16 bits", b"mft2" + bytes(4) + bytes([4, 3, 255])),
        (
            "curves and a table",
            b"mAB " + bytes(4) + bytes([3, 3]) + bytes(14) + b"\0\0\0\x20" + bytes(4) + b"\xff" * 16,
        ),
    ],
)
def test_a_colour_profile_that_claims_more_than_its_bytes_is_left_out_before_memory_is_taken(
    tmp_path: Path, kind: str, content: bytes
) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    place = int.from_bytes(profile[136:140], "big")
    profile[place : place + len(content)] = content
    path = save(two_colours(), tmp_path / "image.png", icc_profile=bytes(profile))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageCms, "ImageCmsProfile", lambda source: pytest.fail(f"{kind} are read"))
        pixels, facts = read(path)
    assert facts.metadata_damaged
    assert tuple(pixels[0, 0]) == (200, 30, 60)


def test_a_tiff_whose_kind_of_grey_is_listed_and_holds_nothing_is_read(tmp_path: Path) -> None:
    *_, (name, content) = mutated(1426, seed=0)
    path = tmp_path / name
    path.write_bytes(content)
    with quiet_decoders(), Image.open(path) as image:
        assert 262 in image.tag_v2  # type: ignore[attr-defined]
        with pytest.raises(KeyError):
            image.tag_v2[262]  # type: ignore[attr-defined]
        params = make_data_params(source="imagefolder", root="x", image_size=16, channels=3)
        assert not isinstance(decode(path, params, 16), str)


def test_whole_files_of_every_kind_look_as_pillow_converts_them_on_the_background(tmp_path: Path) -> None:
    for name, content in whole_files().items():
        path = tmp_path / name
        path.write_bytes(content)
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        white = Image.new("RGBA", upright.size, "white")
        shown = Image.alpha_composite(white, upright.convert("RGBA")).convert("RGB")
        box = (6, 0, 34, 28) if upright.width == 40 else (0, 6, 28, 34)
        expected = np.asarray(shown.resize((16, 16), Image.Resampling.BILINEAR, box=box))
        found, facts = read(path)
        assert facts.size == upright.size, name
        assert np.abs(found.astype(int) - expected).max() <= 1, name


@pytest.mark.parametrize("size", [(2, 30_000), (30_000, 2), (1, 50_000)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_thin_strip_takes_no_more_memory_than_itself(
    tmp_path: Path, size: tuple[int, int], fit: str
) -> None:
    path = save(Image.new("RGB", size, (9, 99, 199)), tmp_path / "strip.png")
    made: list[tuple[int, int]] = []
    new = core.new

    def watched(mode: str, wanted: tuple[int, int]) -> Any:
        made.append(wanted)
        return new(mode, wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "new", watched)
        pixels, _ = read(path, image_size=224, fit=fit)
    assert (pixels[110:114, 110:114] == (9, 99, 199)).all(axis=-1).any()
    assert max(width * height for width, height in made) <= max(size[0] * size[1], 224 * 224)


def test_a_large_image_is_converted_in_parts_that_join_without_a_seam(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 2100, 3), dtype=np.uint8)
    path = save(Image.fromarray(pixels), tmp_path / "large.bmp")
    found, _ = read(path, image_size=224)
    expected = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR, box=(300, 0, 1800, 1500))
    assert np.array_equal(found, np.asarray(expected))


def test_a_padded_image_is_whole_in_the_centre_of_the_background(tmp_path: Path) -> None:
    path = save(Image.new("RGB", (40, 10), (200, 30, 60)), tmp_path / "x.png")
    pixels, facts = read(path, fit="pad", background=128)
    assert facts.size == (40, 10)
    assert (pixels[6:10] == (200, 30, 60)).all()
    assert (pixels[:6] == 128).all()
    assert (pixels[10:] == 128).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB", "1"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_lies_under_transparent_pixels_cannot_be_seen(tmp_path: Path, mode: str, channels: int) -> None:
    shown = []
    for hidden in (0, 255):
        grey = Image.new("L", (16, 16), hidden)
        grey.paste(255 - hidden, (8, 0, 16, 16))
        mask = Image.new("L", (16, 16), 0)
        options: dict[str, Any] = {}
        if mode in ("RGBA", "LA"):
            image = grey.convert(mode)
            image.putalpha(mask)
        else:
            image = Image.new("L", (16, 16), hidden).convert("RGB" if mode == "P" else mode)
            image = image.quantize(2) if mode == "P" else image
            options["transparency"] = {"RGB": (hidden,) * 3, "P": 0}.get(mode, hidden)
        path = save(image, tmp_path / f"{hidden}.png", **options)
        pixels, facts = read(path, channels=channels, background=77)
        assert facts.transparent
        shown.append(pixels)
    assert (shown[0] == 77).all()
    assert (shown[1] == 77).all()


def test_an_alpha_channel_that_hides_nothing_is_no_transparency(tmp_path: Path) -> None:
    path = save(two_colours().convert("RGBA"), tmp_path / "x.png")
    pixels, facts = read(path)
    assert not facts.transparent
    assert np.array_equal(pixels, np.asarray(two_colours()))


def test_lab_and_other_colour_spaces_look_as_their_profiles_say(tmp_path: Path) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    in_lab = ImageCms.profileToProfile(two_colours(), srgb, lab, outputMode="LAB")
    assert in_lab is not None
    pixels, _ = read(save(in_lab, tmp_path / "lab.tif"))
    assert np.abs(pixels.astype(int) - np.asarray(two_colours())).max() <= 4
    profile = ImageCms.ImageCmsProfile(srgb).tobytes()
    swapped = profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    named_otherwise = swapped.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    pixels, facts = read(save(two_colours(), tmp_path / "swapped.png", icc_profile=named_otherwise))
    assert not facts.metadata_damaged
    assert np.abs(pixels.astype(int) - np.asarray(two_colours())[..., ::-1]).max() <= 2
    pixels, facts = read(save(two_colours(), tmp_path / "damaged.png", icc_profile=b"x" * 200))
    assert facts.metadata_damaged
    assert np.array_equal(pixels, np.asarray(two_colours()))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_is_scaled_by_the_bits_that_it_uses(tmp_path: Path, bits: int, suffix: str) -> None:
    values = np.linspace(0, (1 << bits) - 1, 256).astype(np.uint16).reshape(16, 16)
    path = save(Image.fromarray(values), tmp_path / f"x.{suffix}")
    pixels, facts = read(path, grey_bits=bits, channels=1)
    assert facts.highest_grey == (1 << bits) - 1
    assert np.array_equal(pixels[..., 0], values >> (bits - 8))


def test_a_tiff_of_16_bits_whose_zero_is_white_is_shown_so(tmp_path: Path) -> None:
    values = np.full((16, 16), 60_000, np.uint16)
    path = save(Image.fromarray(values), tmp_path / "x.tif", tiffinfo={262: 0})
    assert (read(path)[0] == (65535 - 60_000) >> 8).all()


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_an_animation_the_first_frame_is_used_and_it_is_said(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    path = save(frames[0], tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:])
    pixels, facts = read(path)
    assert facts.several
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 3
    assert not read(save(frames[0], tmp_path / f"y.{suffix}"))[1].several
