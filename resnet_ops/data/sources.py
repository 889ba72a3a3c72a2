"""Where images come from: the embedded digits, or a folder with one sub-folder a class."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image, ImageOps

from resnet_ops.console import Progress
from resnet_ops.errors import DataError

__all__ = ["DataParams", "RawData", "SplitParams", "check_source", "read_source"]

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True, kw_only=True)
class SplitParams:
    """Shares of the images, each a fraction; they sum to 1."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    train: float
    """Fitted on."""
    validation: float
    """Watched while fitting; used for calibration."""
    test: float
    """What the gate judges by, and the monitor's reference."""
    production: float
    """Never seen by training or gate; stands in for production traffic."""

    def __post_init__(self) -> None:
        shares = self.as_dict()
        wrong = {name: share for name, share in shares.items() if not 0 < share < 1}
        if wrong or abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"shares must each be above 0 and sum to 1, but are {shares}")

    def as_dict(self) -> dict[str, float]:
        """The shares by name, in the order in which images are dealt out."""
        return {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
            "production": self.production,
        }


@dataclass(frozen=True, kw_only=True)
class DataParams:
    """Which images, at which size. In `params.yaml` under `data`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    source: Literal["digits", "imagefolder"]
    """`digits` is scikit-learn's embedded set (1,797 images of 8x8); `imagefolder` is ROOT/CLASS/IMAGE."""
    root: str | None
    """The image folder, absolute or relative to the project. DVC watches it, so it must be there for digits too: the
    pipeline names the file that reads them. Not read for digits."""
    image_size: int
    """Side in pixels to which images are brought: shorter side resized, then the centre cut out."""
    channels: Literal[1, 3]
    """1 for grey, 3 for colour."""
    split: SplitParams
    """How the images are dealt out."""

    def __post_init__(self) -> None:
        if self.source == "imagefolder" and not self.root:
            raise ValueError("root must name the image folder when source is imagefolder")
        if self.source == "digits" and (self.image_size, self.channels) != (8, 1):
            raise ValueError("digits are grey images of 8x8: image_size must be 8 and channels 1")
        if not 8 <= self.image_size <= 1024:
            raise ValueError(f"image_size is {self.image_size}, but must be within 8 and 1024")


@dataclass(frozen=True)
class RawData:
    """N images (N, H, W, C) uint8 with labels (N,), stable names, original sizes and the class names."""

    images: np.ndarray
    labels: np.ndarray
    paths: list[str]
    sizes: list[tuple[int, int]]
    classes: tuple[str, ...]


def read_source(params: DataParams, progress: Progress = lambda done, total: None) -> RawData:
    """Read every image. Raises DataError that lists all corrupt images and empty classes, before anything is kept.

    progress: called with (images done, images in all).
    """
    return read_digits() if params.source == "digits" else read_folder(params, progress)


def read_digits() -> RawData:
    """scikit-learn's copy of the UCI optical digits' test set (Alpaydin & Kaynak 1998): 1,797 grey 8x8 images."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    paths = [f"digits/{index:04d}" for index in range(len(images))]
    return RawData(images, digits.target.astype(np.int64), paths, [(8, 8)] * len(images), tuple("0123456789"))


def check_source(params: DataParams) -> None:
    """Raise the DataError of a folder that is missing or has an empty class, without reading an image."""
    if params.source == "imagefolder":
        list_classes(Path(params.root or ""))


def list_classes(root: Path) -> dict[str, list[Path]]:
    """The images of each class folder, both in alphabetical order."""
    if not root.is_dir():
        raise DataError(
            f"The image folder {root} is missing. Set data.root in params.yaml to a folder of class folders."
        )
    classes = sorted(folder.name for folder in root.iterdir() if folder.is_dir() and folder.name[0] != ".")
    files = {name: _images_in(root / name) for name in classes}
    empty = [name for name in classes if not files[name]]
    if len(classes) < 2 or empty:
        what = (
            f"no image in class folder {', '.join(empty)}"
            if empty
            else f"{len(classes)} class folder(s), not 2"
        )
        raise DataError(
            f"{root}: {what}. Lay images out as {root}/CLASS/IMAGE, and remove folders that are no class."
        )
    return files


def read_folder(params: DataParams, progress: Progress) -> RawData:
    """Read ROOT/CLASS/IMAGE; class names are the folders' names in alphabetical order."""
    root = Path(params.root or "")
    files = list_classes(root)
    listing = [(path, label) for label, paths in enumerate(files.values()) for path in paths]
    images = np.empty((len(listing), params.image_size, params.image_size, params.channels), np.uint8)
    sizes: list[tuple[int, int]] = []
    broken: list[str] = []
    with ThreadPoolExecutor() as pool:
        decoded = pool.map(lambda item: _decode(item[0], params), listing)
        for position, ((path, _), result) in enumerate(zip(listing, decoded, strict=True)):
            if isinstance(result, str):
                broken.append(f"{path.relative_to(root)} ({result})")
            else:
                images[position], size = result
                sizes.append(size)
            progress(position + 1, len(listing))
    if broken:
        shown = "\n  ".join(broken)
        raise DataError(
            f"{root}: {len(broken)} of {len(listing)} images cannot be read; replace or remove them:\n  {shown}"
        )
    labels = np.array([label for _, label in listing], np.int64)
    return RawData(images, labels, [str(path.relative_to(root)) for path, _ in listing], sizes, tuple(files))


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _decode(path: Path, params: DataParams) -> tuple[np.ndarray, tuple[int, int]] | str:
    """The image at its size and its original (width, height), or why it cannot be read."""
    try:
        str(path).encode()  # the manifest is UTF-8
        with Image.open(path) as image:
            ImageOps.exif_transpose(image, in_place=True)  # upright, as people see it
            size = image.size
            scale = params.image_size / min(size)
            width, height = (max(params.image_size, round(side * scale)) for side in size)
            pixels = _as_8_bit(image).convert("L" if params.channels == 1 else "RGB")
            scaled = pixels.resize((width, height), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{type(error).__name__}: {error}".replace(str(path), path.name)
    left, top = (scaled.width - params.image_size) // 2, (scaled.height - params.image_size) // 2
    crop = scaled.crop((left, top, left + params.image_size, top + params.image_size))
    return np.asarray(crop, np.uint8).reshape(params.image_size, params.image_size, params.channels), size


def _as_8_bit(image: Image.Image) -> Image.Image:
    """The upper 8 bits of a 16-bit grey image, any other as it is; Pillow would cut all values off at 255."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels have no agreed range; save it with 8 or 16 bits")
    return image
