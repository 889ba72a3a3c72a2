"""How often the intervals of a detector's average precision hold the truth.

    python benchmarks/tasks/detection_intervals.py [--draws 1000]

A detector answers 4,000 made images, whose average precision is taken for the truth. Images are drawn from these, as
many as a test set may have, over and over, and each draw gets the product's own interval and, beside it, percentiles
of its resamples. Prints the table in docs/detection.md: the share of draws in which the interval held the truth, and in
brackets in which the truth was below it and above it.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from resnet_ops.tasks.detection.average_precision import average_precision
from resnet_ops.tasks.detection.matching import ClassMatches, match
from resnet_ops.tasks.detection.measures import effective_images, resampled_interval
from tests.unit.core.tasks.detection.scenes import make_scenes

POPULATION, RESAMPLES, CONFIDENCE = 4_000, 300, 0.95
DETECTORS = {"good": {"found": 0.9, "shake": 2.0}, "poor": {"found": 0.7, "shake": 6.0}}
NUMBERS = (30, 72, 200)
MEASURES = ("AP", "AP50", "AP50 of a class")


class Pool:
    """One class's matches, from which images can be drawn."""

    def __init__(self, matches: ClassMatches, images: int) -> None:
        self.matches = matches
        self.boxes = np.searchsorted(matches.image, np.arange(images + 1))
        self.objects = np.searchsorted(matches.object_image, np.arange(images + 1))

    def drawn(self, images: np.ndarray) -> ClassMatches:
        """Of these images, each drawn one an image of its own."""
        boxes, of_box = _parts(self.boxes, images)
        objects, of_object = _parts(self.objects, images)
        return ClassMatches(
            of_box,
            self.matches.score[boxes],
            self.matches.rank[boxes],
            self.matches.hit[:, boxes],
            self.matches.ignored[:, boxes],
            of_object,
            self.matches.found_from[objects],
        )


def _parts(starts: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = [np.arange(starts[image], starts[image + 1]) for image in images]
    return np.concatenate(rows), np.repeat(np.arange(len(images)), [len(row) for row in rows])


def measure(matches: list[ClassMatches], weights: np.ndarray) -> np.ndarray:
    """(3, B), by MEASURES."""
    found = np.stack([average_precision(each, weights) for each in matches])
    return np.stack([found.mean(axis=(0, 2)), found[:, :, 0].mean(axis=0), found[0, :, 0]])


def simulate(detector: dict[str, float], number: int, draws: int) -> np.ndarray:
    """(2, 3, 2): of the product's interval and of percentiles, by measure, shares of draws below and above which the
    truth lies."""
    labels, detections = make_scenes(POPULATION, seed=5, crowds=True, **detector)  # type: ignore[arg-type]
    matches = match(labels, detections)["all"][:2]
    truth = measure(matches, np.ones((1, POPULATION), np.int64))[:, 0]
    pools, rng = [Pool(each, POPULATION) for each in matches], np.random.default_rng(number)
    missed = np.zeros((2, len(MEASURES), 2))
    for _ in range(draws):
        images = rng.integers(0, POPULATION, number)
        drawn = [pool.drawn(images) for pool in pools]
        weights = rng.multinomial(number, np.full(number, 1 / number), size=RESAMPLES)
        values = measure(drawn, np.concatenate([np.ones((1, number), weights.dtype), weights]))
        for place, row in enumerate(values):
            resampled, some = row[1:][np.isfinite(row[1:])], drawn[:1] if place == 2 else drawn
            ends = (
                resampled_interval(float(row[0]), resampled, effective_images(some, number), CONFIDENCE),
                np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]),
            )
            for method, (low, high) in enumerate(ends):
                missed[method, place] += (truth[place] < low, truth[place] > high)
    return missed / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    print("| detector | images | measure | interval | percentiles |\n|---|---|---|---|---|")
    for name, detector in DETECTORS.items():
        for number in NUMBERS:
            for measure_name, ours, theirs in zip(MEASURES, *simulate(detector, number, draws), strict=True):
                cells = [f"{1 - each.sum():.3f} ({each[0]:.3f}, {each[1]:.3f})" for each in (ours, theirs)]
                print(f"| {name} | {number} | {measure_name} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()
