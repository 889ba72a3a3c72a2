"""Operating point of a detector: the score from which its boxes count, and what it then finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from resnet_ops.errors import ConfigError, DataError
from resnet_ops.tasks.detection.matching import ClassMatches

__all__ = ["Aim", "Decided", "choose_threshold", "decided", "image_scores"]

Aim = Literal["f1", "recall", "precision"]


@dataclass(frozen=True)
class Decided:
    """The boxes of one class that count at a threshold, and its objects; overlaps are 0.5."""

    box_image: np.ndarray
    """(D,) of which image each box is."""
    right: np.ndarray
    """(D,) bool, whether it is on an object."""
    object_image: np.ndarray
    """(G,) of which image each object is."""
    found: np.ndarray
    """(G,) bool."""


def decided(matches: ClassMatches, threshold: float) -> Decided:
    """What holds from a score of `threshold` on. A match does not depend on boxes of lower scores."""
    counted = (matches.score >= threshold) & ~matches.ignored[0]
    return Decided(
        matches.image[counted],
        matches.hit[0, counted],
        matches.object_image,
        matches.found_from >= threshold,
    )


def image_scores(matches: Sequence[ClassMatches], threshold: float, images: int) -> np.ndarray:
    """(N,) in [0, 1]: each image's F1, 2 right boxes by boxes and objects, over all classes.

    F1, because an image has both kinds of mistakes, and no other sum of them needs a price for each; 1 where there is
    no object and no box. matches: by class, of objects of all sizes.
    """
    right, total = np.zeros(images), np.zeros(images)
    for each in (decided(of_class, threshold) for of_class in matches):
        right += np.bincount(each.box_image[each.right], minlength=images)
        total += np.bincount(each.box_image, minlength=images) + np.bincount(
            each.object_image, minlength=images
        )
    return np.divide(2 * right, total, out=np.ones(images), where=total > 0)


def choose_threshold(matches: Sequence[ClassMatches], aim: Aim, at_least: float | None) -> float:
    """A score, chosen on other images than those that are measured with it.

    `f1`: the highest F1 over all boxes. `recall`: the highest score that finds a share `at_least` of the objects.
    `precision`: the lowest score from which a share `at_least` of the boxes is right. Raises DataError where no score
    reaches that, and ConfigError without `at_least`.
    """
    if aim != "f1" and at_least is None:
        raise ConfigError(f"A score for {aim} needs --at-least: how much of it must be reached, such as 0.9.")
    counted = [~each.ignored[0] for each in matches]
    scores = np.concatenate([each.score[kept] for each, kept in zip(matches, counted, strict=True)])
    hits = np.concatenate([each.hit[0, kept] for each, kept in zip(matches, counted, strict=True)])
    objects = sum(len(each.object_image) for each in matches)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(
        np.append(np.diff(scores[order]) != 0, True)[: len(order)]
    )  # equal scores are one choice
    right, boxes, levels = np.cumsum(hits[order])[last], last + 1, scores[order][last]
    if aim == "f1":
        reached = np.flatnonzero(right)
        if len(reached):
            return float(levels[reached[np.argmax(2 * right[reached] / (boxes[reached] + objects))]])
        raise DataError(
            "No box is on an object, so no score is better than another. Look at the detector's answers."
        )
    share = right / max(objects, 1) if aim == "recall" else right / boxes
    reached = np.flatnonzero(share >= (at_least or 0.0))
    if not len(reached):
        best = f"{share.max():.3f}" if len(share) else "without any box"
        raise DataError(f"No score reaches a {aim} of {at_least}; the best is {best}. Ask for less.")
    return float(levels[reached[0 if aim == "recall" else -1]])
