"""How large an image is, without decoding it."""

from pathlib import Path

__all__ = ["image_size"]


def image_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels, upright as its EXIF says; None where the file is no image that can be read."""
    from PIL import Image

    from resnet_ops.data.opening import SIDEWAYS, known_formats, quiet_decoders, turn_of

    try:
        with quiet_decoders(), Image.open(path, formats=known_formats()) as image:
            width, height = image.size
            return (height, width) if turn_of(image)[0] in SIDEWAYS else (width, height)
    except Exception:  # noqa: BLE001 - decoders raise anything, and whatever it is, this is no image
        return None
