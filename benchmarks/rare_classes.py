"""What the settings of a recipe's `imbalance` do where three of ten digits are 30 times as rare as the others.

    python -m benchmarks.rare_classes --seeds 8

Each seed draws which images of 3, 8 and 9 are left, and the weights that training starts from. Measured on the splits
test and production, where all digits are equally frequent. A quarter of an hour on one core.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.drift_parts.shifted_images import ENGINE, NARROW
from resnet_ops.data import PreparedData
from resnet_ops.data.sources import read_digits
from resnet_ops.data.splits import split_images
from resnet_ops.params import parse_params
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from resnet_ops.training.rare_classes.imbalance import Imbalance
from resnet_ops_pipelines.project_params import Params

ROOT = Path(__file__).resolve().parents[1]
RARE, RATIO = (3, 8, 9), 30
NOTHING = Imbalance(weights="none", sampling="natural", focal=0.0, logit_adjustment=0.0)
SETTINGS = {
    "null": NOTHING,
    "`weights: balanced`": replace(NOTHING, weights="balanced"),
    "`weights: effective`": replace(NOTHING, weights="effective"),
    "`sampling: balanced`": replace(NOTHING, sampling="balanced"),
    "`sampling: square_root`": replace(NOTHING, sampling="square_root"),
    "`focal: 2`": replace(NOTHING, focal=2.0),
    "`logit_adjustment: 1`": replace(NOTHING, logit_adjustment=1.0),
    "`square_root`, `logit_adjustment: 1`": replace(NOTHING, sampling="square_root", logit_adjustment=1.0),
}


def imbalanced(data: PreparedData, seed: int) -> PreparedData:
    """Of the rare digits one training image in RATIO is left."""
    rng, dropped = np.random.default_rng(seed), set[int]()
    train = np.array([row.split == "train" for row in data.rows])
    for label in RARE:
        places = rng.permutation(np.flatnonzero(train & (data.labels == label)))
        dropped |= set(places[max(1, round(len(places) / RATIO)) :].tolist())
    kept = [place for place in range(len(data)) if place not in dropped]
    return PreparedData(data.images[kept], data.labels[kept], [data.rows[i] for i in kept], data.classes)


def measures(said: NDArray[np.float64], truth: NDArray[np.int64]) -> Iterator[tuple[str, float]]:
    """Fractions by name. said: (N, 10) probabilities.

    Recalls are means over classes. At 95 % specificity an image counts as rare of which the rare classes together are
    said with more than a threshold. The last two are of images that are as rare as in training.
    """
    right = said.argmax(1) == truth
    recall = np.array([right[truth == label].mean() for label in range(10)])
    rare, together = np.isin(truth, RARE), said[:, RARE].sum(1)
    common = [label for label in range(10) if label not in RARE]
    yield "recall, rare", float(recall[list(RARE)].mean())
    yield "recall, others", float(recall[common].mean())
    yield "balanced accuracy", float(recall.mean())
    yield "rare or not: ROC AUC", float(roc_auc_score(rare, together))
    yield "found at 95 % specificity", float((together[rare] > np.quantile(together[~rare], 0.95)).mean())
    weights = np.where(rare, 1 / RATIO, 1.0)
    yield "rare classes said", float(np.average(together, weights=weights))
    yield "rare classes true", float(np.average(rare, weights=weights))


def show(setting: str, found: list[dict[str, float]]) -> str:
    """A row of the table."""
    cells = [setting]
    for name in found[0]:
        values = [each[name] for each in found]
        cells.append(f"{np.mean(values):.3f} ({min(values):.2f} to {max(values):.2f})")
    return f"| {' | '.join(cells)} |"


def main(seeds: int) -> None:
    params = parse_params(ROOT / "params.yaml", Params)
    digits = split_images(read_digits(), params.data.split, params.seed)
    held = np.array([row.split in ("test", "production") for row in digits.rows])
    print(f"mean (least to most) of {seeds} seeds, {held.sum()} images")
    for place, (setting, imbalance) in enumerate(SETTINGS.items()):
        recipe, found = replace(params.recipes["digits"], imbalance=imbalance), list[dict[str, float]]()
        for seed in range(seeds):
            engine = replace(ENGINE, precision="fp32")
            plan = Plan(name="digits", member=NARROW, recipe=recipe, engine=engine, seed=seed)
            said = fit(plan, imbalanced(digits, seed)).predict(digits.images[held]).probabilities
            found.append(dict(measures(said.astype(np.float64), digits.labels[held])))
        if not place:
            print(f"| `imbalance` | {' | '.join(found[0])} |")
        print(show(setting, found), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=8)
    main(parser.parse_args().seeds)
