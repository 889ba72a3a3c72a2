"""Makers of image folders."""

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from resnet_ops.data.sources import DataParams
from tests.unit.core.makers import SHARES, make_data_params


def folder_params(root: Path, channels: Literal[1, 3] = 3, image_size: int = 16) -> DataParams:
    return make_data_params(
        source="imagefolder", root=str(root), image_size=image_size, channels=channels, split=SHARES
    )


def write_image(
    path: Path, colour: tuple[int, int, int] = (200, 30, 60), size: tuple[int, int] = (20, 20)
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)
