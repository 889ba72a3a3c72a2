"""A defect that is lost where the image is made small is found in tiles, from the labels of images alone."""

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
from resnet_ops.model import TrainedModel
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.tiles import Tiles
from resnet_ops.training.loop import fit
from tests.unit.core.evaluation.test_evaluate import make_params
from tests.unit.core.makers import SHARES, make_data_params, make_plan, make_recipe

SIDE, DEFECT = 256, 6
MEMBER = Member(depth=8, widths=(8, 16, 16), stem_kernel=3, stem_stride=2, shortcut="projection")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 256 x 256, every second with a patch of 6 x 6 stripes whose mean is that of the noise around it."""
    root = tmp_path_factory.mktemp("parts")
    draws = np.random.default_rng(0)
    stripes = np.where(np.arange(DEFECT) % 2, 216, 40)[None, :]
    for number in range(240):
        pixels = draws.normal(128, 15, (SIDE, SIDE)).clip(0, 255)
        name = "good"
        if number % 2:
            name = "scratched"
            top, left = draws.integers(0, SIDE - DEFECT, 2)
            pixels[top : top + DEFECT, left : left + DEFECT] = stripes
        (root / name).mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number:03d}.png")
    return root


def learned(root: Path, **changes: Any) -> tuple[TrainedModel, PreparedData]:
    """By the way of the stages: read, split, trained."""
    params = make_data_params(source="imagefolder", root=str(root), **changes)
    raw = reading_of(params.chosen_task).read(params, lambda done, total: None, None)
    data = split_images(raw, SHARES, seed=0)
    recipe = make_recipe(epochs=8, batch_size=12, peak_lr=0.8, label_smoothing=0.0, flip=True)
    return fit(make_plan(recipe, member=MEMBER), data), data


@pytest.mark.slow
def test_what_is_lost_at_64_pixels_is_found_in_tiles_of_64(parts: Path) -> None:
    tiles = Tiles(side=64, overlap=16, pool="max", normal="good")
    tiled, data = learned(parts, image_size=SIDE, tiles=tiles)
    whole, small = learned(parts, image_size=64)
    params = make_params(robustness=RobustnessParams(images=0))
    found = evaluate(tiled, data, params, seed=0).measured["test.top1"]
    lost = evaluate(whole, small, params, seed=0).measured["test.top1"]
    assert found.n == len(data.split("test")), "an image counts once, however many tiles it has"
    assert found.low is not None
    assert lost.high is not None
    assert found.low > 0.85
    assert lost.high < found.low
