"""A defect that is lost where the image is made small is found in tiles."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data import PreparedData
from resnet_ops.data.splits import split_images
from resnet_ops.evaluation.evaluate import evaluate
from resnet_ops.evaluation.params import RobustnessParams
from resnet_ops.families.member import Member
from resnet_ops.measurement import Measurement
from resnet_ops.model import TrainedModel
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.tiles import Tiles
from resnet_ops.training.loop import fit
from resnet_ops.training.start import Start
from tests.unit.core.evaluation.test_evaluate import make_params
from tests.unit.core.makers import SHARES, make_data_params, make_plan, make_recipe, saved_digest

DEFECT = 6
MEMBER = Member(depth=8, widths=(8, 16, 16), stem_kernel=3, stem_stride=2, shortcut="projection")
AT_ONCE = {"batch_size": 24, "label_smoothing": 0.0, "flip": True}


def write_parts(root: Path, count: int, side: int) -> Path:
    """Grey noise, every second with a patch of 6 x 6 pixels of stripes whose mean is that of the noise around it."""
    draws = np.random.default_rng(side)
    stripes = np.where(np.arange(DEFECT) % 2, 216, 40)[None, :]
    for number in range(count):
        pixels = draws.normal(128, 15, (side, side)).clip(0, 255)
        name = ("good", "scratched")[number % 2]
        if number % 2:
            top, left = draws.integers(0, side - DEFECT, 2)
            pixels[top : top + DEFECT, left : left + DEFECT] = stripes
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number:03d}.png")
    return root


def learned(root: Path, recipe: dict[str, Any], **changes: Any) -> tuple[TrainedModel, PreparedData]:
    """By the way of the stages: read, split, trained."""
    params = make_data_params(source="imagefolder", root=str(root), **changes)
    raw = reading_of(params.chosen_task).read(params, lambda done, total: None, None)
    data = split_images(raw, SHARES, seed=0)
    return fit(make_plan(make_recipe(**AT_ONCE, **recipe), member=MEMBER), data), data


def top1(model: TrainedModel, data: PreparedData) -> Measurement:
    params = make_params(robustness=RobustnessParams(images=0))
    return evaluate(model, data, params, seed=0).measured["test.top1"]


@pytest.mark.slow
def test_what_is_lost_at_64_pixels_is_found_in_tiles_of_64(tmp_path: Path) -> None:
    images = write_parts(tmp_path / "images", 160, 256)
    many, few = {"epochs": 20, "peak_lr": 0.8}, {"epochs": 2, "peak_lr": 0.1}
    patch, _ = learned(write_parts(tmp_path / "patches", 480, 64), many, image_size=64)
    digest = saved_digest(patch, tmp_path / "patch")
    start = Start(source=f"file:{tmp_path / 'patch'}", sha256=digest, frozen={}, rates={})
    tiles = Tiles(side=64, overlap=16, pool="max", normal="good")
    tiled, data = learned(images, few | {"start": start}, image_size=256, tiles=tiles)
    found, lost = top1(tiled, data), top1(*learned(images, many, image_size=64))
    assert found.n == len(data.split("test")), "an image counts once, however many tiles it has"
    assert found.low is not None
    assert lost.high is not None
    assert found.low > 0.75
    assert lost.high < found.low
