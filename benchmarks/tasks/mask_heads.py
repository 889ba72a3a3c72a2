"""What the heads of segmentation make of the same member and recipe, on tiles with surface defects.

    python -m benchmarks.tasks.mask_heads --data DATA [--heads fcn-1 unet-0] [--side 64] [--seeds 3] [--longer 1]

DATA holds `magnetic-tile`. Recipe and member are those that `init` proposes; splits are drawn as the pipeline draws
them, by each seed; the figures are of split `test`. A training at 64 pixels takes about a minute of one core.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.tasks.default_mask_recipe import ENGINE, MASKS, read_tiles, unpacked
from resnet_ops.families.member import Member
from resnet_ops.messages import silent
from resnet_ops.tasks.measuring.boundary import boundary_scores, measure_boundaries
from resnet_ops.tasks.measuring.overlap import confusions, measure_overlap
from resnet_ops.tasks.task import PixelHead
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from resnet_ops_pipelines.new_project.recipes import recipe_for

HEADS: dict[str, tuple[PixelHead, int]] = {
    "fcn-1": ("fcn", 1),  # what init proposes
    "fcn-2": ("fcn", 2),
    "deeplabv3-1": ("deeplabv3", 1),
    "unet-0": ("unet", 0),
}
"""By name, with the stages that are dilated."""
SHOWN = ("test.miou", "test.iou.defect", "test.boundary_f1", "test.boundary_f1.defect")
MEMBER = Member(depth=14, widths=(16, 32, 64), stem_kernel=3, stem_stride=2, shortcut="projection")


def measured(folder: Path, head: PixelHead, dilated: int, side: int, seed: int, longer: float) -> list[float]:
    """SHOWN, and thousands of parameters and seconds of the processor for the training."""
    data = read_tiles(folder, side, seed)
    task = replace(MASKS, head=head, dilated=dilated)
    data = replace(data, task=task)
    recipe = recipe_for(task, side, 16, len(data.split("train")), longer, mirrored=True)
    started = time.process_time()
    with silent(True):
        model = fit(Plan(name="tiles", member=MEMBER, recipe=recipe, engine=ENGINE, seed=seed), data)
    seconds = time.process_time() - started
    test = data.split("test")
    answers = model.predict(np.asarray(test.images)).predicted.astype(np.uint8)
    masks, classes = np.asarray(test.asked), len(test.classes)
    found = measure_overlap(confusions(answers, masks, classes), test.classes, "test", 0.95, 0)
    found |= measure_boundaries(*boundary_scores(answers, masks, classes), test.classes, "test", 0.95, 0)
    size = sum(each.numel() for each in model.network.parameters())
    return [*(found[name].value for name in SHOWN), size / 1000, seconds]


def main() -> None:
    """Train each head, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--heads", nargs="*", choices=[*HEADS], default=[*HEADS])
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--longer", type=float, default=1.0, help="factor of the steps")
    asked = parser.parse_args()
    print(
        "| head | n | mIoU (smallest-largest) | IoU of defects | boundary F1 | of defects | parameters | CPU |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with TemporaryDirectory() as scratch:
        folder = unpacked(asked.data, Path(scratch))
        for name in asked.heads:
            rows = [
                measured(folder, *HEADS[name], asked.side, seed, asked.longer) for seed in range(asked.seeds)
            ]
            overlap = [row[0] for row in rows]
            *shares, size, seconds = (fmean(row[place] for row in rows) for place in range(len(rows[0])))
            cells = [f"{shares[0]:.3f} ({min(overlap):.3f}-{max(overlap):.3f})"]
            cells += [*(f"{each:.3f}" for each in shares[1:]), f"{size:.0f} thousand", f"{seconds:.0f} s"]
            print(f"| {name} | {asked.seeds} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
