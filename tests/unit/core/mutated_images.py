"""Image files as people and disks damage them: whole ones of six formats, mutated at random."""

import random
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

__all__ = ["mutated", "whole_files"]


def whole_files() -> dict[str, bytes]:
    """A file of each kind by a name that says which, all 40 x 28 pixels or so, with metadata where they can be."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (28, 40, 3), dtype=np.uint8)
    rgb = Image.fromarray(noise).resize((40, 28), box=(0, 0, 8, 8))
    rgba = rgb.convert("RGBA")
    rgba.putalpha(Image.fromarray(noise[..., 0]))
    deep = Image.fromarray((noise[..., 0].astype(np.uint16) << 8) + 7)
    exif = Image.Exif()
    exif[274], exif[256], exif[0x010E] = 6, 40, "a camera"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:05 08:00:00"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 300, zip=True)
    text.add_itxt("Title", "ü" * 30, zip=True)
    described: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    frames = [rgb.rotate(90 * turn) for turn in range(3)]
    made: list[tuple[str, Image.Image, str, dict[str, Any]]] = [
        ("jpeg", rgb, "JPEG", {"quality": 80, "comment": b"hello"} | described),
        ("jpeg-progressive", rgb, "JPEG", {"progressive": True} | described),
        ("jpeg-grey", rgb.convert("L"), "JPEG", {"exif": exif}),
        ("jpeg-cmyk", rgb.convert("CMYK"), "JPEG", {}),
        ("jpeg-mpo", rgb, "MPO", {"save_all": True, "append_images": frames[1:2]}),
        ("png", rgb, "PNG", {"pnginfo": text} | described),
        ("png-alpha", rgba, "PNG", {"exif": exif}),
        ("png-grey-alpha", rgba.convert("LA"), "PNG", {}),
        ("png-palette", rgb.quantize(16), "PNG", {"transparency": 3}),
        ("png-1", rgb.convert("1"), "PNG", {}),
        ("png-16", deep, "PNG", {"exif": exif}),
        ("png-animated", rgb, "PNG", {"save_all": True, "append_images": frames}),
        ("tiff", rgb, "TIFF", described),
        ("tiff-lzw", rgb, "TIFF", {"compression": "tiff_lzw"} | described),
        ("tiff-jpeg", rgb, "TIFF", {"compression": "jpeg"}),
        ("tiff-fax", rgb.convert("1"), "TIFF", {"compression": "group4"}),
        ("tiff-palette", rgb.quantize(16), "TIFF", {"compression": "packbits"}),
        ("tiff-16", deep, "TIFF", {"compression": "tiff_deflate", "exif": exif}),
        ("tiff-cmyk", rgb.convert("CMYK"), "TIFF", {}),
        ("tiff-alpha", rgba, "TIFF", {}),
        ("tiff-pages", rgb, "TIFF", {"save_all": True, "append_images": frames}),
        ("gif", rgb, "GIF", {"save_all": True, "append_images": frames, "comment": b"hello"}),
        ("gif-transparent", rgb.quantize(16), "GIF", {"transparency": 2}),
        ("webp", rgb, "WEBP", {"quality": 80} | described),
        ("webp-lossless", rgba, "WEBP", {"lossless": True} | described),
        ("webp-animated", rgb, "WEBP", {"save_all": True, "append_images": frames}),
        ("bmp", rgb, "BMP", {}),
        ("bmp-palette", rgb.quantize(16), "BMP", {}),
        ("bmp-1", rgb.convert("1"), "BMP", {}),
        ("bmp-alpha", rgba, "BMP", {}),
    ]
    files = {}
    for name, image, kind, options in made:
        buffer = BytesIO()
        pages = {"append_images": [frame.copy() for frame in options.get("append_images", ())]}
        image.copy().save(buffer, kind, **options | (pages if "save_all" in options else {}))
        files[name] = buffer.getvalue()
    return files


def mutated(count: int, seed: int, whole: dict[str, bytes] | None = None) -> Iterator[tuple[str, bytes]]:
    """`count` damaged files, each with a name that says what it was made of: of `whole`, or of `whole_files`."""
    files = list((whole or whole_files()).items())
    chance = random.Random(seed)
    for number in range(count):
        name, content = files[number % len(files)]
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
            _damage(damaged, chance)
        yield f"{number:06}-{name}", bytes(damaged)


def _damage(content: bytearray, chance: random.Random) -> None:
    """One change in place, half of them in the first 400 bytes, where headers and metadata are."""
    end = len(content) if chance.random() < 0.5 else min(400, len(content))
    place = chance.randrange(max(1, end))
    length = chance.choice((1, 2, 4, 8, 32))
    match chance.randrange(6):
        case 0:
            content[place : place + 1] = bytes([chance.randrange(256)])
        case 1:
            content[place : place + length] = chance.choice((b"\0", b"\xff", b"\x7f")) * length
        case 2:
            content[place : place + length] = b""
        case 3:
            content[place:place] = chance.randbytes(length)
        case 4:
            other = chance.randrange(max(1, len(content)))
            content[place : place + length] = content[other : other + length]
        case _:
            if chance.random() < 0.3:
                del content[place:]
            elif content:
                content[place % len(content)] ^= 1 << chance.randrange(8)
