"""What `resnet-ops init` proposes for masks, against settings that were used before, on tiles with surface defects.

    python -m benchmarks.tasks.default_mask_recipe --data DATA [--sides 64 128] [--seeds 3] [--workers 16] [--longer 1]

DATA holds `magnetic-tile`. Splits are drawn as the pipeline draws them, by each seed; the figures are of split `test`.
A training at 64 pixels takes about a minute of one core, at 128 four.
"""

import argparse
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops.data.conflicts import settle_conflicts
from resnet_ops.data.params import DataParams, SplitParams
from resnet_ops.data.splits import split_images
from resnet_ops.families.member import Member
from resnet_ops.messages import silent
from resnet_ops.tasks.measuring.overlap import confusions
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.tasks.task import Segmentation
from resnet_ops.training.engine import Engine
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from resnet_ops.training.rare_classes.imbalance import Imbalance
from resnet_ops.training.recipe import Recipe
from resnet_ops_pipelines.new_project.recipes import recipe_for

ENGINE = Engine(
    device="cpu", processes=1, threads=1, precision="bf16", compile=False, exact=True, images="memory"
)
MASKS = Segmentation(
    masks=".png", classes={"background": 0, "defect": 255}, threshold=128, ignore=None, head="fcn", dilated=1,
    auxiliary=False,
)  # fmt: skip
BALANCED = Imbalance(weights="balanced", sampling="natural", focal=0, logit_adjustment=0)
CHANGES: dict[str, dict[str, object]] = {
    "weights, as before": {
        "optimiser": "sgd", "peak_lr": 1.6, "weight_decay": 0.0005, "loss": "cross_entropy", "crop_area": 0.4,
        "imbalance": BALANCED,
    },
    "cross-entropy, SGD": {
        "optimiser": "sgd", "peak_lr": 1.6, "weight_decay": 0.0005, "loss": "cross_entropy",
    },
    "Dice, SGD": {"optimiser": "sgd", "peak_lr": 1.6, "weight_decay": 0.0005},
    "cross-entropy, AdamW": {"loss": "cross_entropy"},
    "Dice, AdamW: what init proposes": {},
}  # fmt: skip
"""Of what `init` proposes."""
Job = tuple[str, int, int]


def unpacked(data: Path, scratch: Path) -> Path:
    """The folder of the tiles, below `scratch`. data: holds their archive."""
    with tarfile.open(data / "magnetic-tile/magnetic_tile.tar.xz") as archive:
        for each in archive:
            if content := archive.extractfile(each):
                place = scratch / each.name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())
    return scratch


def read_tiles(folder: Path, side: int, seed: int) -> PreparedData:
    """Tiles with their masks, split as the pipeline splits them."""
    params = DataParams(
        source="imagefolder", root=str(folder), image_size=side, channels=1, fit="pad", background=98, grey_bits="auto",
        window=None, similar_classes="ask", conflicts="drop", group=None, task="segmentation", segmentation=MASKS,
        split=SplitParams(train=0.6, validation=0.1, test=0.2, production=0.1),
    )  # fmt: skip
    raw = reading_of(MASKS).read(params, lambda done, total: None, None)
    return split_images(settle_conflicts(raw, "drop"), params.split, seed)


def measured(job: Job, folder: Path, longer: float) -> tuple[float, float, float, float]:
    """mIoU, and of the defects IoU, recall and precision, over the pixels of split `test`. job: change, side, seed."""
    change, side, seed = job
    data = read_tiles(folder, side, seed)
    member = Member(depth=14, widths=(16, 32, 64), stem_kernel=3, stem_stride=2, shortcut="projection")
    proposed = recipe_for(MASKS, side, 16, len(data.split("train")), longer, mirrored=True)
    settings = {**proposed.__dict__, **CHANGES[change]}
    plan = Plan(name="tiles", member=member, recipe=Recipe(**settings), engine=ENGINE, seed=seed)
    with silent(True):
        model = fit(plan, data)
    test = data.split("test")
    answers = model.predict(np.asarray(test.images)).predicted.astype(np.uint8)
    cells = confusions(answers, np.asarray(test.asked), 2).sum(0)
    both, said, there = np.diagonal(cells), cells.sum(0), cells.sum(1)
    iou = both / (said + there - both)
    return float(iou.mean()), float(iou[1]), both[1] / there[1], both[1] / max(1, said[1])


def rows(found: Mapping[Job, tuple[float, ...]], sides: list[int], seeds: int) -> Iterator[str]:
    """A row for each change and side."""
    yield "| recipe | side | n | mIoU (smallest-largest) | IoU of defects | recall | precision |"
    yield "|---|---|---|---|---|---|---|"
    for change, side in product(CHANGES, sides):
        each = [found[change, side, seed] for seed in range(seeds)]
        overlap = [values[0] for values in each]
        rest = " | ".join(f"{fmean(values[place] for values in each):.3f}" for place in (1, 2, 3))
        spread = f"{fmean(overlap):.3f} ({min(overlap):.3f}-{max(overlap):.3f})"
        yield f"| {change} | {side} | {seeds} | {spread} | {rest} |"


def main() -> None:
    """Train each change at each side, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sides", type=int, nargs="*", default=[64])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="trainings at once, each on one thread")
    parser.add_argument("--longer", type=float, default=1.0, help="factor of the steps")
    asked = parser.parse_args()
    jobs: list[Job] = list(product(CHANGES, asked.sides, range(asked.seeds)))
    with TemporaryDirectory() as scratch, ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        folder = unpacked(asked.data, Path(scratch))
        under_way = {job: pool.submit(measured, job, folder, asked.longer) for job in jobs}
        found = {job: future.result() for job, future in under_way.items()}
    print("\n".join(rows(found, asked.sides, asked.seeds)))


if __name__ == "__main__":
    main()
