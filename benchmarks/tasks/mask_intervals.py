"""How often the intervals of what is measured of masks hold the truth.

    python -m benchmarks.tasks.mask_intervals [--draws 1000]

Test sets are drawn over and over from a made-up model whose measures over a million images are taken for the truth.
Prints the table in docs/segmentation.md: the share of test sets whose interval held it, at 0.95. Takes some minutes of
one core.
"""

import argparse
from collections.abc import Iterator

import numpy as np

from resnet_ops.measurement import Measurement
from resnet_ops.tasks.measuring.boundary import measure_boundaries
from resnet_ops.tasks.measuring.overlap import MEASURES, measure
from tests.unit.core.tasks.mask_populations import boundary_population, pixel_population

CASES = {"30; 3/4": (30, 0.75), "100; 3/4": (100, 0.75), "100; 1/5": (100, 0.2)}
POPULATION, CONFIDENCE, CLASSES = 1_000_000, 0.95, ("ground", "defect")
NAMES = {
    **{"iou": "mIoU", "dice": "Dice", "pixel_accuracy": "pixel accuracy"},
    **{"test.boundary_f1": "boundary F1", "test.boundary_f1.defect": "of the defects"},
}


def measured(images: int, share: float, seed: int) -> Iterator[tuple[str, Measurement]]:
    """Everything of a test set."""
    rng = np.random.default_rng([seed, images])
    confusion = pixel_population(images, rng, share)
    for name, counts in MEASURES.items():
        yield name, measure(confusion, counts, CONFIDENCE, seed)
    drawn = boundary_population(images, rng, share)
    yield from measure_boundaries(*drawn, CLASSES, "test", CONFIDENCE, seed).items()


def true_values(share: float) -> dict[str, float]:
    """Over so many images that chance hardly counts."""
    rng = np.random.default_rng(1)
    confusion = pixel_population(POPULATION, rng, share).sum(axis=0, keepdims=True)
    pixels = {name: measure(confusion, counts, CONFIDENCE, 0).value for name, counts in MEASURES.items()}
    by_class = np.nanmean(boundary_population(POPULATION, rng, share)[0], axis=0)
    return {
        **pixels,
        "test.boundary_f1": float(by_class.mean()),
        "test.boundary_f1.defect": float(by_class[1]),
    }


def coverage(images: int, share: float, draws: int) -> dict[str, float]:
    """By measure; a test set without an interval does not count."""
    truth, held = true_values(share), {name: list[bool]() for name in NAMES}
    for seed in range(draws):
        for name, found in measured(images, share, seed):
            if name in held and found.low is not None and found.high is not None:
                held[name].append(found.low <= truth[name] <= found.high)
    return {name: float(np.mean(each)) for name, each in held.items()}


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    print(f"| images; share with a defect | {' | '.join(NAMES.values())} |\n|{'---|' * (1 + len(NAMES))}")
    for case, (images, share) in CASES.items():
        shares = (f"{each:.3f}".lstrip("0") for each in coverage(images, share, draws).values())
        print(f"| {case} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
