"""An image that was sent is decoded as the file would be, and cannot take more than it may."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from resnet_ops.data.decoding import decode, decode_bytes
from resnet_ops.data.opening import quiet_decoders
from tests.unit.core.data.image_folders import folder_params, noise
from tests.unit.core.mutated_images import mutated

FORMATS = ("JPEG", "PNG", "WEBP")
MANY = 10**9


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


def transparent() -> Image.Image:
    image = noise(31, 20).convert("RGBA")
    image.putalpha(noise(31, 20).convert("L"))
    return image


SENT = {
    "jpeg": encoded(noise(40, 30), "JPEG"),
    "jpeg, turned": encoded(noise(40, 30), "JPEG", exif=turned()),
    "jpeg of print": encoded(noise(40, 30).convert("CMYK"), "JPEG"),
    "jpeg with a profile": encoded(
        noise(40, 30), "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    ),
    "png": encoded(noise(40, 30), "PNG"),
    "png, transparent": encoded(transparent(), "PNG"),
    "png, palette": encoded(noise(40, 30).convert("P"), "PNG"),
    "png of 16 bits": encoded(Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30)), "PNG"),
    "png with damaged metadata": encoded(noise(40, 30), "PNG", exif=turned()).replace(b"eXIfMM", b"eXIf\0\0"),
    "webp": encoded(noise(40, 30), "WEBP"),
    "webp, transparent": encoded(transparent(), "WEBP", lossless=True),
}


@pytest.mark.parametrize("content", SENT.values(), ids=SENT)
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_that_were_sent_give_the_very_pixels_that_the_file_gives(
    tmp_path: Path, content: bytes, channels: Any
) -> None:
    file = tmp_path / "image"
    file.write_bytes(content)
    params = folder_params(tmp_path, channels)
    from_file, sent = decode(file, params, 12), decode_bytes(content, FORMATS, MANY, params, 12)
    assert not isinstance(from_file, str)
    assert not isinstance(sent, str)
    assert sent[0].tobytes() == from_file[0].tobytes()
    assert sent[1] == from_file[1]


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_never_opened(tmp_path: Path, kind: str) -> None:
    found = decode_bytes(encoded(noise(8, 8), kind), FORMATS, MANY, folder_params(tmp_path), 8)
    assert isinstance(found, str)
    assert "what was sent" in found
    assert "0x" not in found


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_of_too_many_pixels_is_refused(tmp_path: Path, kind: str) -> None:
    content = encoded(noise(40, 30), kind)
    found = decode_bytes(content, FORMATS, 1199, folder_params(tmp_path), 8)
    assert isinstance(found, str)
    assert "40x30 pixels, and at most 1199" in found
    assert not isinstance(decode_bytes(content, FORMATS, 1200, folder_params(tmp_path), 8), str)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])  # of WebP, a part is no image at all
def test_too_many_pixels_are_known_before_they_are_decoded(tmp_path: Path, kind: str) -> None:
    cut = encoded(noise(40, 30), kind)[:-200]
    found = decode_bytes(cut, FORMATS, 1199, folder_params(tmp_path), 8)
    assert isinstance(found, str)
    assert "40x30 pixels, and at most 1199" in found


def test_damaged_bytes_give_the_pixels_of_the_damaged_file_or_a_reason(tmp_path: Path) -> None:
    params, file = folder_params(tmp_path), tmp_path / "image"
    read = 0
    with quiet_decoders():
        for _, content in mutated(300, seed=0):
            file.write_bytes(content)
            sent, from_file = decode_bytes(content, FORMATS, MANY, params, 8), decode(file, params, 8)
            if not isinstance(sent, str):
                assert not isinstance(from_file, str)
                assert sent[0].tobytes() == from_file[0].tobytes()
                read += 1
    assert read
