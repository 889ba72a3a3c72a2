"""Trials: the model meets its labelled held-out images, perturbed in every way that we can think of.

The ways are those of `perturbations`; those that are tried once are for their names alone, and the estimate of accuracy
does not learn from them. Other mixes of classes come from the clean images. Images of kinds that the model never
learned cannot be tried.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_ops.data.depth import Pixels
from resnet_ops.errors import DataError
from resnet_ops.messages import Progress
from resnet_ops.predictions import DeployedModel, Predictions
from resnet_ops.tasks.watching.watching import Watched, watched, watching_of
from resnet_ops_monitoring.drift.accuracy_calibration import AccuracyCalibration, rows_of
from resnet_ops_monitoring.drift.likeness import TRIED_ONCE
from resnet_ops_monitoring.drift.perturbations import (
    FOLLOWED,
    KINDS,
    PERTURBATIONS,
    UNFOLLOWED,
    move_of,
    perturbed,
)
from resnet_ops_monitoring.drift.reference import Reference
from resnet_ops_monitoring.statistics.class_mix import ClassLooks, MixSpace, shifts
from resnet_ops_monitoring.statistics.estimate_error import Rows, Trial, calibrated
from resnet_ops_monitoring.statistics.operating_estimate import calibrated_sides
from resnet_ops_monitoring.statistics.summary import SummarySchema
from resnet_ops_monitoring.statistics.two_sample import Whitening

__all__ = ["Tried", "calibrate_accuracy", "calibrated_accuracy", "trials"]

Labels = NDArray[np.int64]
Scores = NDArray[np.bool_] | NDArray[np.float64]
_AS_THEY_ARE = 10
"""Random halves of the clean images: what chance alone does."""
_MIXES = 20
"""Classes, the most frequent ones, that are left out in turn; and other mixes that are drawn at random."""
_UNEVEN = 2.0
"""Of Dirichlet's distribution, from which mixes are drawn: 1 makes all mixes alike probable, more are more even."""
_LEAST = 20
"""A perturbation that leaves fewer usable answers than this is left out."""


def calibrate_accuracy(
    reference: Reference,
    model: DeployedModel,
    images: Pixels,
    labels: Labels,
    asked: NDArray[Any] | None = None,
    clean: Watched | None = None,
    *,
    each: int,
    seed: int,
    progress: Progress,
) -> Reference:
    """The labelled reference with an accuracy calibration in it.

    images: (N, H, W, C), those of the reference. labels: (N,) places of their classes in `reference.classes`.
    asked: (N, ...) of `PreparedData.asked`, where that is not the labels. clean: what the model says of the images,
    where that is known. each: at most so many images for each of `PERTURBATIONS`, drawn anew for each by the seed.
    progress: takes perturbations done and in all. Raises DataError when there are no images.
    """
    if len(images) == 0:
        raise DataError(f"No held-out images to calibrate {reference.identity} with; the split is empty.")
    asked = labels if asked is None else asked
    known = watched(model, images, asked) if clean is None else clean
    tried = trials(model, images, labels, asked, known, each=each, seed=seed, progress=progress)
    return replace(
        reference,
        accuracy_calibration=calibrated_accuracy(
            reference.schema, known.kept, labels, tried, seed, reference.worth, known.scores
        ),
    )


def trials(
    model: DeployedModel,
    images: Pixels,
    labels: Labels,
    asked: NDArray[Any],
    known: Watched,
    *,
    each: int,
    seed: int,
    progress: Progress,
) -> Iterator["Tried"]:
    """What the model makes of each of `PERTURBATIONS` that the truth can follow. Arguments: as `calibrate_accuracy`."""
    rng, watching = np.random.default_rng(seed), watching_of(model)
    kinds = [found for found in PERTURBATIONS if not (watching.placed and found[0] in UNFOLLOWED)]
    for done, (kind, severity) in enumerate(kinds):
        rows = rng.permutation(len(images))[:each]
        true: NDArray[Any] | None = asked[rows]
        if watching.placed and kind in FOLLOWED:
            true = watching.moved(asked[rows], move_of(kind, severity, images.shape))
        if true is not None:
            found = watched(model, perturbed(images[rows], kind, severity, seed), true)
            before = _some(known.kept, rows)
            yield Tried(kind, found.kept, before, labels[rows], found.scores, known.scores[rows])
        progress(done + 1, len(kinds))


@dataclass(frozen=True, eq=False)
class Tried:
    """A perturbation: what the model made of images that were perturbed, what of the same as they were, and their
    labels; and (n,) scores of both, where these are not whether the predicted class is the label.
    """

    kind: str
    found: Predictions
    before: Predictions
    labels: Labels
    scores: Scores | None = None
    scores_before: Scores | None = None


def calibrated_accuracy(
    schema: SummarySchema,
    clean: Predictions,
    labels: Labels,
    tried: Iterable[Tried],
    seed: int,
    worth: float = 1.0,
    scores: Scores | None = None,
) -> AccuracyCalibration:
    """What the predictions of clean and of perturbed images teach. worth: how many independent images each is worth.
    scores: (N,) of the clean ones, as in `Tried`.
    """
    known, right = rows_of(clean.probabilities, clean.embeddings, schema, clean.predicted), scores
    if right is None:
        right = clean.predicted == labels
    look, least = known.look(), min(_LEAST, len(labels))
    look = replace(look, rows=max(round(look.rows * worth), 1))
    kinds, shifted, hits, counts, centres, trials = [], [], [], [], [], []
    for each in (*_as_they_are(clean, labels, right, seed), *tried):
        finite = np.isfinite(each.found.probabilities).all(axis=1) & np.isfinite(each.found.embeddings).all(
            axis=1
        )
        if finite.sum() < least:
            continue
        trial = _trial(each, finite, schema)
        now, same = trial.changed.look(), trial.same.look()
        kinds.append(each.kind)
        shifted.append(shifts(look, now))
        hits.append(trial.right.sum())
        counts.append(len(trial.right))
        centres.append((now.centre - same.centre) * (each.kind in KINDS))
        if each.kind not in ("class gone", *TRIED_ONCE):
            trials.append(trial)
    trials += _mixes(known, right, labels, seed)
    many, far = np.array(counts, dtype=np.int64), np.array(centres, dtype=np.float32)
    of_class, point = _classes(known, labels, right), schema.operating
    space = MixSpace.of(of_class, Whitening.of(clean.embeddings))
    calibration = calibrated(look, of_class, trials, space, seed)
    mixes = space, calibration.mix_guards
    return AccuracyCalibration(
        clean=look,
        right=right.sum().item(),
        tested=len(labels),
        kinds=tuple(kinds),
        shifts=np.array(shifted),
        hits=np.array(hits),
        tried=many,
        centres=far,
        calibration=calibration,
        operating=None
        if point is None
        else calibrated_sides(look, of_class, point.counted(schema.classes), trials, mixes, seed),
        scalars=schema.scalars,
    )


def _trial(each: Tried, finite: NDArray[np.bool_], schema: SummarySchema) -> Trial:
    found, before, labels = each.found, each.before, each.labels[finite]
    changed, same = (
        (side.probabilities[finite], side.embeddings[finite], schema, side.predicted[finite])
        for side in (found, before)
    )
    return Trial(
        kind=each.kind,
        changed=rows_of(*changed),
        same=rows_of(*same),
        labels=labels,
        right=changed[-1] == labels if each.scores is None else each.scores[finite],
        before=same[-1] == labels if each.scores_before is None else each.scores_before[finite],
    )


def _classes(known: Rows, labels: Labels, right: Scores) -> ClassLooks:
    """How the images of each class look, as they are."""
    classes = known.classes
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (known.predicted, labels), 1)
    centre = np.zeros((classes, known.embeddings.shape[1]))
    certain, confidence, called, score, scores = np.zeros((5, classes))
    for label in np.unique(labels):
        of = labels == label
        certain[label], confidence[label] = known.certain[of].mean(), known.confidence[of].mean()
        called[label], score[label] = known.called[of].mean(), known.scores[of].mean()
        scores[label] = right[of].mean()
        centre[label] = known.embeddings[of].mean(axis=0, dtype=np.float64)
    whole = right.dtype == np.bool_  # then the confusion says it
    return ClassLooks(confusion, certain, confidence, centre, called, score, scores=None if whole else scores)


def _as_they_are(clean: Predictions, labels: Labels, right: Scores, seed: int) -> Iterator[Tried]:
    """Halves of the images, and all but one class."""
    rng, n = np.random.default_rng((seed, 1)), len(labels)
    chosen = [("as they are", rng.permutation(n)[: (n + 1) // 2]) for _ in range(_AS_THEY_ARE)]
    for label in np.bincount(labels).argsort()[::-1][:_MIXES]:
        chosen.append(("class gone", np.flatnonzero(labels != label)))
    for kind, rows in chosen:
        some = _some(clean, rows)
        yield Tried(kind, some, some, labels[rows], right[rows], right[rows])


def _mixes(known: Rows, right: Scores, labels: Labels, seed: int) -> Iterator[Trial]:
    """The images as they are, drawn in other mixes of their classes: without one, and mixed at random."""
    rng, shares = np.random.default_rng((seed, 4)), np.bincount(labels, minlength=known.classes) / len(labels)
    there = np.flatnonzero(shares)
    mixes = [("other mix", rng.dirichlet(np.full(len(there), _UNEVEN))) for _ in range(_MIXES)]
    if len(there) > 1:
        for gone in shares[there].argsort()[::-1][:_MIXES]:
            mixes.append(("class gone", np.where(np.arange(len(there)) == gone, 0, shares[there])))
    for kind, mix in mixes:
        weights = np.zeros(known.classes)
        weights[there] = mix / shares[there]
        of_row = weights[labels]
        yield Trial(kind, known, known, labels, right, right, of_row / of_row.sum())


def _some(predictions: Predictions, rows: NDArray[np.int64]) -> Predictions:
    whole = (predictions.logits, predictions.probabilities, predictions.embeddings, predictions.predicted)
    return Predictions(*(part[rows] for part in whole))
