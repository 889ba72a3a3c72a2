"""What a model answers beside images that are not square, on tiles with surface defects: with nothing learned there, as
before, and with background.

    python -m benchmarks.tasks.mask_padding --data DATA [--ways plain tiles balanced] [--seeds 5] [--longer 1]

DATA holds `magnetic-tile`. Recipe and member are those that `init` proposes; splits are drawn as the pipeline draws
them, by each seed, and both trainings of a seed see the same ones. The figures are of the images held out: mIoU and
IoU of split `test`, the rest of `validation`, `test` and `production`, answers of the model for each. A training at 64
pixels takes about a minute of one core, in tiles two.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy import ndimage, stats

from benchmarks.tasks.default_mask_recipe import BALANCED, ENGINE, MASKS, read_tiles, unpacked
from benchmarks.tasks.mask_heads import MEMBER
from resnet_ops.data import PreparedData
from resnet_ops.data.placement import Placement
from resnet_ops.messages import silent
from resnet_ops.tasks.measuring.overlap import MEASURES, confusions, measure
from resnet_ops.tasks.task import Segmentation, TiledSegmentation
from resnet_ops.tasks.tiles import Tiles
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from resnet_ops_pipelines.new_project.recipes import recipe_for

SIDE = 64
TILED = TiledSegmentation(**vars(MASKS), tiles=Tiles(side=32, overlap=16, pool=None, normal=None))
WAYS: dict[str, tuple[Segmentation, dict[str, Any]]] = {
    "plain": (MASKS, {}),
    "tiles": (TILED, {}),
    "balanced": (MASKS, {"loss": "cross_entropy", "imbalance": BALANCED}),
}
"""Task, and what differs from the proposed recipe."""
SHOWN = (
    "mIoU", "IoU of defects", "share in the square", "share in the image", "share beside", "regions", "wrong kinds",
    "shape",
)  # fmt: skip


def shown(data: PreparedData, answers: np.ndarray) -> list[float]:
    """SHOWN; the last is how much larger the share in the square is in the half of the images with less beside them
    than in the other half, as Cliff's delta.
    """
    test = np.array([row.split for row in data.rows]) == "test"
    cells = confusions(answers[test], np.asarray(data.targets)[test], 2)
    overlap = [measure(cells, MEASURES["iou"], 0.95, 0, place).value for place in (None, 1)]
    within = np.zeros(answers.shape, bool)
    for image, row in zip(within, data.rows, strict=True):
        image[Placement((row.width, row.height), SIDE, "pad").pixels] = True
    called, pixels = answers > 0, (1, 2)
    square, inside = called.mean(pixels), (called & within).sum(pixels) / within.sum(pixels)
    beside = (called & ~within).sum() / (~within).sum()
    regions = np.mean([ndimage.label(each)[1] for each in called])
    wrong = (called.any(pixels) != (called & within).any(pixels)).mean()
    full = within.mean(pixels) > np.median(within.mean(pixels))
    above = stats.mannwhitneyu(square[full], square[~full]).statistic / (full.sum() * (~full).sum())
    return [*overlap, square.mean(), inside.mean(), beside, float(regions), wrong, 2 * above - 1]


def trained_and_asked(data: PreparedData, changes: dict[str, Any], seed: int, longer: float) -> list[float]:
    """SHOWN of a model that learned from split `train`."""
    recipe = recipe_for(data.task, SIDE, 16, len(data.split("train")), longer, mirrored=True)
    plan = Plan(name="tiles", member=MEMBER, recipe=replace(recipe, **changes), engine=ENGINE, seed=seed)
    with silent(True):
        model = fit(plan, data)
    held_out = data.split("validation", "test", "production")
    return shown(held_out, model.predict(np.asarray(held_out.images)).predicted.astype(np.uint8))


def measured(folder: Path, way: str, seed: int, longer: float) -> np.ndarray:
    """(3, 8): SHOWN of the masks themselves, of a model of before, and of one of now."""
    task, changes = WAYS[way]
    data = replace(read_tiles(folder, SIDE, seed), task=task)
    held_out = data.split("validation", "test", "production")
    true = shown(held_out, np.asarray(held_out.targets) == 1)
    both = [
        trained_and_asked(replace(data, padded=padded), changes, seed, longer) for padded in (False, True)
    ]
    return np.array([true, *both])


def rows(way: str, found: np.ndarray) -> Iterator[str]:
    """Means over seeds (smallest to largest); the last row is of the differences. found: (seeds, 3, 8)."""
    names = ("the masks", "nothing learned beside", "background learned beside")
    for name, each in [
        *zip(names, found.swapaxes(0, 1), strict=True),
        ("difference", found[:, 2] - found[:, 1]),
    ]:
        cells = [f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})" for values in each.T]
        yield f"| {way}: {name} | {len(each)} | {' | '.join(cells)} |"


def main() -> None:
    """Train both ways, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ways", nargs="*", choices=[*WAYS], default=[*WAYS])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--longer", type=float, default=1.0, help="factor of the steps")
    asked = parser.parse_args()
    print(f"| | n | {' | '.join(SHOWN)} |\n|---{'|---' * (1 + len(SHOWN))}|")
    with TemporaryDirectory() as scratch:
        folder = unpacked(asked.data, Path(scratch))
        for way in asked.ways:
            found = []
            for seed in range(asked.seeds):
                found.append(measured(folder, way, seed, asked.longer))
                print(way, seed, found[-1].round(4).tolist(), file=sys.stderr, flush=True)
            print("\n".join(rows(way, np.array(found))), flush=True)


if __name__ == "__main__":
    main()
