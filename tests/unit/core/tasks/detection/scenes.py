"""Images of boxes and a detector's answers, of every kind that a measure must bear."""

import numpy as np

from resnet_ops.tasks.detection.boxes import BoxedImage, Labels
from resnet_ops.tasks.detection.detections import Detections

__all__ = ["make_scenes"]

CLASSES = ("a", "b", "c")


def make_scenes(
    images: int = 60,
    seed: int = 0,
    *,
    tied: bool = False,
    crowds: bool = False,
    found: float = 0.7,
    shake: float = 6.0,
    decimals: int = 0,
) -> tuple[Labels, Detections]:
    """Objects of every size, a third of the images without any; a detector that finds a share `found` of them.

    shake: pixels by which its corners deviate. tied: scores of one decimal. crowds: a fifth of the objects are.
    decimals: of the corners. The last class is never there, and is answered all the same.
    """
    rng = np.random.default_rng(seed)
    boxed, answers = [], []
    for place in range(images):
        count = 0 if rng.random() < 1 / 3 else int(rng.integers(1, 9))
        corners = rng.uniform(0, 300, (count, 2))
        sides = np.exp(rng.uniform(np.log(8), np.log(200), (count, 2)))
        boxes = np.round(np.concatenate([corners, corners + sides], axis=1), decimals)
        classes = rng.integers(0, len(CLASSES) - 1, count)
        crowd = rng.random(count) < (0.2 if crowds else 0.0)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        boxed.append(BoxedImage(str(place), f"{place}.png", 512, 512, boxes, classes, crowd, areas))
        seen = rng.random(count) < found
        shaken = boxes[seen] + np.round(rng.normal(0, shake, (int(seen.sum()), 4)), decimals)
        shaken[:, 2:] = np.maximum(shaken[:, 2:], shaken[:, :2] + 1)
        false = np.round(rng.uniform(0, 300, (int(rng.integers(0, 4)), 4)), decimals)
        false[:, 2:] = false[:, :2] + 40
        kinds = np.concatenate([classes[seen], rng.integers(0, len(CLASSES), len(false))])
        scores = np.concatenate([rng.beta(4, 2, len(shaken)), rng.beta(2, 4, len(false))])
        answers.append((np.full(len(kinds), place), kinds, np.concatenate([shaken, false]), scores))
    image, kind, corners, score = (np.concatenate(part) for part in zip(*answers, strict=True))
    score = np.round(score, 1) if tied else score
    labels = Labels(CLASSES, {name: place for place, name in enumerate(CLASSES)}, tuple(boxed), ())
    return labels, Detections(image, kind.astype(np.int64), corners, score)
