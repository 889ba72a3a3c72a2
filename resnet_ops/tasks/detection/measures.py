"""What is measured of a detector, each number with its interval."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

from resnet_ops.errors import DataError
from resnet_ops.evaluation.intervals import mean_interval, score_interval
from resnet_ops.evaluation.metrics import FEWEST_GROUPS, share_right
from resnet_ops.measurement import Measurement
from resnet_ops.tasks.detection.average_precision import average_precision, recall
from resnet_ops.tasks.detection.matching import SIZES, ClassMatches
from resnet_ops.tasks.detection.score_threshold import decided, image_scores

__all__ = ["effective_images", "measure_detections", "resampled_interval"]

_AT = {"ap": slice(None), "ap50": slice(0, 1), "ap75": slice(5, 6)}
"""By name, the overlaps of IOUS over which it is the mean."""
BLOCK = 4_000_000
"""Weights of images that are held at once, to bound the memory."""


def measure_detections(
    matches: dict[str, list[ClassMatches]],
    classes: Sequence[str],
    images: int,
    threshold: float,
    split: str,
    confidence: float,
    resamples: int,
    seed: int,
) -> dict[str, Measurement]:
    """Average precision, recall, and what holds from a score of `threshold` on, named `<split>.<metric>`.

    matches: as `match` gives them. Intervals of average precisions and recall by a bootstrap over images, of shares as
    those of images that come in groups. What rests on no object, such as the AP of a class without any, is left out.
    Raises DataError where no object counts.
    """
    present = [place for place, each in enumerate(matches["all"]) if len(each.object_image)]
    if not present:
        raise DataError(
            f"None of {images:,} images of {split} has an object that counts, so no detector can be measured on them. "
            "Add images, or raise the share of that split (data.split in params.yaml)."
        )
    chosen = [matches["all"][place] for place in present]
    blocks = [
        (
            np.stack([average_precision(each, weights) for each in chosen]),
            np.stack([recall(each, weights) for each in chosen]),
        )
        for weights in _resamples(images, resamples, seed)
    ]
    precisions, recalls = (np.concatenate(part, axis=1) for part in zip(*blocks, strict=True))
    measured = {}
    for name, part in _AT.items():
        measured[name] = _measure(precisions[:, :, part].mean(axis=2), chosen, images, confidence)
    measured["ar"] = _measure(recalls, chosen, images, confidence)
    for row, place in enumerate(present):
        for name in ("ap", "ap50"):
            of_class = precisions[row : row + 1, :, _AT[name]].mean(axis=2)
            measured[f"{name}.{classes[place]}"] = _measure(
                of_class, chosen[row : row + 1], images, confidence
            )
    measured |= dict(_bare(matches, images))
    measured |= dict(_at_threshold(matches["all"], classes, images, threshold, confidence))
    return {f"{split}.{name}": measurement for name, measurement in measured.items()}


def _resamples(images: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """(B, N) how often each image is in a sample: first the images as they are, then resamples, in blocks."""
    yield np.ones((1, images), np.int64)
    rng, shares = np.random.default_rng(seed), np.full(images, 1 / images)
    per_block = max(1, BLOCK // images)
    for start in range(0, resamples, per_block):
        yield rng.multinomial(images, shares, size=min(per_block, resamples - start))


def _measure(
    values: np.ndarray, matches: Sequence[ClassMatches], images: int, confidence: float
) -> Measurement:
    """values: (K, 1 + B), of the images as they are, then of resamples; the mean over the classes that each has."""
    has = np.isfinite(values)
    means = np.where(has, values, 0).sum(axis=0)[has.any(axis=0)] / has.sum(axis=0)[has.any(axis=0)]
    value, effective = float(means[0]), effective_images(matches, images)
    found = Measurement(value=value, n=images, unit="fraction")
    if effective < FEWEST_GROUPS:
        return found
    low, high = resampled_interval(value, means[1:], effective, confidence)
    return Measurement(
        value=value, n=images, low=low, high=high, method=f"bootstrap {confidence:g}, images", unit="fraction"
    )


def resampled_interval(
    value: float, resampled: np.ndarray, effective: float, confidence: float
) -> tuple[float, float]:
    """Of an average precision, a fraction, from (B,) resamples of its images.

    Precision is made to fall by a maximum over noise, so that an AP of few images is too high, and a resample's is so
    once more: the percentiles of resamples miss a truth that is lower in up to a fifth of samples. The interval is
    centred, therefore, at the value less twice the excess of the resamples, which is what held its level over detectors
    and numbers of images (benchmarks/tasks/detection_intervals.py); its length is that of Student's quantile, for the
    effective number of images, on the scale of logits. Neither end is nearer than that of images without a mistake or
    without a find.
    """
    centre = float(np.clip(value - 2 * (resampled.mean() - value), 1e-6, 1 - 1e-6))
    spread = float(resampled.std()) / (centre * (1 - centre))
    half = float(student.ppf((1 + confidence) / 2, effective - 1)) * spread
    low, high = float(expit(logit(centre) - half)), float(expit(logit(centre) + half))
    flawless, hopeless = (score_interval(share, effective, confidence) for share in (1.0, 0.0))
    return min(low, value, flawless[0]), max(high, value, hopeless[1])


def effective_images(matches: Sequence[ClassMatches], images: int) -> float:
    """As many images with equally many objects as are worth these (Kish 1965)."""
    counts = np.sum([np.bincount(each.object_image, minlength=images) for each in matches], axis=0)
    return float(counts.sum()) ** 2 / float(counts @ counts)


def _bare(matches: dict[str, list[ClassMatches]], images: int) -> Iterator[tuple[str, Measurement]]:
    """By size, and with few detections an image: without intervals."""
    once = np.ones((1, images), np.int64)

    def mean(values: list[np.ndarray], name: str) -> Iterator[tuple[str, Measurement]]:
        known = np.array([each for each in values if np.isfinite(each).all()])
        if len(known):
            yield name, Measurement(value=float(known.mean()), n=images, unit="fraction")

    for most in (1, 10):
        yield from mean([recall(each, once, most) for each in matches["all"]], f"ar_{most}")
    for size in SIZES[1:]:
        yield from mean([average_precision(each, once) for each in matches[size]], f"ap_{size}")
        yield from mean([recall(each, once) for each in matches[size]], f"ar_{size}")


def _at_threshold(
    matches: Sequence[ClassMatches], classes: Sequence[str], images: int, threshold: float, confidence: float
) -> Iterator[tuple[str, Measurement]]:
    yield "threshold", Measurement(value=threshold, n=images, unit="score")
    scores = image_scores(matches, threshold, images)
    low, high = mean_interval(scores, confidence)
    method = f"wilson at the effective n {confidence:g}"
    yield (
        "image_f1",
        Measurement(value=float(scores.mean()), n=images, low=low, high=high, method=method, unit="fraction"),
    )
    parts = [decided(each, threshold) for each in matches]
    everything = [("", parts), *((f".{name}", [part]) for name, part in zip(classes, parts, strict=True))]
    for name, some in everything:
        shares = {
            "recall": ([each.found for each in some], [each.object_image for each in some]),
            "precision": ([each.right for each in some], [each.box_image for each in some]),
        }
        for kind, (right, of_image) in shares.items():
            joined = np.concatenate(right)
            if len(joined):
                yield f"{kind}{name}", share_right(joined, confidence, np.concatenate(of_image))
